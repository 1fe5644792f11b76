"""How a call ended, and the usual suspect of its minute where no session timer did it."""

from __future__ import annotations

from session_timer_companion.explain.judging.calls import Call
from session_timer_companion.explain.judging.findings import Findings, Moment
from session_timer_companion.explain.judging.hops import CALLEE, CALLER, Dialog, Hop
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.judging.verdict import Ending

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
# Verdicts that say why a call was cut.
CUTS = frozenset({
    Rule.NO_REFRESH, Rule.REFRESH_UNANSWERED, Rule.UPDATE_REFUSED, Rule.REFRESH_REFUSED, Rule.NOT_RETRIED,
    Rule.GAVE_UP_EARLY, Rule.REFRESH_IGNORED, Rule.PEER_GONE, Rule.NO_ACK, Rule.PROXY_BYE,
    Rule.UPDATE_NOT_ALLOWED, Rule.OFFER_CHANGED,
})  # fmt: skip


def suspect(seconds: float) -> str | None:
    """The usual suspect of a call that lasted so long; None for no fixed time."""
    return next((words for at, words in SUSPECTS.items() if abs(seconds - at) <= _NEAR), None)


def ending(call: Call, hops: list[Hop], dialogs: list[Dialog], findings: Findings, *, timed: bool) -> Ending:
    """How the call ended, as far as was seen."""
    byes = [
        (each.request.time, hop, each) for hop in hops for each in hop.transactions if each.method == "BYE"
    ]
    answers = [dialog.answer.time for dialog in dialogs if dialog.answer is not None]
    if byes:
        at, hop, bye = min(byes, key=lambda one: one[0])
        lasted = at - min(answers) if answers and timed else None
        cut = any(verdict.rule in CUTS for verdict in findings.verdicts())
        return Ending(
            at,
            findings.party(hop, bye.side, bye.request.message.software),
            "BYE",
            bye.request.message.header("Reason") or "",
            lasted,
            suspect(lasted) if lasted is not None and not cut else None,
        )
    for hop in hops:
        for each in reversed(hop.transactions):
            final = each.final() if each.method == "INVITE" and each.initial else None
            if final is not None and (final.message.status or 0) >= 300 and not answers:
                refused = findings.party(hop, CALLEE, final.message.software)
                return Ending(final.time, refused, f"{final.message.status} {final.message.reason}".strip())
    return Ending(call.last, None, "open")


def no_ack(hop: Hop, dialog: Dialog, findings: Findings, *, seen_elsewhere: bool) -> None:
    """A 2xx that was repeated until its sender hung up, for no ACK came (RFC 3261 13.3.1.4)."""
    answer = dialog.answer
    bye = next((each for each in dialog.inner if each.method == "BYE"), None)
    if answer is None or answer.sent < 4 or bye is None or bye.side != CALLEE or seen_elsewhere:
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
