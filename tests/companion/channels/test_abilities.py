"""Functions that an Asterisk lacks are found at login and on calls; the release that has them is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from session_timer_companion.channels import abilities
from session_timer_companion.channels.abilities import CHANNEL, CONNECTED_LINE, DIGITS, PLACED_HEADER, Need
from session_timer_companion.http.overview import readiness
from structlog.testing import capture_logs

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, world

OURS = Agreement(12, Side.LOCAL)


def lacking(logged: list[Any]) -> list[str]:
    """What the log said to be lacking."""
    return [line["missing"] for line in logged if line["event"] == "asterisk_lacks"]


def release(it: World) -> str:
    """What `/readyz` says of Asterisk's release."""
    assert it.companion is not None
    told: str = readiness(it.companion)["release"]["ast1"]
    return told


@pytest.mark.parametrize(
    ("number", "name", "complete"),
    [
        (221001, "22.10.1", True),
        (162800, "16.28.0", True),
        (181400, "18.14.0", True),
        (161601, "16.16.1", False),
        (181000, "18.10.0", False),
        (None, "unknown", True),
    ],
)
def test_what_a_release_lacks_is_known(number: int | None, name: str, complete: bool) -> None:
    assert abilities.written(number) == name
    assert (abilities.lacking_in(number) == frozenset()) is complete


@pytest.mark.parametrize("need", [CHANNEL, CONNECTED_LINE], ids=lambda need: need.function)
@in_virtual_time
async def test_a_function_that_needs_no_call_is_tried_from_the_login_on(tmp_path: Path, need: Need) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, start=False) as it:
            it.asterisk.lacks = frozenset({need.function})
            await it.start()
            assert release(it) == f"22.10.1 lacks {need.told}"
            await it.until(lambda: bool(lacking(logged)), 16)
            await it.until_after(it.now + 600)
            assert lacking(logged) == [need.told]
            it.asterisk.lacks = frozenset()  # a module was loaded
            await it.until(lambda: release(it) == "22.10.1", 61)


@in_virtual_time
async def test_an_asterisk_whose_modules_are_still_being_loaded_lacks_nothing_for_long(
    tmp_path: Path,
) -> None:
    """It listens to AMI before."""
    with capture_logs() as logged:
        async with world(tmp_path, start=False) as it:
            it.asterisk.lacks = frozenset({"CHANNEL", "CONNECTEDLINE"})
            await it.start()
            await it.until_after(it.now + 5)
            it.asterisk.lacks = frozenset({"CONNECTEDLINE"})
            await it.until(lambda: release(it) == f"22.10.1 lacks {CONNECTED_LINE.told}", 12)
            it.asterisk.lacks = frozenset()
            await it.until(lambda: release(it) == "22.10.1", 12)
            await it.until_after(it.now + 120)
            assert not lacking(logged)
            asked = len(it.asterisk.seen("Getvar"))
            await it.until_after(it.now + 120)
            assert len(it.asterisk.seen("Getvar")) == asked


@in_virtual_time
async def test_what_repeats_a_session_is_tried_on_a_call_that_is_up_at_login(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, start=False) as it:
            it.asterisk.lacks = frozenset({"PJSIP_DTMF_MODE"})
            it.call("call-1", OURS)
            await it.start()
            assert lacking(logged) == [DIGITS.told]


@pytest.mark.parametrize("placed", [True, False], ids=["placed", "received"])
@in_virtual_time
async def test_a_call_whose_header_cannot_be_read_is_not_silently_foreign(
    tmp_path: Path, placed: bool
) -> None:
    need = PLACED_HEADER if placed else abilities.RECEIVED_HEADER
    with capture_logs() as logged:
        async with world(tmp_path) as it:
            it.asterisk.lacks = frozenset({need.function})
            assert release(it) == "22.10.1"
            call = it.call("call-1", OURS, placed_by_us=placed)
            await it.until(lambda: bool(lacking(logged)), 12)
            assert lacking(logged) == [need.told]
            assert release(it) == f"22.10.1 lacks {need.told}"
            assert not it.is_tracked(call)
            # Another call adds no line, and neither does one that the rest of Asterisk can read.
            it.call("call-2", OURS, placed_by_us=placed)
            kept = it.call("call-3", OURS, placed_by_us=not placed)
            await it.until(lambda: it.is_tracked(kept))
            await it.until_after(it.now + 5)
            assert len(lacking(logged)) == 1
            it.asterisk.lacks = frozenset()
            kept = it.call("call-4", OURS, placed_by_us=placed)
            await it.until(lambda: it.is_tracked(kept))
            assert release(it) == "22.10.1"


@pytest.mark.parametrize("placed", [True, False], ids=["placed", "received"])
@in_virtual_time
async def test_a_strangers_call_says_nothing_of_asterisk(tmp_path: Path, placed: bool) -> None:
    with capture_logs() as logged:
        async with world(tmp_path) as it:
            stranger = it.call("call-1", None, placed_by_us=placed, known=False, ring=True)
            stranger.headers.clear()
            stranger.response_headers.clear()
            it.asterisk.answer(stranger)
            await it.until_after(it.now + 5)
            assert not it.is_tracked(stranger)
            assert not lacking(logged)


@in_virtual_time
async def test_a_release_that_has_it_against_the_table_is_believed(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, start=False) as it:
            it.asterisk.release = "161601"
            await it.start()
            assert lacking(logged) == [PLACED_HEADER.told]
            stranger = it.call("call-1", None, placed_by_us=True, known=False, ring=True)
            stranger.response_headers.clear()
            it.asterisk.answer(stranger)
            await it.until(lambda: release(it) == "16.16.1", 12)


@in_virtual_time
async def test_no_function_of_pjsip_is_read_without_a_channel(tmp_path: Path) -> None:
    """Asterisk 16.28 ends with a segmentation fault where PJSIP_DTMF_MODE is."""
    async with world(tmp_path) as it:
        it.call("call-1", OURS)
        await it.until_after(it.now + 30)
        without = {each["Variable"] for each in it.asterisk.seen("Getvar") if not each["Channel"]}
        assert without == {"CHANNEL(state)", "CONNECTEDLINE(pres)"}


@in_virtual_time
async def test_an_account_without_reporting_is_told_the_release_another_way(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        denied = b"Response: Error\r\n{id}Message: Permission denied\r\n\r\n"
        it.asterisk.on_action = lambda action: denied if action.name == "CoreSettings" else None
        await it.start()
        assert release(it) == "22.10.1"
