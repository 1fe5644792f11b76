"""The commands that an operator types, each in a process of its own, against a fake Asterisk and edge."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import socket
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from session_timer import SharedKey
from session_timer_companion import __version__
from session_timer_companion.config import load
from session_timer_companion.http.server import serve
from session_timer_companion.http.sockets import listening

from tests.companion.fakes.fake_asterisk import Received
from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.world import KEY_TEXT, Agreement, Side, World, answers, key, world

OURS = Agreement(1800, Side.LOCAL)
CALL_ID = "a/b@198.18.0.40"
ENDPOINT = {
    "timers": "no",
    "send_connected_line": "yes",
    "send_pai": "true",
    "send_rpid": "false",
    "trust_id_outbound": "true",
    "connected_line_method": "update",
}
ALLOWED = ("CoreShowChannels", "Status", "Getvar", "Setvar", "Hangup", "Ping")


@dataclass
class Manager:
    """What a manager account may do and read, as Asterisk 22 was seen to tell it."""

    allowed: tuple[str, ...] = ALLOWED
    endpoints: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"carrier": ENDPOINT})

    def __call__(self, action: Received) -> bytes | None:
        if action.name == "ListCommands":
            rows = [f"{name}: What it does.  (Priv: call,all)\r\n" for name in self.allowed]
            return b"Response: Success\r\n{id}" + "".join(rows).encode() + b"\r\n"
        variable = action["Variable"]
        if action.name == "Getvar" and variable.startswith("PJSIP_ENDPOINT("):
            name, option = variable.removeprefix("PJSIP_ENDPOINT(").removesuffix(")").split(",")
            value = self.endpoints.get(name, {}).get(option, "")
            return b"Response: Success\r\n{id}" + f"Variable: {variable}\r\nValue: {value}\r\n\r\n".encode()
        return None


def written(it: World, **companion: object) -> Path:
    """A configuration file whose companion listens at a free port."""
    secret = it.path / "ami-secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    (it.path / "key").write_text(KEY_TEXT)
    data = {
        "session_timer": {},
        "asterisk": ["127.0.0.1"],
        "edge": {"door": it.edge.address, "key_file": "key"},
        "companion": {
            "ami": [
                {"name": "ast1", "host": "127.0.0.1", "port": it.asterisk.port, "secret_file": "ami-secret"}
            ],
            "http": {"port": free_port()},
            **companion,
        },
    }
    file = it.path / "operator.yaml"
    file.write_text(yaml.safe_dump(data))
    it.edge.digest = load(file, {}).shared.digest()
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def served(it: World, file: Path) -> AsyncIterator[None]:
    """The world's companion answers where `file` says."""
    assert it.companion is not None
    port = yaml.safe_load(file.read_text())["companion"]["http"]["port"]
    with listening("127.0.0.1", port) as doors:
        async with serve(it.companion, doors):
            yield


async def typed(*words: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `session-timer ...`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "session_timer_companion",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return process.returncode, out.decode(), err.decode()


async def examined(file: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """The doctor's exit status and findings."""
    status, out, _ = await typed("doctor", "--config", str(file), "--json", "--listen", "0.5", *words)
    return status, json.loads(out)


def problems(found: list[dict[str, Any]]) -> list[str]:
    return [finding["what"] for finding in found if finding["level"] == "problem"]


async def test_the_doctor_finds_nothing_wrong_with_a_good_world(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.asterisk.on_action = Manager()
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        async with served(it, file):
            status, found = await examined(file)
        assert problems(found) == []
        assert status == 0
        about = {finding["about"] for finding in found}
        assert {"configuration", "Asterisk ast1", "edge edge", "companion"} <= about
        assert "Asterisk ast1, endpoint carrier" in about
        assert it.alive(call)
        assert not it.refreshes(call), "the doctor touches no call"


async def test_the_doctor_names_each_thing_that_would_not_work(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager(
            allowed=("Status", "Getvar"),
            endpoints={"carrier": {**ENDPOINT, "timers": "yes", "send_pai": "no"}},
        )
        it.call(CALL_ID, OURS, known=False)
        status, found = await examined(written(it), "--endpoint", "nowhere")
        assert status == 1
        told = problems(found)
        for part in (
            "may not Setvar",
            "may not Hangup",
            "timers=yes",
            "send_pai=no",
            CALL_ID,
            "no option of it",
        ):
            assert any(part in one for one in told), part


async def test_the_doctor_does_not_miss_the_record_of_a_call_that_has_ended_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        manager, call = Manager(), it.call(CALL_ID, OURS, known=False)

        def ends_after_the_edge_was_asked(action: Received) -> bytes | None:
            if it.alive(call) and "PJSIP_ENDPOINT" in action["Variable"]:
                it.asterisk.hangup(call)
            return manager(action)

        it.asterisk.on_action = ends_after_the_edge_was_asked
        status, found = await examined(written(it))
        assert (status, problems(found)) == (0, [])


async def test_the_doctor_sees_a_call_that_comes_and_goes_while_it_listens(tmp_path: Path) -> None:
    """Whoever places a short call meanwhile, as the doctor says, is not told that none came."""
    async with world(tmp_path, start=False) as it:
        manager, looks, calls = Manager(), [0], list[Channel]()

        def short_call(action: Received) -> bytes | None:
            if "PJSIP_ENDPOINT" in action["Variable"]:
                looks.append(0)
            if action.name == "CoreShowChannels":
                looks[-1] += 1
                if len(looks) > 1 and looks[-1] == 2:
                    calls.append(it.call(CALL_ID, OURS))
                elif calls and it.alive(calls[0]):
                    it.asterisk.hangup(calls[0])
            return manager(action)

        it.asterisk.on_action = short_call
        it.asterisk.emit = lambda *_: None  # type: ignore[method-assign]
        status, found = await examined(written(it), "--endpoint", "carrier", "--listen", "3")
        assert calls
        assert (status, problems(found)) == (1, ["channels came and went, and no event told of it"])


async def test_the_doctor_names_an_edge_that_does_not_answer(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager()
        await it.edge.stop()
        status, found = await examined(written(it, door_timeout=0.2))
        await it.edge.start()
        assert status == 1
        assert any("cannot be read" in one for one in problems(found))


async def test_the_doctor_names_a_refused_login_and_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.secret = "another"  # noqa: S105
        status, found = await examined(written(it))
        assert status == 1
        (told,) = problems(found)
        assert "refused the login" in told
        assert any(finding["about"].startswith("edge") and finding["level"] == "ok" for finding in found)


async def test_the_doctor_names_what_holds_the_port(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager()
        file = written(it)
        port = yaml.safe_load(file.read_text())["companion"]["http"]["port"]
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))
            other.listen()
            status, found = await examined(file)
        assert status == 1
        assert any("another program answers" in one for one in problems(found))


async def test_quiet_is_only_what_would_not_work(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager()
        file = written(it)
        quiet = ("doctor", "--config", str(file), "--quiet", "--listen", "0.5")
        assert (await typed(*quiet))[:2] == (0, "")
        status, out, _ = await typed(*quiet, "--endpoint", "nowhere")
        assert status == 1
        assert out.startswith("problem  Asterisk ast1, endpoint nowhere: ")


async def test_sessions_and_show_tell_of_calls(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        where = ("--config", str(file))
        async with served(it, file):
            status, out, _ = await typed("sessions", *where)
            assert status == 0
            assert CALL_ID in out
            assert "1 call tracked" in out
            status, out, _ = await typed("sessions", "--json", *where)
            assert [each["call_id"] for each in json.loads(out)] == [CALL_ID]
            status, out, _ = await typed("show", CALL_ID, *where)
            assert status == 0
            assert call.name in out
            status, out, err = await typed("show", "nobody", *where)
            assert (status, out) == (1, "")
            assert "no call with the Call-ID nobody" in err
            status, out, _ = await typed("watch", "--once", *where)
            assert status == 0
            assert "1 calls" in out
            assert "█" in out


async def test_a_terminal_that_knows_few_characters_is_shown_the_others_as_question_marks(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        call = it.call("caf\u00e9", OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        async with served(it, file):
            for words in (("sessions",), ("show", "caf\u00e9"), ("watch", "--once")):
                status, out, _ = await typed(*words, "--config", str(file), PYTHONIOENCODING="ascii")
                assert status == 0
                assert "caf?" in out


async def test_watch_draws_on_the_whole_screen_until_q(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        async with served(it, file):
            screen, terminal = pty.openpty()
            before = termios.tcgetattr(terminal)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "session_timer_companion"),
                *("watch", "--config", str(file), "--interval", "0.2"),
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(sys.path),
                    "TERM": "xterm",
                    "COLUMNS": "120",
                },
            )
            os.set_blocking(screen, False)  # the system's own signature
            drawn = b""
            async with asyncio.timeout(60):
                while b"q leaves" not in drawn or CALL_ID.encode() not in drawn:
                    await asyncio.sleep(0.05)
                    with contextlib.suppress(BlockingIOError):
                        drawn += os.read(screen, 65536)
                os.write(screen, b"q")
                while process.returncode is None:
                    await asyncio.sleep(0.05)
                    with contextlib.suppress(BlockingIOError):
                        drawn += os.read(screen, 65536)
            after = termios.tcgetattr(terminal)
            os.close(terminal)
            os.close(screen)
        assert process.returncode == 0
        assert b"\x1b[?1049h" in drawn, "on a screen of its own"
        assert b"\x1b[?1049l" in drawn, "and back"
        assert after == before, "the terminal is as it was"


async def test_refresh_exits_by_what_the_peer_said(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        async with served(it, file):
            status, out, _ = await typed("refresh", CALL_ID, "--config", str(file))
            assert status == 0
            assert "UPDATE: confirmed" in out
            assert it.edge.records[key(call)].refreshes == 1
            it.peer = answers(488)
            status, out, _ = await typed("refresh", CALL_ID, "--config", str(file))
            assert status == 1
            assert "refused: the response was 488" in out


async def test_a_companion_that_does_not_run_is_one_clear_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for words in (["sessions"], ["show", "x"], ["refresh", "x"]):
        status, out, err = await typed(*words, "--url", url)
        assert (status, out) == (1, "")
        assert err.count("\n") == 1
        assert f"no companion answers at {url}" in err
        assert "systemctl start" in err
    status, out, _ = await typed("watch", "--once", "--url", url)
    assert status == 1
    assert "no companion answers" in out
    status, _, err = await typed("sessions", "--url", "ftp://nowhere")
    assert status == 1
    assert "is no address of a companion" in err
    status, _, err = await typed("sessions", "--config", str(tmp_path / "nowhere.yaml"))
    assert status == 1
    assert "cannot be read" in err
    assert "--url" in err


async def test_looking_at_calls_needs_no_password(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        file = written(it)
        (tmp_path / "ami-secret").unlink()
        async with served(it, file):
            status, out, _ = await typed("sessions", "--config", str(file))
        assert (status, out) == (0, "0 calls tracked\n")


async def test_the_version_is_that_of_the_package() -> None:
    assert (await typed("--version"))[1] == f"session-timer, version {__version__}\n"


async def test_resume_releases_the_brake_of_the_running_companion(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        file = written(it)
        it.companion.brake.on = True
        async with served(it, file):
            status, out, _ = await typed("resume", "--config", str(file))
            assert (status, out) == (0, "the brake is released\n")
            assert not it.companion.brake.on
            assert (await typed("resume", "--config", str(file)))[1] == "the brake was not on\n"


async def test_a_key_is_made_once_for_its_group_only(tmp_path: Path) -> None:
    file = tmp_path / "edge-key"
    status, out, _ = await typed("make-key", str(file))
    assert status == 0
    assert str(file) in out
    assert file.stat().st_mode & 0o777 == 0o640
    text = file.read_text()
    assert text.strip() not in out
    assert SharedKey.parse(text)
    status, _, err = await typed("make-key", str(file))
    assert status == 1
    assert "File exists" in err
    assert file.read_text() == text
