"""The commands that an operator types, each in a process of its own, against a fake Asterisk and edge."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import sys
import termios
from pathlib import Path

import pytest
from session_timer import SharedKey

from tests.companion.fakes.commands import free_port, served, typed, written
from tests.companion.fakes.world import Agreement, Side, answers, key, world

OURS = Agreement(1800, Side.LOCAL)
CALL_ID = "a/b@198.18.0.40"


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


async def test_resume_releases_the_brake_of_the_running_companion(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        file = written(it)
        it.companion.brake.on = True
        async with served(it, file):
            status, out, _ = await typed("resume", "--config", str(file))
            assert (status, out) == (0, "it goes on\n")
            assert not it.companion.brake.on
            assert (await typed("resume", "--config", str(file)))[1] == "nothing was held back\n"


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
    assert "is there already" in err
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("doctor", "--listen", "nan"), "Invalid value for '--listen': nan is not in the range 0.5<=x<=600"),
        (
            ("watch", "--interval", "nan"),
            "Invalid value for '--interval': nan is not in the range 0.1<=x<=60",
        ),
        (("watch", "--interval", "inf"), "Invalid value for '--interval': inf is not in the range"),
        (("refresh", "--peer", "p", "--rate", "nan"), "Invalid value for '--rate': nan is not in the range"),
        (
            ("refresh", "call-1", "--rate", "1", "--url", "http://127.0.0.1:1"),
            "--rate is for the calls of a --peer",
        ),
        (("refresh", "--url", "http://127.0.0.1:1"), "Name either a CALL-ID or, with --peer, a profile"),
    ],
)
async def test_what_an_option_cannot_be_is_an_error_that_says_so(words: tuple[str, ...], said: str) -> None:
    status, out, err = await typed(*words)
    assert (status, out) == (2, "")
    assert said in err
