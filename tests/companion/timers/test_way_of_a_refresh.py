"""Through how many modules one automatic refresh goes: what a reader who follows it has to open.

Counted is each module of ours with a function that runs from the moment at which the call waits for its time
until its record has confirmed the refresh. What the fakes call themselves, and the round that reads the
edges' changes, go on beside it and do not count.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType

import session_timer
import session_timer_companion

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, key, world

OURS = {
    Path(package.__file__ or "").parent.parent: package.__name__
    for package in (session_timer, session_timer_companion)
}
MOST = 27
"""No more than today. The goal is 15; release 0.1.0 had 25."""


def name_of(file: str) -> str | None:
    """A module of ours by its file; None for any other."""
    path = Path(file)
    for root, package in OURS.items():
        if path.is_relative_to(root / package):
            parts = path.relative_to(root).with_suffix("").parts
            return ".".join(part for part in parts if part != "__init__")
    return None


def is_called_by_a_fake(frame: FrameType) -> bool:
    """Whether an end that the tests play has called this, straight or not."""
    caller = frame.f_back
    while caller is not None:
        if "/companion/fakes/fake_" in caller.f_code.co_filename:
            return True
        caller = caller.f_back
    return False


@in_virtual_time
async def test_one_automatic_refresh_goes_through_few_modules(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(12, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        await asyncio.sleep(1)  # virtual: what a new call needs is over
        it._reading.cancel()
        await asyncio.gather(it._reading, return_exceptions=True)
        files: set[str] = set()

        def note(frame: FrameType, _event: str, _arg: object) -> None:
            if name_of(frame.f_code.co_filename) and not is_called_by_a_fake(frame):
                files.add(frame.f_code.co_filename)

        sys.setprofile(note)
        try:
            await it.until(lambda: it.edge.records[key(call)].refreshes == 1)
            sent = it.now
            await it.until_after(sent + 3)  # the record is read, and the call waits for its next turn
        finally:
            sys.setprofile(None)
        modules = sorted(filter(None, map(name_of, files)))
    assert len(modules) <= MOST, "\n".join([f"{len(modules)} modules:", *modules])
    assert "session_timer_companion.timers.driver" in modules
