"""What keeps a refresh from leaving: no call ends for it, no timer stops, and it is said once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from session_timer_companion.channels.calls import Media
from structlog.testing import capture_logs
from structlog.typing import EventDict, WrappedLogger

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, key, silence, world

OURS = Agreement(12, Side.LOCAL)


@contextmanager
def no_log_of(event: str) -> Iterator[None]:
    """Where this is to be logged, an exception comes instead: the disk is full, the pipe is broken."""

    def fail(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        if line["event"] == event:
            raise BrokenPipeError(event)
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [fail]
    try:
        yield
    finally:
        processors[:] = before


@pytest.mark.requirement("REF-10-02")
@in_virtual_time
async def test_a_refresh_that_a_fault_of_ours_held_back_is_no_silence_of_the_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as it:

        async def broken(channel: str) -> Media:
            raise RuntimeError(channel)

        call = it.call("call-1", OURS, update=False)
        await it.until(lambda: it.is_tracked(call))
        # Thirty tracebacks take longer to be written than all the rest.
        with monkeypatch.context() as patched, capture_logs() as logged:
            patched.setattr(it.tracker.channels, "media", broken)
            began = it.now
            await it.until_after(began + 30)
            assert any(line["event"] == "internal_error" for line in logged)
            assert it.alive(call)
            assert not it.refreshes(call)
        await it.until(lambda: it.confirmed(call) == 1)
        assert not it.asterisk.seen("Hangup")


@pytest.mark.requirement("REF-10-02")
@in_virtual_time
async def test_what_could_not_be_sent_is_so_although_it_cannot_be_logged(tmp_path: Path) -> None:
    with no_log_of("refresh_not_sent"):
        async with world(tmp_path) as it:
            call = it.call("call-1", OURS)
            refuse = b"Response: Error\r\n{id}Message: Internal error\r\n\r\n"
            it.asterisk.on_action = lambda action: refuse if action.name == "Setvar" else None
            began = it.now
            await it.until_after(began + 30)
            it.asterisk.on_action = lambda _action: None
            await it.until(lambda: it.confirmed(call) == 1)
            assert not it.asterisk.seen("Hangup")


@pytest.mark.requirement("UAC-7.2-15")
@in_virtual_time
async def test_a_call_is_armed_although_it_cannot_be_logged(tmp_path: Path) -> None:
    with no_log_of("armed"):
        async with world(tmp_path) as it:
            call = it.call("call-1", OURS)
            await it.until(lambda: it.edge.records[key(call)].refreshes == 1)


@in_virtual_time
async def test_a_call_that_cannot_be_refreshed_is_said_once_and_tried_with_patience(tmp_path: Path) -> None:
    """Neither form of its only way: video, and a way to send digits that nobody knows."""
    with capture_logs() as logged:
        async with world(tmp_path, peer=silence()) as it:
            call = it.call("call-1", OURS, update=False)
            call.video, call.dtmf_mode = "h264", "by-pigeon"
            began = it.now
            await it.until_after(began + 66)
            assert it.alive(call)
            assert it.is_tracked(call)
            asked = [
                action for action in it.asterisk.seen("Getvar") if action["Variable"] == "PJSIP_DTMF_MODE()"
            ]
            assert 4 < len(asked) < 10
            call.dtmf_mode = "rfc4733"
            await it.until(lambda: bool(it.refreshes(call)), 12)
    told = [line for line in logged if line["event"] == "refresh_not_sent"]
    assert [line["log_level"] for line in told].count("warning") == 1


@in_virtual_time
async def test_a_call_whose_end_was_missed_is_forgotten_when_it_cannot_be_refreshed(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS, update=False)
        await it.until(lambda: it.is_tracked(call))
        del it.asterisk.channels[call.name]
        await it.until(lambda: not it.is_tracked(call), 12)
