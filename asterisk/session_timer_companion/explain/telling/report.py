"""The report of a call as lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.text import Text

from session_timer_companion.explain.drawing.terminal import TerminalLadder
from session_timer_companion.explain.judging.ending import CUTS
from session_timer_companion.explain.judging.rules import Level
from session_timer_companion.explain.judging.verdict import (
    Agreed,
    Explained,
    ExplainedDialog,
    Refreshed,
    Verdict,
)
from session_timer_companion.explain.reading.trace import CAPTURE, Notes
from session_timer_companion.explain.telling import sentences
from session_timer_companion.printable import printable

_STYLES = {Level.BROKEN: "bold red", Level.UNWISE: "yellow", Level.CAUSE: "cyan"}
_NAMES = {Level.BROKEN: "broken", Level.UNWISE: "unwise", Level.CAUSE: "cause"}


def clock(seconds: float) -> str:
    """``0.21 s``, ``14:59``, ``1:02:03``: a length of time as a person says it."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def moment(at: float, *, timed: bool = True) -> str:
    """Date and time in UTC; a time out of any calendar is shown as its seconds."""
    if not timed:
        return "at no known time"
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{at:.3f} s"


def lines(number: int, call: Explained, *, timed: bool = True, drawn: bool = True) -> Iterator[Text]:
    """The whole report of one call."""
    who = f"   {call.caller or '?'} \u2192 {call.callee or '?'}" if call.caller or call.callee else ""
    title = f"Call {number}   {call.call_id}{who}   {moment(call.begin, timed=timed)}"
    yield Text(printable(title), "bold")
    yield Text(printable(f"  {conclusion(call)}"), "bold red" if call.broken else "green")
    yield Text()
    yield from map(Text, map(printable, remarks(call, timed=timed)))
    for dialog in call.dialogs:
        yield from map(Text, map(printable, _dialog(call, dialog)))
    yield Text(printable(f"  Ended      {ended(call)}"))
    for verdict in call.verdicts:
        yield Text()
        yield from _verdict(call, verdict, timed=timed)
    if drawn:
        yield Text()
        ladder = call.ladder()
        yield from TerminalLadder(ladder.columns).whole(ladder)
    if drawn and call.draw_legs is not None:
        ladder = call.draw_legs()
        yield Text()
        yield Text(f"  {ladder.title}", "bold")
        yield from TerminalLadder(ladder.columns).whole(ladder)
    yield Text()


def line(number: int, call: Explained, *, timed: bool = True) -> Text:
    """A call in one line, where there are many."""
    mark = conclusion(call)
    return Text(
        printable(f"Call {number}   {call.call_id}   {moment(call.begin, timed=timed)}   {mark}"),
        "red" if call.broken else "",
    )


def remarks(call: Explained, *, timed: bool = True) -> Iterator[str]:
    """What limits what can be said of the call."""
    if not call.whole:
        yield "  The call began before the capture, or its answer is not in it: what was agreed is not known."
    if call.one_way:
        yield "  Only one direction was captured: what the other side said is not known, and not judged."
    if call.jumped:
        yield "  The clock jumped during the call, or nothing was captured: times were not judged."
    if call.cut:
        yield "  Some of its messages were captured in part, and are left out: times were not judged."
    if not timed:
        yield "  The text has no times: only what the messages say was judged, not when they came."
    for partner in call.partners:
        yield f"  The same call has another leg: {partner}"


def _dialog(call: Explained, dialog: ExplainedDialog) -> Iterator[str]:
    yield f"  Hop        {dialog.ends[0].address} \u2192 {dialog.ends[1].address}"
    for agreed in dialog.agreed:
        yield f"  Agreed     {clock(agreed.at - call.begin):>8}  {agreed_words(agreed, call.begin)}"
    for refresh in dialog.refreshes:
        yield f"  Refresh    {clock(refresh.at - call.begin):>8}  {refresh_words(refresh)}"


def agreed_words(agreed: Agreed, begin: float) -> str:
    """What a 2xx set."""
    if agreed.interval is None or agreed.refresher is None or agreed.deadline is None:
        return f"{agreed.message}: no session timer"
    return (
        f"{agreed.message}: {agreed.interval} s, {agreed.refresher.address} refreshes; "
        f"if not, the other side may hang up at {clock(agreed.deadline - begin)}"
    )


def refresh_words(refresh: Refreshed) -> str:
    """Who refreshed how, and what came of it."""
    answer = "no answer" if refresh.answer is None else f"{refresh.answer} after {refresh.after or 0:.2f} s"
    return f"{refresh.method} by {refresh.by.address}, {answer}"


def ended(call: Explained) -> str:
    """How the call ended."""
    end = call.ending
    lasted = f" after {clock(end.lasted)}" if end.lasted is not None else ""
    if end.how == "open":
        return f"not within the capture; its last message came at {clock(end.at - call.begin)}"
    by = f" by {end.by.address}" if end.by is not None else ""
    reason = f", Reason: {end.reason}" if end.reason else ""
    return f"{end.how}{by}{lasted}{reason}"


def conclusion(call: Explained) -> str:
    """The verdict on the call in one line."""
    if call.broken:
        broken = [verdict for verdict in call.verdicts if verdict.level is Level.BROKEN]
        # What cut the call comes before what did no harm.
        broken.sort(key=lambda verdict: verdict.rule not in CUTS)
        more = f" And {len(broken) - 1} more." if len(broken) > 1 else ""
        return f"A rule was broken: {sentences.what(broken[0])}{more}"
    others = sorted(
        call.verdicts, key=lambda verdict: (verdict.level is not Level.CAUSE, verdict.rule not in CUTS)
    )
    if others and (others[0].level is Level.CAUSE or others[0].rule in CUTS):
        return f"Nobody broke a rule. {sentences.what(others[0])}"
    if call.ending.suspect is not None:
        return (
            "No session timer cut this call, as far as was captured. If nobody meant to hang up after "
            f"{clock(call.ending.lasted or 0)}, the usual suspect is {call.ending.suspect}."
        )
    if not call.dialogs and call.ending.how == "open":
        return "The capture has no answer to this call: there is no session timer to judge."
    if call.one_way or call.jumped or call.cut or not call.whole:
        return "No fault was found in what could be judged."
    return "No fault was found in its session timer."


def _verdict(call: Explained, verdict: Verdict, *, timed: bool) -> Iterator[Text]:
    name = _NAMES[verdict.level]
    first = Text(f"  {name:<9}  ", _STYLES[verdict.level])
    first.append(printable(sentences.what(verdict)), "bold")
    yield first
    yield Text(printable(f"     rule    {', '.join(verdict.rule.requirements)} ({verdict.rule.section})"))
    yield Text(
        printable(f"     where   {verdict.message}, {clock(max(verdict.at - call.begin, 0))} into the call")
    )
    yield Text(printable(f"     stood   {verdict.stood}"))
    yield Text(printable(f"     due     {verdict.due}"))
    for whom, change in sentences.changes(verdict, call.call_id, moment(verdict.at, timed=timed)):
        yield Text(printable(f"     change  {whom}: {change}"))


def summary(calls: int, broken: int) -> str:
    """All calls that were judged, in one sentence."""
    if not calls:
        return "No call was judged."
    some = f"in {broken} of them a rule was broken" if calls > 1 else "a rule was broken"
    return f"{calls} call{'s' * (calls != 1)}: {some if broken else 'no rule was broken'}"


def about_file(notes: Notes, *, any_call: bool) -> Iterator[str]:
    """What there is to say of the file itself."""
    if notes.damage.reason is not None:
        yield f"The file is not whole: {notes.damage.reason}. What was before that was read."
    for before, after in notes.jumps[:3]:
        word = "jumped back" if after < before else "stood still, or nothing was captured"
        yield f"The clock {word} by {clock(abs(after - before))} at {moment(before)}."
    if len(notes.jumps) > 3:
        yield f"And {len(notes.jumps) - 3} more times."
    if notes.cut:
        yield (
            f"Captured in part: {notes.cut} message{'s' * (notes.cut > 1)}, without -s 0 or by a filter that "
            f"takes the first fragment alone. Capture with: {CAPTURE}"
        )
    if notes.unread_links:
        numbers = ", ".join(map(str, sorted(notes.unread_links)))
        yield f"Packets of link type {numbers} cannot be read. Capture with: {CAPTURE}"
    if notes.encrypted:
        one, other = notes.encrypted[0]
        count = len(notes.encrypted)
        yield (
            f"{count} connection{'s' * (count != 1)} with TLS (such as {one} and {other}): what is said "
            "there is encrypted. Let Kamailio send a copy in HEP (siptrace), and capture that."
        )
    if not any_call:
        shown = "no call in it" if notes.messages else "no SIP in it"
        packets = notes.frames or notes.messages
        yield (
            f"There is {shown}: {notes.messages} SIP message{'s' * (notes.messages != 1)} "
            f"in {packets} packet{'s' * (packets != 1)}."
        )
