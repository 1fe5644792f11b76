"""A real Chromium without a screen, in a container on this host's network, driven by its DevTools protocol.

async with chromium() as browser, browser.page() as page:
    await page.go("http://127.0.0.1:8080/")
    await page.until("document.title === 'Session timers'")
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.lab.waiting import wait_until

IMAGE = "session-timer/browser:trixie"

STARTS = 30.0
"""Seconds within which the browser must answer."""

WAITS = 15.0
"""Seconds for which a page is waited for."""


class PageError(Exception):
    """The page did not do what was asked, or not in time."""


@dataclass
class Page:
    """One tab. What its script throws, and whatever its policy stops, is in `errors`."""

    _socket: aiohttp.ClientWebSocketResponse
    errors: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)

    async def listen(self) -> None:
        """Take in what the browser says, until the tab is closed."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(said["params"]["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.errors.append(said["params"]["entry"]["text"])

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """One command of the protocol, and its result. Raises `PageError`."""
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        said = await asyncio.wait_for(answered, WAITS)
        if "error" in said:
            raise PageError(f"{method}: {said['error']['message']}")
        return dict(said["result"])

    async def go(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def value(self, script: str) -> Any:
        """What an expression is in the page, a promise when it is kept. Raises `PageError` if it throws."""
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise PageError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true in the page. Raises `PageError` if it does not become so."""
        try:
            async with asyncio.timeout(WAITS):
                while not await self.value(f"Boolean({script})"):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            seen = await self.value("document.body.innerText")
            raise PageError(f"not within {WAITS:g} s: {script}\nThe page shows:\n{seen}") from None

    async def press(self, key: str, text: str = "") -> None:
        """Press and release one key, such as ``Tab``; `text` is what it types."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        code = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0)}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **code)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    async def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        await self.call("Input.insertText", text=text)

    async def looks(self, width: int, height: int = 900, scheme: str = "light") -> None:
        """A screen of this size, light or dark."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        await self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    async def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader would say."""
        tree = await self.call("Accessibility.getFullAXTree")
        return [
            (node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""))
            for node in tree["nodes"]
            if not node.get("ignored")
        ]

    async def picture(self, file: Path, *, whole: bool = True) -> None:
        """Keep what the page looks like as a PNG."""
        taken = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(taken["data"]))


@dataclass(frozen=True)
class Browser:
    """A running Chromium."""

    port: int

    @asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """A tab of its own, until the end of the block."""
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as http:
            async with http.put("/json/new?about:blank") as answer:
                tab = await answer.json()
            async with http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as opened:
                page = Page(opened)
                listening = asyncio.create_task(page.listen())
                for part in ("Page", "Runtime", "Log", "Accessibility"):
                    await page.call(f"{part}.enable")
                try:
                    yield page
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
            async with http.get(f"/json/close/{tab['id']}"):
                pass


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a Chromium; it ends with the block. Raises `PageError` if it does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = f"session-timer-browser-{uuid.uuid4().hex[:8]}"
    # The container is its sandbox: it sees this host's loopback, and nothing of its files.
    command = ["docker", "run", "--rm", "--detach", "--name", name, "--network", "host", IMAGE]
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--user-data-dir=/tmp/profile",
        f"--remote-debugging-port={port}",
    ]
    done = subprocess.run([*command, "chromium", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PageError(f"no browser (`make images` builds it): {done.stderr.strip()}")
    try:
        wait_until(lambda: _answers(port), STARTS, "the browser answers")
        yield Browser(port)
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def _answers(port: int) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{port}/json/version", timeout=2
        ):
            return True
    except OSError:
        return False
