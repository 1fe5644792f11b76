"""The companion's page in a real Chromium: what it shows, what it does, whom it lets in, who can read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from session_timer_companion.http.server import serve
from session_timer_companion.http.sockets import listening

from tests.companion.fakes.world import Agreement, Side, World, answers, world
from tests.lab.browser import Browser, Page, chromium

OURS = Agreement(1800, Side.LOCAL)
SHORT = Agreement(20, Side.LOCAL)
TOKEN = "a-token-of-these-tests"  # noqa: S105
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>&amp;'"
ROWS = "document.querySelectorAll('#call-rows tr').length"
PEERS: list[dict[str, object]] = [
    {"name": "carrier-a", "match": {"name": ["carrier-a"]}, "session_timer": {}},
    {"name": "carrier-b", "match": {"name": ["carrier-b"]}, "session_timer": {}},
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@asynccontextmanager
async def shown(it: World, browser: Browser, token: str | None = None) -> AsyncIterator[tuple[Page, str]]:
    """The page of this world's companion in a tab of its own, and its address."""
    assert it.companion is not None
    it.companion.configuration = replace(it.companion.configuration, http_token=token)
    with listening("127.0.0.1", 0) as doors:
        url = f"http://127.0.0.1:{doors[0].getsockname()[1]}/"
        async with serve(it.companion, doors), browser.page() as page:
            await page.looks(1280)
            await page.go(url)
            yield page, url


async def text(page: Page, selector: str) -> str:
    return str(await page.value(f"document.querySelector({selector!r}).innerText"))


async def click(page: Page, label: str) -> None:
    """Press the button that has this label and can be seen."""
    script = f"""[...document.querySelectorAll('button')].find(
        (each) => each.textContent === {label!r} && each.offsetParent !== null)"""
    await page.until(script)
    await page.value(f"{script}.click()")


async def test_calls_are_shown_by_urgency_found_by_number_and_their_bars_run(
    tmp_path: Path, browser: Browser
) -> None:
    async with world(tmp_path, peers=PEERS) as it:
        late = it.call("late@198.18.0.40", OURS, peer="carrier-a")
        it.call("soon@198.18.0.41", SHORT, peer="carrier-b")
        late.caller_number = "4930123456"
        it.asterisk.answer(late)
        await it.until(lambda: len(it.tracker.by_key) == 2)
        next(iter(it.tracker.by_key.values())).numbers_utf8 = b"4930123456 200"
        async with shown(it, browser) as (page, _):
            await page.until(f"{ROWS} === 2")
            assert "Ready: 2 calls tracked" in await text(page, "#state")
            assert "soon@198.18.0.41" in await text(page, "#call-rows tr:first-child")
            width = "parseFloat(document.querySelector('#call-rows .bar > div').style.width)"
            before = await page.value(width)
            await page.until(f"{width} < {before}")
            for word, found in (("0123456", "late@"), ("CARRIER-B", "soon@"), ("soon@198", "soon@")):
                await page.value(f"document.querySelector('#search').value = '{word}'")
                await page.value("document.querySelector('#search').dispatchEvent(new Event('input'))")
                await page.until(f"{ROWS} === 1")
                await page.until(f"document.querySelector('#call-rows').innerText.includes({found!r})")
                assert "1 of 2 calls" in await text(page, "#count")
            assert page.errors == []


async def test_what_a_peer_has_named_is_text_and_nothing_of_it_runs(tmp_path: Path, browser: Browser) -> None:
    async with world(tmp_path) as it:
        call = it.call(EVIL, OURS)
        await it.until(lambda: it.is_tracked(call))
        it.tracked(call).numbers_utf8 = EVIL.encode()
        async with shown(it, browser) as (page, _):
            await page.until(f"{ROWS} === 1")
            await page.value("document.querySelector('#call-rows button').click()")
            await page.until("document.querySelector('#call-body ol')")
            assert EVIL in await text(page, "#call-title")
            assert await page.value("document.title") == "Session timers"
            assert await page.value("document.querySelectorAll('#all img, #all script').length") == 0
            assert page.errors == []
            # And were there a way in, the policy would stop what comes by it.
            await page.value(
                "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')"
            )
            await page.until("true")
            assert await page.value("window.ran") is None
            assert any("Content Security Policy" in error for error in page.errors)


async def test_one_call_is_refreshed_excluded_and_hung_up_from_the_page(
    tmp_path: Path, browser: Browser
) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1@198.18.0.40", OURS)
        await it.until(lambda: it.is_tracked(call))
        async with shown(it, browser) as (page, _):
            await page.until(f"{ROWS} === 1")
            await page.value("document.querySelector('#call-rows button').click()")
            assert await page.value("document.activeElement.id") == "call", "the focus goes with it"
            await click(page, "Refresh now")
            await page.until("document.querySelector('#said').textContent.includes('UPDATE: confirmed')")
            await page.until("document.querySelector('#call-body').innerText.includes('our refresh')")
            assert it.confirmed(call) == 1
            it.peer = answers(488)
            await click(page, "Refresh now")
            await page.until("document.querySelector('#said').textContent.includes('refused')")
            await click(page, "Exclude")
            await page.until("document.querySelector('#standing').innerText.includes('Calls excluded')")
            await page.until("document.querySelector('#excluded').innerText.includes('call-1@198.18.0.40')")
            assert it.companion.operator.holds.excluded
            await click(page, "Include again")
            await it.until(lambda: not it.companion.operator.holds.excluded)  # type: ignore[union-attr]
            await click(page, "Hang up")
            assert it.alive(call), "the first press only asks"
            await click(page, "Press again to hang up")
            await it.until(lambda: not it.alive(call))
            await page.until("document.querySelector('#ended-rows').innerText.includes('worth a look')")
            await page.until("document.querySelector('#call-body').innerText.includes('operator has hung')")
            assert page.errors == []


async def test_a_pause_shows_and_is_taken_back(tmp_path: Path, browser: Browser) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        async with shown(it, browser) as (page, _):
            await click(page, "Pause")
            assert not it.companion.operator.holds.paused
            await click(page, "Press again to pause")
            await page.until("document.querySelector('#state').textContent.includes('paused')")
            assert it.companion.operator.holds.paused
            await click(page, "Resume")
            await page.until("!document.querySelector('#state').textContent.includes('paused')")
            assert not it.companion.operator.holds.paused
            it.companion.brake.on = True
            await page.until("document.querySelector('#state').textContent.includes('brake is on')")
            await click(page, "Resume")
            await page.until("!document.querySelector('#state').textContent.includes('brake')")
            assert not it.companion.brake.on


async def test_peers_have_their_success_rate_and_response_time(tmp_path: Path, browser: Browser) -> None:
    async with world(tmp_path, peers=PEERS) as it:
        assert it.companion is not None
        calls = [it.call(f"call-{n}", OURS, peer="carrier-a") for n in range(4)]
        await it.until(lambda: len(it.tracker.by_key) == 4)
        for call in calls:
            it.peer = answers(200 if call is not calls[0] else 488)
            await it.companion.actions.refresh(it.tracker, it.tracked(call))
        async with shown(it, browser) as (page, _):
            await page.until("document.querySelectorAll('#peer-rows tr').length === 3")
            first = await text(page, "#peer-rows tr:first-child")
            assert "carrier-a" in first
            assert "3 (75.0 %)" in first
            assert "1 refused" in first
            assert "s at most for half" in first
            it.tracker.driver.learned.learn("198.51.100.10:5060")
            await page.until("document.querySelector('#learned').innerText.includes('198.51.100.10:5060')")


async def test_with_a_token_nothing_is_shown_before_it_is_given(tmp_path: Path, browser: Browser) -> None:
    async with world(tmp_path) as it:
        call = it.call("secret-call", OURS)
        await it.until(lambda: it.is_tracked(call))
        async with shown(it, browser, TOKEN) as (page, url):
            await page.until("!document.querySelector('#login').hidden")
            assert "secret-call" not in await text(page, "body")
            await page.value("document.querySelector('#token').focus()")
            await page.type("a-wrong-token-0123")
            await page.press("Enter", "\r")
            await page.until("document.querySelector('#token').value === ''")
            await page.until("!document.querySelector('#login').hidden")
            await page.value("document.querySelector('#token').focus()")
            await page.type(TOKEN)
            await page.press("Enter", "\r")
            await page.until(f"{ROWS} === 1")
            await click(page, "Pause")
            await click(page, "Press again to pause")
            await page.until("document.querySelector('#state').textContent.includes('paused')")
            # The same tab knows it after a reload.
            await page.go(url)
            await page.until(f"{ROWS} === 1")


async def test_a_companion_that_went_away_is_said_and_what_is_shown_is_called_older(
    tmp_path: Path, browser: Browser
) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        async with browser.page() as page:
            with listening("127.0.0.1", 0) as doors:
                port = doors[0].getsockname()[1]
                async with serve(it.companion, doors):
                    await page.go(f"http://127.0.0.1:{port}/")
                    await page.until(f"{ROWS} === 1")
                await page.until("document.querySelector('#trouble').offsetParent !== null")
                assert "does not answer since" in await text(page, "#trouble")
            with listening("127.0.0.1", port) as doors:
                async with serve(it.companion, doors):
                    await page.until("document.querySelector('#trouble').hidden")


async def test_a_screen_reader_finds_landmarks_names_and_tables(tmp_path: Path, browser: Browser) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        async with shown(it, browser) as (page, _):
            await page.until(f"{ROWS} === 1")
            await page.value("document.querySelector('#call-rows button').click()")
            await page.until("document.querySelector('#call-body ol')")
            found = await page.accessible()
            for wanted in (
                ("banner", ""),
                ("main", ""),
                ("contentinfo", ""),
                ("heading", "Session timers"),
                ("region", "Calls"),
                ("region", "Call call-1"),
                ("region", "Readiness, and what is held back"),
                ("region", "Peers, since the companion started"),
                ("search", ""),
                ("searchbox", "Search by Call-ID, number or peer"),
                ("columnheader", "Next step"),
                ("button", "call-1"),
                ("button", "Hang up"),
                ("link", "To the calls"),
            ):
                assert wanted in found, wanted
            nameless = [
                role
                for role, name in found
                if role in ("button", "link", "searchbox", "textbox") and not name
            ]
            assert nameless == []
            assert await page.value("document.documentElement.lang") == "en"
            # What runs is not read out each second; what an operator did is, and politely.
            assert await page.value("document.querySelector('#said').getAttribute('aria-live')") == "polite"
            assert (
                await page.value("document.querySelectorAll('table [aria-live], table [role=status]').length")
                == 0
            )


async def test_the_keyboard_alone_is_enough(tmp_path: Path, browser: Browser) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        async with shown(it, browser) as (page, _):
            await page.until(f"{ROWS} === 1")
            reached = []
            for _ in range(6):
                await page.press("Tab")
                reached.append(
                    await page.value("document.activeElement.textContent || document.activeElement.id")
                )
            assert reached[:4] == ["To the calls", "Pause", "search", "call-1"]
            await page.value("document.querySelector('#call-rows button').focus()")
            await page.press("Enter", "\r")
            await page.until("!document.querySelector('#call').hidden")
            # The row is drawn anew each two seconds, and the focus stays where it is.
            await page.value("document.querySelector('#call-rows button').focus()")
            read = await text(page, "#foot")
            await page.until(f"document.querySelector('#foot').innerText !== {read!r}")
            assert await page.value("document.activeElement.textContent") == "call-1"
            await page.press("Escape")
            assert await page.value("document.querySelector('#call').hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_has_enough_contrast(tmp_path: Path, browser: Browser, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    async with world(tmp_path) as it:
        calls = [it.call(f"call-{n}", agreed) for n, agreed in enumerate((OURS, SHORT, None))]
        await it.until(lambda: len(it.tracker.by_key) == len(calls))
        async with shown(it, browser) as (page, _):
            await page.looks(1280, scheme=scheme)
            await page.until(f"{ROWS} === 3")
            await page.value("document.querySelector('#call-rows button').click()")
            await page.until("document.querySelector('#call-body ol')")
            poor = await page.value(CONTRAST)
            assert poor == []
            dark = await page.value("getComputedStyle(document.body).backgroundColor")
            assert (dark == "rgb(18, 22, 27)") is (scheme == "dark")


@pytest.mark.parametrize("width", [320, 390, 768])
async def test_a_phone_shows_it_without_scrolling_sideways(
    tmp_path: Path, browser: Browser, width: int
) -> None:
    async with world(tmp_path) as it:
        call = it.call("a-call-id-without-any-place-to-break-" + "x" * 120, OURS)
        await it.until(lambda: it.is_tracked(call))
        async with shown(it, browser) as (page, _):
            await page.looks(width)
            await page.until(f"{ROWS} === 1")
            await page.value("document.querySelector('#call-rows button').click()")
            await page.until("document.querySelector('#call-body ol')")
            assert await page.value("document.documentElement.scrollWidth") <= width


async def test_of_many_calls_the_most_urgent_hundred_are_drawn(tmp_path: Path, browser: Browser) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-0", OURS)
        await it.until(lambda: it.is_tracked(call))
        one = it.tracked(call)
        for n in range(1, 3_000):
            key = f"call-{n};a;b"
            it.tracker.by_key[key] = replace(one, key=key, wake=None)
        async with shown(it, browser) as (page, _):
            await page.until(f"{ROWS} === 100")
            assert "3000 of 3000 calls, the first 100 shown" in await text(page, "#count")
            assert "call-0" in await text(page, "#call-rows tr:first-child")
            await asyncio.sleep(0)


CONTRAST = """(() => {
  const parts = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((part) => {
      const share = part / 255;
      return share <= .03928 ? share / 12.92 : ((share + .055) / 1.055) ** 2.4;
    });
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.offsetParent === null) continue;
    const a = light(getComputedStyle(element).color), b = light(behind(element));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(`${element.tagName} ${element.textContent.slice(0, 40)} ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""
"""Every element with text of its own whose contrast with what is behind it is too small."""
