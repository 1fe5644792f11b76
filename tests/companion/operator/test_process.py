"""The companion as a process: how it starts, what it says when it cannot, how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from tests.companion.fakes.world import KEY_TEXT, Agreement, Side, World, key, world

OURS = Agreement(4, Side.LOCAL)
WRONG = "not the password"
STANDING = b"STATUS=1 call tracked"


def config(it: World, *, secret: str = "s3cret", port: int | None = None, **more: object) -> Path:  # noqa: S107
    ami = {"name": "ast1", "host": "127.0.0.1", "port": it.asterisk.port, "secret": secret}
    data = {
        "unsafe_lab_intervals": True,
        "session_timer": {"default_expires": 12, "min_se": 4},
        "edge": {"door": it.edge.address, "key_file": "key"},
        "companion": {
            "ami": [ami],
            "http": {"port": port} if port else {"enabled": False},
            "log": {"format": "json"},
        },
        **more,
    }
    (it.path / "key").write_text(KEY_TEXT)
    file = it.path / "run.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


class Running:
    """A companion in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def line(self, word: str) -> str:
        """The next line of its log with this word in it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while text := (await self.process.stderr.readline()).decode():
                self.lines.append(text)
                if word in text:
                    return text
        raise AssertionError(f"{word!r} not in the log: {self.lines}")

    async def end(self) -> tuple[int, str]:
        """Its exit status, and what it said on standard error until then."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            rest = await self.process.stderr.read()
            return await self.process.wait(), "".join(self.lines) + rest.decode()


@asynccontextmanager
async def running(*arguments: str, **environment: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "session_timer_companion",
        *arguments,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_keeps_a_call_serves_http_reloads_and_stops_cleanly(tmp_path: Path) -> None:
    port = _free_port()
    async with world(tmp_path, start=False) as it:
        call = it.call("call-1", OURS)
        file = config(it, port=port)
        async with running("run", "--config", str(file)) as companion:
            await companion.line("refresh_confirmed")
            assert it.edge.records[key(call)].refreshes == 1
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
                async with http.get("/sessions") as answer:
                    (shown,) = await answer.json()
                assert shown["call_id"] == "call-1"
                assert shown["refresher"] == "local"
                async with http.get("/readyz") as answer:
                    assert answer.status == 200
                async with http.get("/healthz") as answer:
                    assert answer.status == 200
                async with http.get("/metrics") as answer:
                    text = await answer.text()
                assert 'session_timer_sessions{asterisk="ast1",refresher="local",state="ours"} 1.0' in text
                assert "call-1" not in text
            companion.process.send_signal(signal.SIGHUP)
            await companion.line("reloaded")
            file.write_text("companion: [")
            companion.process.send_signal(signal.SIGHUP)
            assert "is no YAML" in await companion.line("reload_refused")
            companion.process.terminate()
            status, said = await companion.end()
            assert status == 0
            assert "Traceback" not in said
        assert it.alive(call)


async def test_each_line_of_a_call_has_its_call_id(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        async with running("run", "--config", str(config(it))) as companion:
            await companion.line("in_sync")
            it.call("call-1", OURS)
            await companion.line("refresh_confirmed")
        told = [json.loads(line) for line in companion.lines]
        of_the_call = [line for line in told if line["event"] in ("armed", "refresh_confirmed")]
        assert len(of_the_call) == 2
        assert {line["call_id"] for line in of_the_call} == {"call-1"}


async def test_a_wrong_password_is_one_line_and_the_end(tmp_path: Path) -> None:
    async with (
        world(tmp_path, start=False) as it,
        running("run", "--config", str(config(it, secret=WRONG))) as companion,
    ):
        status, said = await companion.end()
        last = said.splitlines()[-1]
        assert status == 78  # systemd does not try it for ever
        assert "refused the login of user 'session-timer'" in last
        assert "manager.conf" in last
        assert "Traceback" not in said


async def test_a_port_in_use_is_one_line_and_the_end(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with (
            world(tmp_path, start=False) as it,
            running("run", "--config", str(config(it, port=port))) as companion,
        ):
            status, said = await companion.end()
            assert status == 1
            assert f"cannot listen on 127.0.0.1:{port}" in said
            assert "companion.http.port" in said
            assert "Traceback" not in said
        assert it.asterisk.connections == 0  # the companion that runs already is not disturbed


async def test_an_asterisk_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        await it.asterisk.stop()
        async with running("run", "--config", str(config(it))) as companion:
            await companion.line("check that Asterisk runs")
            await companion.line("started")
            call = it.call("call-1", OURS)
            await it.asterisk.start()
            await companion.line("refresh_confirmed")
            assert it.edge.records[key(call)].refreshes == 1


async def test_a_stop_does_not_wait_for_an_asterisk_that_says_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.greeting = b""
        async with running("run", "--config", str(config(it))) as companion:
            await it.until(lambda: it.asterisk.connections == 1)
            begun = it.now
            companion.process.terminate()
            status, said = await companion.end()
            assert it.now - begun < 4  # of the 5 seconds that a login may take
            assert status == 0
            assert "started" not in said
            assert "Traceback" not in said


async def test_pages_are_served_while_asterisk_is_away(tmp_path: Path) -> None:
    port = _free_port()
    async with world(tmp_path, start=False) as it:
        await it.asterisk.stop()
        async with (
            running("run", "--config", str(config(it, port=port))) as companion,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            await companion.line("started")
            async with http.get("/readyz") as answer:
                assert answer.status == 503
                assert "check that Asterisk runs" in (await answer.json())["asterisk"]["ast1"]


async def test_a_start_imports_before_the_calls_are_under_watch_only_what_they_need(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.call("call-1", OURS)
        file = config(it, port=_free_port())
        async with running("run", "--config", str(file), PYTHONPROFILEIMPORTTIME="1") as companion:
            await companion.line("in_sync")
            imported = {line.rpartition("|")[2].strip() for line in companion.lines if "|" in line}
            assert {"structlog", "panoramisk.actions"} <= imported
            assert not {"aiohttp.web", "rich.console"} & imported
            await companion.line("aiohttp.web")  # now that there is time


async def test_check_config_tells_everything_and_starts_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        good = config(it)
        async with running("check-config", "--config", str(good)) as companion:
            assert (await companion.end())[0] == 0
        assert it.asterisk.connections == 0
        bad = config(it, colour="red", session_timer={"min_se": "soon"})
        async with running("check-config", "--config", str(bad)) as companion:
            status, said = await companion.end()
        assert status == 1
        assert f"{bad}: colour: unknown key" in said
        assert f"{bad}: session_timer.min_se: expected a whole number of seconds" in said
        assert "Traceback" not in said


async def test_systemd_is_told_that_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.setblocking(False)  # noqa: FBT003  # the socket's own signature
        loop = asyncio.get_running_loop()
        async with world(tmp_path, start=False) as it:
            it.call("call-1", OURS)
            told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"}
            async with running("run", "--config", str(config(it)), **told) as companion:
                async with asyncio.timeout(20):
                    heard = [await loop.sock_recv(systemd, 100) for _ in range(4)]
                assert heard == [b"READY=1\n" + STANDING] + [b"WATCHDOG=1\n" + STANDING] * 3
                companion.process.terminate()
                async with asyncio.timeout(20):
                    while await loop.sock_recv(systemd, 100) != b"STOPPING=1":
                        pass
                assert (await companion.end())[0] == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
