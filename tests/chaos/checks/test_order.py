"""What waits for a companion begins before what would keep its calls from it."""

from __future__ import annotations

from tests.chaos.faults.listed import FAULTS


def test_another_companion_is_there_before_asterisk_or_its_manager_fails() -> None:
    first = {fault.name for fault in FAULTS if fault.begins_first}
    assert {"log reader stalled", "disk full", "clocks an hour apart", "leader killed"} <= first
    assert not first & {fault.name for fault in FAULTS if "ami" in fault.parts or "asterisk" in fault.parts}
