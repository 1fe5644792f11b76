"""What the companion shows over HTTP: metrics, health, the page, calls; and what operators ask for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from session_timer_companion.api import NO_CALL, NO_PROFILE
from session_timer_companion.companion import Companion
from session_timer_companion.control.actions import FASTEST, Busy
from session_timer_companion.http import page, past
from session_timer_companion.http.access import Access
from session_timer_companion.http.overview import MOST, overview, readiness
from session_timer_companion.http.views import shown, standings
from session_timer_companion.timers.tracked_call import TrackedCall
from session_timer_companion.tracking.tracker import CallTracker

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_USUAL = (("local", "ours"), ("remote", "theirs"), ("none", "off"))
"""Refresher and state of a call that only waits: shown even where there is none."""

AT_A_TIME = 100
"""Calls that are told of in one go: 100,000 take seconds, and nobody's turn may be late for it."""

_COMPANION: web.AppKey[Companion] = web.AppKey("companion")
_ACCESS: web.AppKey[Access] = web.AppKey("access")

_SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""Headers of every response: nothing is kept, and nothing is taken for what it is not."""


@asynccontextmanager
async def serve(companion: Companion, doors: Iterable[socket.socket]) -> AsyncIterator[None]:
    """Serve whoever comes to these sockets (`sockets.py`) until the end of the block."""
    configuration = companion.configuration
    settings = configuration.settings.http
    app = web.Application(middlewares=[_guard])
    app[_COMPANION] = companion
    app[_ACCESS] = Access.of(configuration.http_token, (settings.host, *settings.hosts))
    app.add_routes(
        [
            web.get("/", _page),
            web.get("/overview", _overview),
            web.get("/metrics", _metrics),
            web.get("/healthz", _health),
            web.get("/readyz", _readiness),
            web.get("/sessions", _sessions),
            web.get("/sessions/{call_id:.+}/log", _log),
            web.get("/sessions/{call_id:.+}", _session),
            web.post("/sessions/{call_id:.+}/refresh", _refresh),
            web.post("/sessions/{call_id:.+}/hangup", _hang_up),
            web.post("/sessions/{call_id:.+}/exclude", _exclude),
            web.post("/sessions/{call_id:.+}/resume", _include),
            web.post("/peers/{peer}/refresh", _refresh_peer),
            web.post("/pause", _pause),
            web.post("/resume", _resume),
        ]
    )
    app.on_response_prepare.append(_safe)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        for door in doors:
            await web.SockSite(runner, door).start()
        yield
    finally:
        await runner.cleanup()


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve what `access.py` allows."""
    refusal = request.app[_ACCESS].refusal(request.method, request.path, request.headers)
    if refusal is None:
        return await handler(request)
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
    return web.Response(status=refusal.status, text=refusal.reason, headers=headers)


async def _safe(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_SAFE)


async def _page(_request: web.Request) -> web.Response:
    content, policy = page.page()
    return web.Response(
        body=content, content_type="text/html", charset="utf-8", headers={"Content-Security-Policy": policy}
    )


async def _metrics(request: web.Request) -> web.Response:
    companion = request.app[_COMPANION]
    holds = companion.operator.holds
    companion.metrics.operator_pause.set(holds.paused)
    companion.metrics.excluded.set(len(holds.excluded))
    sessions = companion.metrics.sessions
    sessions.clear()
    for tracker in companion.trackers:
        companion.metrics.waiting.labels(tracker.name).set(tracker.driver.waiting)
        companion.metrics.held.labels(tracker.name).set(tracker.driver.held)
        companion.metrics.learned.labels(tracker.name).set(len(tracker.driver.learned.left()))
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
    told = readiness(companion) if request.app[_ACCESS].authorized(request.headers) else {}
    return web.json_response(told | {"ready": companion.ready}, status=200 if companion.ready else 503)


async def _sessions(request: web.Request) -> web.StreamResponse:
    now = asyncio.get_running_loop().time()
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    held = request.app[_COMPANION].operator.holds.why
    separator = b"["
    for tracker in request.app[_COMPANION].trackers:
        tracked_calls = list(tracker.by_key.values())
        for start in range(0, len(tracked_calls), AT_A_TIME):
            some = tracked_calls[start : start + AT_A_TIME]
            told = json.dumps([shown(tracker.name, each, now, held(each.key)) for each in some])
            await response.write(separator + told[1:-1].encode())
            separator = b", "
            await asyncio.sleep(0)
    await response.write(b"[]" if separator == b"[" else b"]")
    return response


async def _session(request: web.Request) -> web.Response:
    now = asyncio.get_running_loop().time()
    held = request.app[_COMPANION].operator.holds.why
    return web.json_response(
        [shown(tracker.name, each, now, held(each.key)) for tracker, each in _named(request)]
    )


async def _log(request: web.Request) -> web.Response:
    now = asyncio.get_running_loop().time()
    companion = request.app[_COMPANION]
    history, call_id = companion.operator.history, request.match_info["call_id"]
    held = companion.operator.holds.why
    told = [
        past.of_tracked(history, tracker.name, tracked, now, held(tracked.key))
        for tracker, tracked in _find(request)
    ]
    told += [past.of_ended(history, call, now) for call in history.ended_as(call_id)]
    if not told:
        raise web.HTTPNotFound(text=f"{NO_CALL} {call_id} is tracked, or was lately")
    return web.json_response(told)


async def _overview(request: web.Request) -> web.Response:
    limit = _number(request, "limit", 100, 1, MOST)
    told = await overview(request.app[_COMPANION], request.query.get("search", ""), int(limit))
    return web.json_response(told)


async def _refresh(request: web.Request) -> web.Response:
    actions = request.app[_COMPANION].actions
    return web.json_response(await asyncio.gather(*[actions.refresh(*each) for each in _named(request)]))


async def _hang_up(request: web.Request) -> web.Response:
    actions = request.app[_COMPANION].actions
    return web.json_response(await asyncio.gather(*[actions.hang_up(*each) for each in _named(request)]))


async def _exclude(request: web.Request) -> web.Response:
    actions = request.app[_COMPANION].actions
    return web.json_response([actions.exclude(*each) for each in _named(request)])


async def _include(request: web.Request) -> web.Response:
    actions = request.app[_COMPANION].actions
    return web.json_response([actions.include(*each) for each in _named(request)])


async def _pause(request: web.Request) -> web.Response:
    return web.json_response({"changed": request.app[_COMPANION].actions.pause()})


async def _resume(request: web.Request) -> web.Response:
    return web.json_response({"changed": request.app[_COMPANION].actions.resume()})


async def _refresh_peer(request: web.Request) -> web.StreamResponse:
    """One report a line, each as its outcome is known; the refreshes end when the client leaves."""
    companion, peer = request.app[_COMPANION], request.match_info["peer"]
    rate = _number(request, "rate", 1.0, 0.01, FASTEST)
    if peer not in companion.metrics.peers():
        raise web.HTTPNotFound(text=f"{NO_PROFILE} {peer}")
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson; charset=utf-8"})
    reports = companion.actions.refresh_peer(peer, rate)
    async with contextlib.aclosing(reports):
        try:
            first = await anext(reports, None)
        except Busy as error:
            raise web.HTTPConflict(text=str(error)) from None
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):  # whoever asked has left
            if first is not None:
                await response.write(json.dumps(first).encode() + b"\n")
            async for report in reports:
                await response.write(json.dumps(report).encode() + b"\n")
            await response.write_eof()
    return response


def _number(request: web.Request, name: str, default: float, least: float, most: float) -> float:
    """A number in the query. Raises HTTPBadRequest."""
    try:
        value = float(request.query.get(name, default))
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise web.HTTPBadRequest(text=f"{name}: expected a number from {least:g} to {most:g}")
    return value


def _named(request: web.Request) -> list[tuple[CallTracker, TrackedCall]]:
    """Every dialog with the Call-ID in the path; raises HTTPNotFound for none."""
    found = _find(request)
    if not found:
        raise web.HTTPNotFound(text=f"{NO_CALL} {request.match_info['call_id']} is tracked")
    return found


def _find(request: web.Request) -> list[tuple[CallTracker, TrackedCall]]:
    """Every dialog with the Call-ID in the path: forks and both legs of a call may share it."""
    call_id = request.match_info["call_id"]
    return [
        (tracker, tracked)
        for tracker in request.app[_COMPANION].trackers
        for key, tracked in tracker.by_key.items()
        if key.startswith(call_id) and tracked.call_id == call_id
    ]
