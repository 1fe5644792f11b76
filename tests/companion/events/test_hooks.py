"""Who is told when a call is hung up or a peer refuses: never in the way of a call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from session_timer_companion.events.hook_settings import Hook
from session_timer_companion.events.hooks import AT_ONCE, COUNTED, QUEUED, Hooks

from tests.companion.fakes.clients import until


def counted(outcome: str) -> float:
    return float(COUNTED.labels(outcome)._value.get())


def program(folder: Path, text: str) -> str:
    file = folder / "hook"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


@asynccontextmanager
async def telling(*settings: dict[str, object]) -> AsyncIterator[Hooks]:
    hooks = Hooks([Hook.model_validate(each) for each in settings])
    try:
        yield hooks
    finally:
        await hooks.aclose()


async def test_a_program_gets_json_on_its_standard_input(tmp_path: Path) -> None:
    run = program(tmp_path, f"cat > {tmp_path}/told.new && mv {tmp_path}/told.new {tmp_path}/told")
    async with telling({"on": ["hung_up"], "run": run}) as hooks:
        hooks.tell("refused", {"call_id": "not-this"})
        hooks.tell("hung_up", {"call_id": "call-1"})
        await until((tmp_path / "told").exists, "the program was told")
    assert json.loads((tmp_path / "told").read_text()) == {"event": "hung_up", "call_id": "call-1"}


async def test_a_program_gets_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    run = program(tmp_path, f"env > {tmp_path}/env.new; mv {tmp_path}/env.new {tmp_path}/env")
    async with telling({"on": ["refused"], "run": run}) as hooks:
        hooks.tell("refused", {})
        await until((tmp_path / "env").exists, "the program ran")
    assert "CREDENTIALS" not in (tmp_path / "env").read_text()


async def test_a_program_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    before = counted("timed_out")
    run = program(tmp_path, f"sh -c 'echo $$ > {tmp_path}/child; exec sleep 600' & wait")
    async with telling({"on": ["refused"], "run": run, "timeout": 1.0}) as hooks:
        hooks.tell("refused", {})
        await until(lambda: counted("timed_out") == before + 1, "it was broken off")
        child = Path("/proc") / (tmp_path / "child").read_text().strip()
        await until(
            lambda: not child.exists() or "Z" in (child / "stat").read_text().split(), "its child too"
        )


@pytest.mark.parametrize("text", ["exit 3", "exec 0<&-; exit 3"])
async def test_a_program_that_fails_is_counted(tmp_path: Path, text: str) -> None:
    before = counted("failed")
    async with telling({"on": ["refused"], "run": program(tmp_path, text)}) as hooks:
        hooks.tell("refused", {"much": "x" * 1_000_000})
        await until(lambda: counted("failed") == before + 1, "its failure was counted")


async def test_what_is_too_much_is_dropped_at_once_and_counted(tmp_path: Path) -> None:
    before = counted("dropped")
    started = tmp_path / "started"
    run = program(tmp_path, f"echo x >> {started}; exec sleep 600")
    async with telling({"on": ["refused"], "run": run, "timeout": 60.0}) as hooks:
        for _ in range(AT_ONCE):
            hooks.tell("refused", {})
        await until(
            lambda: started.exists() and len(started.read_text().split()) == AT_ONCE, "all are at work"
        )
        for _ in range(QUEUED + 7):
            hooks.tell("refused", {})
        assert counted("dropped") == before + 7


async def test_an_address_is_posted_to_and_its_refusal_counted() -> None:
    told: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        told.append(await request.json())
        return web.Response(status=200 if len(told) == 1 else 500)

    app = web.Application()
    app.add_routes([web.post("/hook", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's own server
    done, failed = counted("done"), counted("failed")
    try:
        async with telling({"on": ["hung_up"], "url": f"http://127.0.0.1:{port}/hook"}) as hooks:
            hooks.tell("hung_up", {"call_id": "call-1"})
            await until(lambda: counted("done") == done + 1, "it was told")
            hooks.tell("hung_up", {"call_id": "call-2"})
            await until(lambda: counted("failed") == failed + 1, "its refusal was counted")
    finally:
        await runner.cleanup()
    assert [each["call_id"] for each in told] == ["call-1", "call-2"]


async def test_the_end_does_not_wait_for_a_hook(tmp_path: Path) -> None:
    started = tmp_path / "started"
    run = program(tmp_path, f"touch {started}; exec sleep 600")
    async with asyncio.timeout(10):
        async with telling({"on": ["refused"], "run": run, "timeout": 60.0}) as hooks:
            hooks.tell("refused", {})
            await until(started.exists, "it runs")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"on": ["hung_up"]}, "give run"),
        ({"on": ["hung_up"], "run": "/bin/true", "url": "http://x"}, "give run"),
        ({"on": ["hung_up"], "run": "bin/true"}, "absolute"),
        ({"on": ["hung_up"], "run": __file__}, "chmod"),
        ({"on": ["hung_up"], "url": "ftp://x"}, "http"),
        ({"on": ["answered"], "url": "http://x"}, "hung_up"),
        ({"on": [], "url": "http://x"}, "at least 1"),
    ],
)
def test_a_hook_that_cannot_work_is_an_error_of_the_configuration(
    wrong: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Hook.model_validate(wrong)
