"""What the companion shows over HTTP: metrics, health, readiness, sessions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from session_timer_companion.watch import Watch

if TYPE_CHECKING:
    from session_timer_companion.daemon import Companion

_COMPANION: web.AppKey[Companion] = web.AppKey("companion")


class HttpError(Exception):
    """The address cannot be served: why, and what to do."""


@asynccontextmanager
async def serve(companion: Companion, host: str, port: int) -> AsyncIterator[None]:
    """Serve until the end of the block. Raises `HttpError`."""
    app = web.Application()
    app[_COMPANION] = companion
    app.add_routes(
        [
            web.get("/metrics", _metrics),
            web.get("/healthz", _health),
            web.get("/readyz", _readiness),
            web.get("/sessions", _sessions),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise HttpError(
            f"companion.http: cannot listen on {host}:{port}: {error.strerror}; "
            "is another companion running? Set companion.http.port, or enabled: false"
        ) from None
    try:
        yield
    finally:
        await runner.cleanup()


async def _metrics(request: web.Request) -> web.Response:
    companion = request.app[_COMPANION]
    for keeper in companion.keepers:
        count = Counter(_refresher(watch) for watch in keeper.by_key.values())
        for refresher in ("local", "remote", "none"):
            companion.measures.sessions.labels(keeper.name, refresher).set(count[refresher])
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(companion.measures.registry), headers={"Content-Type": content_type})


async def _health(request: web.Request) -> web.Response:
    alive = request.app[_COMPANION].alive()
    return web.json_response({"alive": alive}, status=200 if alive else 503)


async def _readiness(request: web.Request) -> web.Response:
    companion = request.app[_COMPANION]
    state = {
        "asterisk": {
            keeper.name: "ready" if keeper.ready else str(keeper.ami.last_error or "starting")
            for keeper in companion.keepers
        },
        "edge": {edge.address: "ready" if edge.up else "no answer" for edge in companion.edges.all()},
    }
    return web.json_response(state, status=200 if companion.ready else 503)


async def _sessions(request: web.Request) -> web.Response:
    companion = request.app[_COMPANION]
    return web.json_response(
        [shown(keeper.name, watch) for keeper in companion.keepers for watch in keeper.by_key.values()]
    )


def _refresher(watch: Watch) -> str:
    agreed = watch.session.dialog.agreement
    return str(agreed.refresher) if agreed else "none"


def shown(asterisk: str, watch: Watch) -> dict[str, Any]:
    """One call, as others see it. Times are seconds from now."""
    now = asyncio.get_running_loop().time()
    session = watch.session
    agreed = session.dialog.agreement
    return {
        "asterisk": asterisk,
        "call_id": watch.call_id,
        "channel": watch.channel,
        "edge": watch.edge.address if watch.edge is not None else None,
        "state": str(session.state),
        "refresher": _refresher(watch),
        "interval": agreed.interval if agreed else 0,
        "since": round(session.since - now, 3),
        "due": None if session.wake is None else round(session.wake - now, 3),
        "deadline": None if session.deadline is None else round(session.deadline - now, 3),
        "refreshes": max(watch.refreshes, 0),
        "method": str(session.method),
        "refused": list(session.refused),
    }
