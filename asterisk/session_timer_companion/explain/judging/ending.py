"""How a call ended, and the usual suspect of its minute where no session timer did it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from session_timer_companion.explain.gathering.calls import Call, Sighted
from session_timer_companion.explain.gathering.hops import CALLEE, CALLER, Dialog, Hop, Transaction, names
from session_timer_companion.explain.judging.findings import Findings, Moment
from session_timer_companion.explain.judging.relayed import SOON
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.judging.verdict import Ending, Party

SUSPECTS: dict[int, str] = {
    32: "the ACK of the answer was lost: 32 seconds is how long a 2xx is repeated (RFC 3261 13.3.1.4)",
    60: "a refresh at half of 120 seconds that was refused (FreeSWITCH), or a media timeout of 60 seconds",
    120: "an interval of 120 seconds that nobody refreshed (FreeSWITCH's minimum)",
    300: "half of 600 seconds, which is SignalWire's default; or five minutes without audio (Twilio)",
    600: "an interval of 600 seconds that ran out; or the limit of a trial account (Twilio)",
    900: "half of 1800 seconds: a refresh that was refused or lost, or an impatient peer",
    1200: "a re-INVITE of the carrier every 20 minutes that the other end refused (seen with Teams)",
    1800: "an interval of 1800 seconds that ran out, or half of 3600",
    2400: "a re-INVITE of the carrier every 20 minutes, the second of which was refused",
    3600: "an interval of 3600 seconds that ran out (Deutsche Telekom and Ribbon offer it)",
    7200: "a limit on the length of calls (Vonage: two hours)",
    14400: "a limit on the length of calls (Twilio, SignalWire: four hours)",
}
"""By seconds from answer to BYE; docs/how-to/explain.md has the table for people."""
_NEAR = 3.0
_LOST_ACK = 32
_REPEATED = 4
"""So often a 2xx is sent when no ACK comes; fewer may be chance."""
# Verdicts that say why a call was cut.
CUTS = frozenset({
    Rule.NO_REFRESH, Rule.REFRESH_UNANSWERED, Rule.UPDATE_REFUSED, Rule.REFRESH_REFUSED, Rule.NOT_RETRIED,
    Rule.GAVE_UP_EARLY, Rule.REFRESH_IGNORED, Rule.PEER_GONE, Rule.NO_ACK, Rule.PROXY_BYE,
    Rule.UPDATE_NOT_ALLOWED, Rule.OFFER_CHANGED, Rule.NO_REFRESHER, Rule.UAC_CANNOT_REFRESH,
})  # fmt: skip


def suspect(seconds: float) -> str | None:
    """The usual suspect of a call that lasted so long; None for no fixed time."""
    return next((words for at, words in SUSPECTS.items() if abs(seconds - at) <= _NEAR), None)


def ending(call: Call, hops: list[Hop], dialogs: list[Dialog], findings: Findings, *, timed: bool) -> Ending:
    """How the call ended, as far as was seen."""
    byes = _byes(dialogs)
    if byes:
        # A call with several dialogs, such as forks, ends with the last of them; a BYE may be passed on.
        last = max(end.each.request.time for end in byes)
        first = min(
            (end for end in byes if last - end.each.request.time <= SOON),
            key=lambda end: end.each.request.time,
        )
        at = first.each.request.time
        lasted = at - first.answered if first.answered is not None and timed else None
        cut = any(verdict.rule in CUTS for verdict in findings.verdicts())
        return Ending(
            at,
            findings.party(first.hop, first.each.side, first.each.request.message.software),
            "BYE",
            first.each.request.message.header("Reason") or "",
            lasted,
            None if lasted is None or cut else _suspect_of(lasted, first, dialogs),
        )
    answered = any(dialog.answer is not None for dialog in dialogs)
    refusal = None if answered else _refusal(call, hops, findings)
    return refusal or Ending(call.last, None, "open")


@dataclass(frozen=True, slots=True)
class _End:
    """The first BYE of a dialog, and when that was answered."""

    hop: Hop
    each: Transaction
    answered: float | None


def _byes(dialogs: list[Dialog]) -> list[_End]:
    """How each dialog ended, over all hops on which it was seen."""
    found: dict[frozenset[str | None], _End] = {}
    answers: dict[frozenset[str | None], float] = {}
    for dialog in dialogs:
        tags = frozenset(dialog.tags)
        if dialog.answer is not None:
            answers[tags] = min(dialog.answer.time, answers.get(tags, dialog.answer.time))
        for each in dialog.inner:
            known = found.get(tags)
            if each.method == "BYE" and (known is None or each.request.time < known.each.request.time):
                found[tags] = _End(dialog.hop, each, None)
    return [replace(end, answered=answers.get(tags)) for tags, end in found.items()]


def _suspect_of(lasted: float, end: _End, dialogs: list[Dialog]) -> str | None:
    words = suspect(lasted)
    if words != SUSPECTS[_LOST_ACK]:
        return words
    # The capture would show it: no ACK came by, or the 2xx was repeated all the same.
    repeated = any(dialog.answer is not None and dialog.answer.sent >= _REPEATED for dialog in dialogs)
    acked = any(dialog.hop.acks for dialog in dialogs)
    return words if end.each.side == CALLEE and (repeated or not acked) else None


def _refusal(call: Call, hops: list[Hop], findings: Findings) -> Ending | None:
    """The answer that refused the call; also where its INVITE was not captured."""
    for hop in hops:
        for each in reversed(hop.transactions):
            final = each.final() if each.method == "INVITE" and each.initial else None
            if final is not None and (final.message.status or 0) >= 300:
                return _refused(final, findings.party(hop, CALLEE, final.message.software))
    called = names(call)
    for one in call.messages if not any(hop.transactions for hop in hops) else ():
        if one.message.method == "INVITE" and (one.message.status or 0) >= 300:
            name = called[one.source.address, one.source.port]
            return _refused(one, Party(name, one.message.software, name in findings.ours))
    return None


def _refused(final: Sighted, by: Party) -> Ending:
    return Ending(final.time, by, f"{final.message.status} {final.message.reason}".strip())


def no_ack(hop: Hop, dialog: Dialog, findings: Findings, *, seen_elsewhere: bool) -> None:
    """A 2xx that was repeated until its sender hung up, for no ACK came (RFC 3261 13.3.1.4)."""
    answer = dialog.answer
    bye = next((each for each in dialog.inner if each.method == "BYE"), None)
    if answer is None or answer.sent < _REPEATED or bye is None or bye.side != CALLEE or seen_elsewhere:
        return
    tags = set(dialog.tags)
    if any({ack.message.from_tag, ack.message.to_tag} == tags for ack in hop.acks):
        return
    of = f"{answer.message.status} to INVITE (CSeq {answer.message.cseq})"
    findings.happened(
        Rule.NO_ACK,
        Moment(hop, CALLER, answer.time, of),
        f"no ACK, though the 2xx was sent {answer.sent} times",
        "an ACK to its Contact, by way of its Record-Route",
    )
