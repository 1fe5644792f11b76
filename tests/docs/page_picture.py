"""``python -m tests.docs.page_picture``: the companion's page as docs/how-to/companion.md shows it.

A companion with a few calls of two carriers, on the fakes of its tests; what the browser draws is the page.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import structlog
from session_timer import Agreement, Side
from session_timer_companion.http.server import serve
from session_timer_companion.http.sockets import listening

from tests.companion.fakes.world import World, answers, world
from tests.lab.browser import Browser, chromium

IMAGES = Path(__file__).parents[2] / "docs/images"
OURS, THEIRS, SHORT = Agreement(1800, Side.LOCAL), Agreement(1800, Side.REMOTE), Agreement(90, Side.LOCAL)
PEERS: list[dict[str, object]] = [
    {"name": name, "match": {"name": [name]}, "session_timer": {}} for name in ("carrier-a", "carrier-b")
]
CALLS = (
    ("3f9c2b71@192.0.2.20", OURS, 240.0, "carrier-a", "+493012345678", "1000"),
    ("a84b4c76e66710@192.0.2.20", THEIRS, 1500.0, "carrier-a", "+441632960001", "1001"),
    ("f81d4fae-7dec-11d0@198.51.100.10", SHORT, 20.0, "carrier-b", "+33199001234", "1002"),
    ("01fa2c@198.51.100.10", OURS, 700.0, "carrier-b", "+34910123456", "1003"),
    ("e2d9@203.0.113.7", None, 60.0, "", "+3932012345", "1004"),
)
SHOWN = CALLS[2][0]


async def _play(it: World) -> None:
    """Calls come, are refreshed, one is refused, one ends."""
    channels = []
    for call_id, agreed, age, peer, caller, called in CALLS:
        channel = it.call(call_id, agreed, age=age, peer=peer, ring=True)
        channel.caller_number, channel.connected_number = caller, called
        it.asterisk.answer(channel)
        channels.append(channel)
    gone = it.call("c0ffee@192.0.2.20", OURS, peer="carrier-a")
    await it.until(lambda: len(it.tracker.by_key) == len(CALLS) + 1)
    it.asterisk.hangup(gone)
    assert it.companion is not None
    for number in (0, 1, 2, 3, 2):
        it.peer = answers(488 if number == 1 else 200)
        await it.companion.actions.refresh(it.tracker, it.tracked(channels[number]))
    it.peer = answers(200)


async def _draw(browser: Browser, url: str) -> None:
    async with browser.page() as page:
        for name, width, scheme in (("page", 1280, "light"), ("page-phone", 390, "dark")):
            await page.looks(width, scheme=scheme)
            await page.go(url)
            await page.until(f"document.querySelectorAll('#call-rows tr').length === {len(CALLS)}")
            await page.value(
                f"[...document.querySelectorAll('#call-rows button')].find("
                f"(each) => each.textContent === {SHOWN!r}).click()"
            )
            await page.until("document.querySelector('#call-body ol')")
            await page.value("document.activeElement.blur()")
            await page.picture(IMAGES / f"{name}.png")
            print(f"docs/images/{name}.png")


async def main() -> None:
    """Draw both pictures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        async with world(Path(folder), peers=PEERS) as it:
            await _play(it)
            assert it.companion is not None
            with listening("127.0.0.1", 0) as doors:
                async with serve(it.companion, doors):
                    await _draw(browser, f"http://127.0.0.1:{doors[0].getsockname()[1]}/")


if __name__ == "__main__":
    asyncio.run(main())
