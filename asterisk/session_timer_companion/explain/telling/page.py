"""All calls of a trace as one self-contained HTML page, written call by call."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from session_timer_companion.explain.drawing import html
from session_timer_companion.explain.drawing.svg import svg
from session_timer_companion.explain.judging.verdict import Explained, Verdict
from session_timer_companion.explain.telling import report, sentences
from session_timer_companion.printable import printable

MOST_NAMED = 500
"""Calls that the summary leads to; more would be no summary."""


def begin(name: str) -> str:
    """The page up to its first call."""
    return html.head(
        f"Session timers in {name}", f"Session timers in {name}", "What was agreed, kept and broken."
    )


def end(calls: int, broken: Sequence[int]) -> str:
    """The end of the page: its summary, which a browser shows first, with a link to each call of `broken`."""
    links = " ".join(f'<a href="#call-{number}">{number}</a>' for number in broken[:MOST_NAMED])
    more = f" and {len(broken) - MOST_NAMED} more" if len(broken) > MOST_NAMED else ""
    mark = "bad" if broken else "good"
    where = f"<br>{links}{more}" if broken else ""
    return (
        f'<p class="{mark} first"><b>{escape(report.summary(calls, len(broken)))}</b>{where}</p>\n{html.FOOT}'
    )


def section(number: int, call: Explained, *, timed: bool = True) -> str:
    """One call."""
    mark = "bad" if call.broken else "good"
    notes = "".join(f"<p>{_text(remark)}</p>" for remark in report.remarks(call, timed=timed))
    rows = [
        f"<tr>{html.cells('Agreed', *map(printable, (report.agreed_words(one, call.begin),)))}</tr>"
        for dialog in call.dialogs
        for one in dialog.agreed
    ]
    rows += [
        f"<tr>{html.cells('Refresh', printable(report.refresh_words(one)))}</tr>"
        for dialog in call.dialogs
        for one in dialog.refreshes
    ]
    rows.append(f"<tr>{html.cells('Ended', printable(report.ended(call)))}</tr>")
    verdicts = "\n".join(_verdict(call, one, timed=timed) for one in call.verdicts)
    return f"""<section>
<h2 id="call-{number}">{number}. {_text(call.call_id)}</h2>
<p class="faint">{_text(report.moment(call.begin, timed=timed))}</p>
<p class="{mark}"><b>{_text(report.conclusion(call))}</b></p>
{notes}{html.table(("", "What was seen"), rows)}
{verdicts}
{html.drawn(svg(call.ladder()))}{html.drawn(svg(call.draw_legs())) if call.draw_legs is not None else ""}
</section>
"""


def _verdict(call: Explained, verdict: Verdict, *, timed: bool) -> str:
    rule = f"{', '.join(verdict.rule.requirements)} ({verdict.rule.section})"
    rows = [("Rule", rule), ("Where", verdict.message), ("Stood", verdict.stood), ("Due", verdict.due)]
    when = report.moment(verdict.at, timed=timed)
    rows += [(f"Change, {whom}", line) for whom, line in sentences.changes(verdict, call.call_id, when)]
    body = [f"<tr>{html.cells(name, printable(text))}</tr>" for name, text in rows]
    return f"<p><b>{verdict.level}</b>: {_text(sentences.what(verdict))}</p>\n{html.table((), body)}"


def _text(text: str) -> str:
    return escape(printable(text))
