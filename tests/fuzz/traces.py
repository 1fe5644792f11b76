"""Fuzz target of the companion: a trace that is read, judged, told and drawn; nothing in it raises."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

from session_timer_companion.explain.command import explained
from session_timer_companion.explain.drawing.svg import svg
from session_timer_companion.explain.judging.judge import Settings
from session_timer_companion.explain.reading.trace import Notes, TraceError, messages
from session_timer_companion.explain.telling import data, report


def trace(data_: bytes) -> None:
    """Any bytes as a file: it is refused in one line, or every call in it is explained."""
    notes = Notes()
    refusal = ""
    calls = []
    try:
        calls = list(explained(messages("fuzz", io.BytesIO(data_), notes), notes, Settings()))
    except TraceError as error:
        refusal = str(error)
    assert "\n" not in refusal
    for call in calls:
        assert "\x1b" not in "".join(line.plain for line in report.lines(1, call))
        json.dumps(data.call(call))
        svg(call.ladder())
    list(report.about_file(notes, any_call=bool(calls)))


TRACES: dict[str, Callable[[bytes], None]] = {"trace": trace}
