"""What the companion shows over HTTP: metrics, health, sessions; and the one thing it does: refresh."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from session_timer_companion import __version__
from session_timer_companion.api import NO_CALL
from session_timer_companion.channels.asterisk_channels import lacks, written
from session_timer_companion.companion import Companion
from session_timer_companion.http.views import shown, standings
from session_timer_companion.timers import manual_refresh
from session_timer_companion.timers.tracked_call import TrackedCall
from session_timer_companion.tracking.tracker import CallTracker

_USUAL = (("local", "ours"), ("remote", "theirs"), ("none", "off"))
"""Refresher and state of a call that only waits: shown even where there is none."""

AT_A_TIME = 100
"""Calls that are told of in one go: 100,000 take seconds, and nobody's turn may be late for it."""

_COMPANION: web.AppKey[Companion] = web.AppKey("companion")


@asynccontextmanager
async def serve(companion: Companion, doors: Iterable[socket.socket]) -> AsyncIterator[None]:
    """Serve whoever comes to these sockets (`sockets.py`) until the end of the block."""
    app = web.Application()
    app[_COMPANION] = companion
    app.add_routes(
        [
            web.get("/metrics", _metrics),
            web.get("/healthz", _health),
            web.get("/readyz", _readiness),
            web.get("/sessions", _sessions),
            web.get("/sessions/{call_id:.+}", _session),
            web.post("/sessions/{call_id:.+}/refresh", _refresh),
            web.post("/resume", _resume),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        for door in doors:
            await web.SockSite(runner, door).start()
        yield
    finally:
        await runner.cleanup()


async def _metrics(request: web.Request) -> web.Response:
    companion = request.app[_COMPANION]
    sessions = companion.metrics.sessions
    sessions.clear()
    for tracker in companion.trackers:
        companion.metrics.waiting.labels(tracker.name).set(tracker.driver.waiting)
        companion.metrics.held.labels(tracker.name).set(tracker.driver.held)
        for standing in _USUAL:
            sessions.labels(tracker.name, *standing).set(0)
        for standing, calls in standings(tracker.by_key.values()).items():
            sessions.labels(tracker.name, *standing).set(calls)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(companion.metrics.registry), headers={"Content-Type": content_type})


async def _health(request: web.Request) -> web.Response:
    alive = request.app[_COMPANION].alive()
    return web.json_response({"alive": alive}, status=200 if alive else 503)


async def _readiness(request: web.Request) -> web.Response:
    companion = request.app[_COMPANION]
    report = {
        "version": __version__,
        "asterisk": {
            tracker.name: "ready" if tracker.ready else str(tracker.ami.last_error or "starting")
            for tracker in companion.trackers
        },
        "edge": {
            edge.name: "ready" if edge.up else edge.reason or "not asked yet"
            for edge in companion.edges.all()
        },
        "role": {
            tracker.name: "leading" if tracker.driver.leading else "standing by"
            for tracker in companion.trackers
        },
        "release": {tracker.name: _release(tracker.channels.release) for tracker in companion.trackers},
        "brake": "on" if companion.brake.on else "off",
    }
    return web.json_response(report, status=200 if companion.ready else 503)


def _release(release: int | None) -> str:
    """An Asterisk's release, and what it lacks."""
    if release is None:
        return "unknown"
    missing = lacks(release)
    return f"{written(release)} lacks {missing}" if missing else written(release)


async def _sessions(request: web.Request) -> web.StreamResponse:
    now = asyncio.get_running_loop().time()
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    separator = b"["
    for tracker in request.app[_COMPANION].trackers:
        tracked_calls = list(tracker.by_key.values())
        for start in range(0, len(tracked_calls), AT_A_TIME):
            some = tracked_calls[start : start + AT_A_TIME]
            told = json.dumps([shown(tracker.name, tracked, now) for tracked in some])
            await response.write(separator + told[1:-1].encode())
            separator = b", "
            await asyncio.sleep(0)
    await response.write(b"[]" if separator == b"[" else b"]")
    return response


async def _session(request: web.Request) -> web.Response:
    now = asyncio.get_running_loop().time()
    return web.json_response([shown(tracker.name, tracked, now) for tracker, tracked in _named(request)])


async def _resume(request: web.Request) -> web.Response:
    _refuse_pages(request)
    return web.json_response({"was_on": request.app[_COMPANION].brake.release()})


def _refuse_pages(request: web.Request) -> None:
    if "Origin" in request.headers:
        # A page in somebody's browser is not the operator.
        raise web.HTTPForbidden(text="not from a web page")


async def _refresh(request: web.Request) -> web.Response:
    _refuse_pages(request)
    named = _named(request)
    return web.json_response(
        await asyncio.gather(*[manual_refresh.refresh(tracker, tracked) for tracker, tracked in named])
    )


def _named(request: web.Request) -> list[tuple[CallTracker, TrackedCall]]:
    """Every dialog with the Call-ID in the path: forks and both legs of a call may share it."""
    call_id = request.match_info["call_id"]
    found = [
        (tracker, tracked)
        for tracker in request.app[_COMPANION].trackers
        for key, tracked in tracker.by_key.items()
        if key.startswith(call_id) and tracked.call_id == call_id
    ]
    if not found:
        raise web.HTTPNotFound(text=f"{NO_CALL} {call_id} is tracked")
    return found
