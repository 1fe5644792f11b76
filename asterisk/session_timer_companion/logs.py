"""Log lines as logfmt or JSON, with the Call-ID in each line of a call; other libraries' lines among them."""

from __future__ import annotations

import io
import logging
import sys
from typing import Literal, TextIO, cast

import structlog
from prometheus_client import Counter
from structlog.typing import Processor

from session_timer_companion.printable import printable

LOST = Counter("session_timer_log_lines_lost", "Log lines that could not be written.", registry=None)


class _Lossy(io.TextIOBase):
    """Writes to `out` what can be written. What cannot is counted, and whoever wrote it does not notice."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        try:
            self._out.write(printable(text))
            self._out.flush()
        except (OSError, ValueError):  # a full disk, a reader that has gone; a stream that is closed
            LOST.inc()
        return len(text)


def configure(form: Literal["logfmt", "json"], level: str, stream: TextIO | None = None) -> None:
    """Write every log line, ours and those of the standard `logging`, to `stream` (standard error)."""
    out = cast("TextIO", _Lossy(stream or sys.stderr))
    shared: list[Processor] = [
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


def silence() -> None:
    """Write no log line at all: the command at hand tells by itself what there is to tell."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logging.disable(logging.CRITICAL)
