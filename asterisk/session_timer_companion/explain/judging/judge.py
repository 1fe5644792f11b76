"""One call, judged: its hops, its dialogs, its verdicts and its ladder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from session_timer import Agreement, Policy

from session_timer_companion.explain.drawing import ladder
from session_timer_companion.explain.gathering.calls import Call, Sighted
from session_timer_companion.explain.gathering.hops import (
    CALLEE,
    CALLER,
    REFRESHES,
    Dialog,
    Hop,
    Transaction,
    dialogs,
    hops,
    names,
)
from session_timer_companion.explain.judging import ending, proxies, relayed
from session_timer_companion.explain.judging.findings import Findings, title
from session_timer_companion.explain.judging.messages import SIDES, MessageJudge
from session_timer_companion.explain.judging.periods import Period, Sight, periods
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.judging.timeline import TimelineJudge
from session_timer_companion.explain.judging.verdict import (
    Agreed,
    Explained,
    ExplainedDialog,
    Party,
    Refreshed,
    Verdict,
)
from session_timer_companion.explain.reading.sip import Message
from session_timer_companion.explain.reading.trace import Notes
from session_timer_companion.printable import printable

_WIDEST = 17
"""Letters that the head of a column has room for."""
MOST_DRAWN = 400
"""Arrows of one ladder; what is between its beginning and its end is then left out."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to judge by."""

    floor: int = 90
    """Seconds: the smallest lawful interval; a laboratory may go lower."""
    ours: frozenset[str] = frozenset()
    """Addresses of our edge and our Asterisk, beside those that the internal header tells."""


def judge(call: Call, notes: Notes, settings: Settings) -> Explained:
    """All there is to say of one call."""
    found = hops(call)
    findings = Findings(_ours(call, settings), tuple(_columns(found, names(call))))
    timed = notes.timed and not call.jumped and not call.cut
    copied = any(one.transport == "HEP" for one in call.messages)
    end = notes.last_copy if copied else notes.last
    sight = Sight(max(end or 0.0, call.last), timed, settings.floor)
    shown: list[ExplainedDialog] = []
    every: list[tuple[Hop, Dialog, MessageJudge]] = []
    for hop in found:
        messages = MessageJudge(hop, findings, settings.floor, [other for other in found if other is not hop])
        messages.judge()
        every += [(hop, dialog, messages) for dialog in dialogs(hop)]
    for hop, dialog, messages in every:
        passed_by = _goes_past(dialog, hop, found)
        others = [other for other in found if other is not hop]
        timeline = TimelineJudge(dialog, messages.agreements, findings, sight, others, passed_by)
        timeline.judge()
        shown.append(_shown(dialog, periods(dialog, messages.agreements), findings, settings.floor))
        if timed:
            ending.no_ack(hop, dialog, findings, seen_elsewhere=_acked_elsewhere(dialog, hop, found))
    proxies.judge(found, findings)
    _drop_followers(findings)
    relayed.drop(findings, found)
    by_tags: dict[frozenset[str | None], list[Dialog]] = {}
    for _, dialog, _ in every:
        by_tags.setdefault(frozenset(dialog.tags), []).append(dialog)
    return Explained(
        call_id=call.call_id,
        begin=call.messages[0].time if call.messages else call.last,
        caller=_user(call, "from"),
        callee=_user(call, "to"),
        dialogs=tuple(shown),
        ending=ending.ending(call, found, [dialog for _, dialog, _ in every], findings, timed=timed),
        verdicts=findings.verdicts(),
        draw=partial(_ladder, call, found, shown),
        whole=_begins(call) and all(any(one.answer for one in known) for known in by_tags.values()),
        one_way=_is_one_way(call),
        jumped=call.jumped,
        cut=call.cut,
    )


_UNTOLD = frozenset({Rule.NO_REFRESHER, Rule.UAC_CANNOT_REFRESH})
_FAILED = frozenset({Rule.REFRESH_UNANSWERED, Rule.PEER_GONE, Rule.REFRESH_REFUSED, Rule.UPDATE_REFUSED})


def _drop_followers(findings: Findings) -> None:
    """A refresh that was sent and failed is the fault; that it did not come through elsewhere follows."""
    failed = [verdict for verdict in findings.verdicts() if verdict.rule in _FAILED]
    # Who was not told to refresh, or cannot, is not to be asked why it did not.
    untold = {verdict.message for verdict in findings.verdicts() if verdict.rule in _UNTOLD}
    findings.found = {
        key: verdict
        for key, verdict in findings.found.items()
        if verdict.rule not in (Rule.NO_REFRESH, Rule.LATE_REFRESH)
        or not (
            verdict.message in untold
            or any(one.at <= verdict.at and one.side != verdict.side for one in failed)
        )
    }


_INTERNAL = re.compile(r"\d{1,10};refresher=(?:local|remote|none);")
"""What our edge writes. An outsider may write it too: then the edge, which takes it off, is told for it."""


def _ours(call: Call, settings: Settings) -> frozenset[str]:
    called = names(call)
    header = ladder.INTERNAL_HEADER
    carried = [one for one in call.messages if any(map(_INTERNAL.match, one.message.rows(header)))]
    ends = {end for one in carried for end in (one.source, one.destination)}
    told = {called[end.address, end.port] for end in ends}
    named = {name for (address, _), name in called.items() if address in settings.ours}
    return frozenset(told | named)


def _begins(call: Call) -> bool:
    return any(
        one.message.is_request and one.message.method == "INVITE" and one.message.to_tag is None
        for one in call.messages
    )


def _is_one_way(call: Call) -> bool:
    ways = {(one.source.address, one.destination.address) for one in call.messages}
    return len(call.messages) > 1 and not any((target, source) in ways for source, target in ways)


def _user(call: Call, header: str) -> str:
    first = next((one.message for one in call.messages if one.message.is_request), None)
    return first.user(header) if first is not None else ""


def _goes_past(dialog: Dialog, hop: Hop, found: list[Hop]) -> bool:
    """Whether a request of this dialog that a 2xx answered was seen on other hops only."""
    tags = set(dialog.tags)
    here = {(one.method, one.request.message.cseq, one.request.message.from_tag) for one in hop.transactions}
    for other in found:
        if other is hop:
            continue
        for each in other.transactions:
            message = each.request.message
            final = each.final()
            answered = final is not None and (final.message.status or 0) < 300
            key = (each.method, message.cseq, message.from_tag)
            within = {message.from_tag, message.to_tag} == tags and each.method in (*REFRESHES, "BYE")
            if answered and within and key not in here:
                return True
    return False


def _acked_elsewhere(dialog: Dialog, hop: Hop, found: list[Hop]) -> bool:
    tags = set(dialog.tags)
    return any(
        {ack.message.from_tag, ack.message.to_tag} == tags
        for other in found
        if other is not hop
        for ack in other.acks
    )


def _shown(dialog: Dialog, periods: list[Period], findings: Findings, floor: int) -> ExplainedDialog:
    ends = (findings.party(dialog.hop, CALLER), findings.party(dialog.hop, CALLEE))
    agreed = tuple(_agreed(period, ends, floor) for period in periods if period.by is not None)
    refreshes = tuple(
        _refreshed(each, ends)
        for each in dialog.inner
        if each.method in REFRESHES and (dialog.answer is None or each.request.time >= dialog.answer.time)
    )
    return ExplainedDialog(ends, agreed, refreshes)


def _agreed(period: Period, ends: tuple[Party, Party], floor: int) -> Agreed:
    agreed: Agreement | None = period.agreement
    message = title(period.by.message) if period.by is not None else ""
    if agreed is None:
        return Agreed(period.since, message, None, None, None)
    lasting = max(agreed.interval, floor)
    deadline = period.since + lasting - Policy(floor=floor).guard(lasting)
    refresher = ends[SIDES.index(agreed.refresher)]
    return Agreed(period.since, message, agreed.interval, refresher, deadline)


def _refreshed(each: Transaction, ends: tuple[Party, Party]) -> Refreshed:
    final = each.final()
    return Refreshed(
        each.request.time,
        each.method,
        ends[each.side],
        final.message.status if final is not None else None,
        final.time - each.request.time if final is not None else None,
    )


@dataclass(frozen=True, slots=True)
class _End:
    address: str


@dataclass(frozen=True, slots=True)
class _Packet:
    """A message as the ladder takes it, its ends by their names."""

    time: float
    source: _End
    destination: _End
    message: Message
    retransmission: bool = False


def _ladder(
    call: Call, found: list[Hop], shown: list[ExplainedDialog], verdicts: tuple[Verdict, ...]
) -> ladder.Ladder:
    called = names(call)
    cast = ladder.Cast({name: _short(name) for name in _columns(found, called)})
    start = call.messages[0].time if call.messages else 0.0
    rows: list[ladder.Arrow | ladder.Note] = list(_arrows(call.messages, called, cast, start))
    rows += _notes(shown, start)
    rows += [
        ladder.Note(one.at - start, f"{one.level}: {one.rule.value}, by {one.by.address}") for one in verdicts
    ]
    rows.sort(key=lambda row: row.time)
    if len(rows) > MOST_DRAWN:
        half = MOST_DRAWN // 2
        left_out = ladder.Note(rows[half].time, f"{len(rows) - MOST_DRAWN} messages are left out here")
        rows = [*rows[:half], left_out, *rows[-half:]]
    return ladder.Ladder(printable(f"Call-ID {call.call_id[:120]}"), cast.columns, tuple(rows))


def _short(name: str) -> str:
    """An address as the head of a column: of a long one its end, which tells it from its neighbours."""
    return name if len(name) <= _WIDEST else f"\u2026{name[1 - _WIDEST :]}"


def _columns(found: list[Hop], called: dict[tuple[str, int], str]) -> list[str]:
    """The ends from the caller's side to the callee's."""
    order: list[str] = []
    for hop in found:
        caller, callee = hop.ends
        if caller not in order and callee in order:
            order.insert(order.index(callee), caller)
        elif caller not in order:
            order.append(caller)
        if callee not in order:
            order.insert(order.index(caller) + 1, callee)
    return [*order, *dict.fromkeys(name for name in called.values() if name not in order)]


def _arrows(
    messages: list[Sighted], called: dict[tuple[str, int], str], cast: ladder.Cast, start: float
) -> Iterator[ladder.Arrow]:
    for one in messages:
        source = _End(called[one.source.address, one.source.port])
        target = _End(called[one.destination.address, one.destination.port])
        drawn = ladder.arrow(_Packet(one.time, source, target, one.message), cast, start)
        if drawn is not None:
            yield replace(
                drawn,
                sent=one.sent,
                label=printable(drawn.label[:60]),
                phrase=printable(drawn.phrase[:80]),
                details=tuple(printable(detail[:160]) for detail in drawn.details[:8]),
            )


def _notes(shown: list[ExplainedDialog], start: float) -> Iterator[ladder.Note]:
    for dialog in shown:
        for agreed in dialog.agreed:
            if agreed.interval is not None and agreed.refresher is not None and agreed.deadline is not None:
                yield ladder.Note(
                    agreed.at - start,
                    f"N = {agreed.interval} s, {agreed.refresher.address} refreshes; if not, BYE at "
                    f"{agreed.deadline - start:.1f} s",
                )
