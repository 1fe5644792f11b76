"""Log lines as logfmt or JSON, with the Call-ID in each line of a call; other libraries' lines among them."""

from __future__ import annotations

import atexit
import io
import logging
import sys
import threading
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog
from prometheus_client import Counter
from structlog.typing import Processor

from session_timer_companion.printable import printable

SENTENCES = {
    "agreement_changed": "A 2xx has changed the session interval or the refresher.",
    "armed": "The timer of this call runs.",
    "call_moved": "The dialog is on another channel now.",
    "call_excluded": "An operator has excluded this call: nothing is done for it.",
    "call_included": "An operator has taken the exclusion of this call back.",
    "call_untracked": "The call is over, or no longer ours.",
    "asterisk_lacks": "This release of Asterisk lacks something that the companion needs.",
    "asterisk_release": "Logged in to this release of Asterisk.",
    "brake_on": "Too many hang-ups within a minute. No call, or none with the peer that is named, is hung up "
    "until `session-timer resume`.",
    "brake_released": "An operator has released the brake.",
    "challenge_unanswered": "Asterisk did not answer the challenge: it has no credentials, or has answered "
    "nine in this call.",
    "channel_stuck": "The channel does not reply. The others go on without it.",
    "edge_down": "The edge does not reply.",
    "edge_up": "The edge replies again.",
    "edge_unknown": "The internal header names an edge that companion.edges does not have.",
    "expiry_reported": "The session expired. The profile says only to report it.",
    "hangup_put_off": "The call was to be hung up, and is not yet.",
    "header_refused": "A row of the internal header's name is not signed with our key for this call.",
    "host_paused": "This host stood still, as the edge's clock shows. Its calls are due sooner.",
    "hook_failed": "A hook was not told. The call is not touched by that.",
    "hooks_dropped": "More is to be told to hooks than they take in. What is too much is dropped.",
    "http_not_served": "HTTP is not served. Calls are kept all the same.",
    "hung_up_by_operator": "An operator has hung this call up.",
    "hung_up": "The session expired, and the call was hung up.",
    "in_sync": "Every call that Asterisk has is tracked.",
    "internal_error": "An error in our code. The calls go on, and what was due is tried again.",
    "kept_for_media": "Signalling is silent, but media of the peer flows. The call is kept.",
    "leading": "This companion leads from now on: it refreshes and hangs up.",
    "no_evidence": "Nobody can say whether a refresh took place. No call is hung up for that.",
    "orders_accepted": "Asterisk does again what it is told.",
    "orders_refused": "Asterisk refuses whatever it is told. Every 10 s one order is a trial.",
    "paused": "An operator holds everything back: nothing is sent and nobody is hung up until it is resumed.",
    "peer_alive": "No refresh of ours was answered, but the peer has sent a request since. It is kept, and "
    "refreshed again within a minute.",
    "peer_may_have_ended": "By RFC 5057 this response may mean that the peer has ended the call. It is kept.",
    "peer_refresh_started": "An operator has all calls of a peer refreshed.",
    "profile_unknown": "The internal header names a profile that our configuration does not have.",
    "record_was_refused": "The edge's table was full, and has room again: a refresh leaves a trace.",
    "refresh_asked_for": "An operator has asked for this refresh.",
    "refresh_confirmed": "The record shows the 2xx to our refresh.",
    "refresh_held": "The edge does not reply. The refresh is held back while there is time, or until a dead "
    "edge is back.",
    "refresh_not_sent": "Asterisk could not be made to send the refresh. It is tried again.",
    "refresh_outlived": "The call has outlived its refresh, so the peer has answered it.",
    "refresh_refused": "The peer has refused our refresh.",
    "refresh_seen": "The record shows a refresh of the peer, or one that was not ours.",
    "refresh_sent": "Asterisk was made to send a refresh.",
    "refresh_swallowed": "AMI reported Success, but no request has passed the edge: Asterisk sent none.",
    "refresh_timed_out": "The refresh passed the edge and was not answered. The next form follows.",
    "refresh_unknown": "No record tells what came of the refresh. The call still stands.",
    "refresh_unroutable": "The edge could not send the refresh on. That says nothing of the peer.",
    "reload_refused": "The configuration was not reloaded. What was in force stays in force.",
    "reloaded": "The configuration was reloaded. It holds for calls that come from now on.",
    "resumed": "An operator lets it go on. What was due meanwhile comes first.",
    "route_not_armed": "No request of any call has passed this edge since our start. Are its routes armed "
    "for requests within dialogs?",
    "settings_differ": "Edge and companion have different settings: they may decide differently of a call.",
    "standing_by": "Another companion leads. This one follows what happens, and sends nothing.",
    "started": "The companion has started.",
    "stopping": "The companion stops. Calls go on, and are found again at the next start.",
    "sync_refused": "Asterisk does not list its channels. The AMI account needs write = call,reporting, then "
    "`manager reload`. That holds for new logins, so we log in again.",
    "sync_retried": "Not every channel has been read yet. Reading goes on.",
    "unasked_ignored": "This peer knows no session timers, answers no refresh, and talks. It gets none for "
    "a day, and its dead calls are not found.",
    "update_swallowed": "UPDATE was swallowed and re-INVITE answered. This peer gets re-INVITE for a day.",
    "would_refresh": "The profile says observe: this refresh was not sent.",
}
"""What each event means, for a person. The events do not change when a sentence is polished."""

LOST = Counter("session_timer_log_lines_lost", "Log lines that could not be written.", registry=None)


MOST_WAITING = 10_000
"""Lines that wait to be written at most, where whoever reads them stands still."""

LAST_WORDS = 1.0
"""Seconds that the end of the process waits for lines that are not written yet."""


class _Lossy(io.TextIOBase):
    """Writes to `out` what can be written. What cannot is counted, and whoever wrote it does not notice."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        try:
            self._out.write(printable(text))
            self._out.flush()
        except (OSError, ValueError):  # a full disk, a reader that has gone; a stream that is closed
            LOST.inc(text.count("\n") or 1)
        return len(text)


class _Apart(_Lossy):
    """The same in a thread: a reader that stands still stops nobody, and what it does not take is counted."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._lines: deque[str] = deque()
        self._more = threading.Semaphore(0)
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._write_all, name="log", daemon=True).start()
        atexit.register(self._idle.wait, LAST_WORDS)

    def write(self, text: str) -> int:
        if len(self._lines) >= MOST_WAITING:
            LOST.inc()
            return len(text)
        self._idle.clear()
        self._lines.append(text)
        self._more.release()
        return len(text)

    def _write_all(self) -> None:
        while True:
            self._more.acquire()
            # Whatever else waits goes along: one write costs as much as many lines. Yet a batch has a bound,
            # or a busy writer of lines would make it grow for as long as it writes.
            lines = [self._lines.popleft()]
            while self._lines and len(lines) < MOST_WAITING and self._more.acquire(blocking=False):
                lines.append(self._lines.popleft())
            super().write("".join(lines))
            if not self._lines:
                self._idle.set()


def configure(form: Literal["logfmt", "json"], level: str, stream: TextIO | None = None) -> None:
    """Write every log line, ours and those of the standard `logging`, to `stream`.

    None: to standard error, in a thread of its own, so that nobody waits for whoever reads it.
    """
    out = cast("TextIO", _Apart(sys.stderr) if stream is None else _Lossy(stream))
    shared: list[Processor] = [
        _explained,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.processors.LogfmtRenderer(
            key_order=["ts", "level", "event", "call_id"], drop_missing=True, bool_as_flag=False
        )
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        # Straight to the stream: by way of the standard `logging` a line costs more than a refresh.
        processors=[*shared, renderer],
        logger_factory=structlog.WriteLoggerFactory(out),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(least)
    # panoramisk tells of every frame.
    logging.getLogger("panoramisk").setLevel(max(least, logging.WARNING))


def _explained(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give each event its sentence, as a field of its own at the end."""
    sentence = SENTENCES.get(line.get("event", ""))
    if sentence is not None:
        line["text"] = sentence
    return line


def silence() -> None:
    """Write no log line at all: the command at hand tells by itself what there is to tell."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logging.disable(logging.CRITICAL)
