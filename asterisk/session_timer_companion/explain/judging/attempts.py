"""INVITE and UPDATE within a dialog that no 2xx answered: who is to be asked, and did it matter?

A refusal is told where the call ended over it, or its timer ran out. A re-INVITE that offers something new
may be refused, and the call goes on as it was (RFC 3261 section 14.1): that is no fault of anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from session_timer import Policy
from session_timer.session.responses import Reaction, reaction

from session_timer_companion.explain.gathering.calls import Sighted
from session_timer_companion.explain.gathering.hops import Dialog, Hop, Transaction, further
from session_timer_companion.explain.judging.findings import Findings, Moment, Place, title
from session_timer_companion.explain.judging.messages import SIDES
from session_timer_companion.explain.judging.periods import TRANSACTION, Period, Sight, hang_up
from session_timer_companion.explain.judging.rules import Rule

_SOME_SENDS = 4
_AT_ONCE = 5.0
"""Seconds from a refusal to the BYE of whom it was told, for the one to be the reason of the other."""
_ASKS_AGAIN = frozenset({401, 407, 420, 421, 422, 483, 491, 494})
"""Answers that say what to do better, or that it is only too early (RFC 5057)."""
_GONE = frozenset({408, 481})
_SDP_VERSION = b"o="


@dataclass(slots=True)
class AttemptJudge:
    """Judges the attempts of one dialog on one hop."""

    dialog: Dialog
    findings: Findings
    sight: Sight
    others: list[Hop]
    """The other hops of the call: what a proxy passed on is seen there too."""

    def judge(self, each: Transaction, period: Period) -> None:
        """A refresh that no 2xx answered: unanswered, or refused."""
        final, bye = each.final(), hang_up(self.dialog)
        if final is None:
            self._unanswered(each)
            return
        crossed = bye is not None and bye.side != each.side and bye.request.time <= final.time
        if crossed or self._failed_further_on(each):
            return
        code = final.message.status or 0
        if each.method == "UPDATE" and reaction(code) is Reaction.OTHER_METHOD:
            self._not_allowed(each, final)
        # Where the answer says what to do, what follows shows whether it was done.
        elif code not in _ASKS_AGAIN:
            self._refused(each, final, period)

    def _not_allowed(self, each: Transaction, final: Sighted) -> None:
        listed = self._allows_update(1 - each.side, final.time)
        if listed and not self.findings.has(Rule.UPDATE_NOT_ALLOWED):
            due = "a 2xx: its Allow lists UPDATE"
            self.findings.message(Rule.UPDATE_REFUSED, Place(self.dialog.hop, each, final), _said(final), due)

    def _refused(self, each: Transaction, final: Sighted, period: Period) -> None:
        place, stood = Place(self.dialog.hop, each, final), _said(final)
        code, before, now = final.message.status or 0, self._sdp_before(each), each.request.message.body
        gone = reaction(code) is Reaction.END and not self._lives(each)
        if code in (488, 606) and before is not None and _changed(before, now):
            self.findings.message(
                Rule.OFFER_CHANGED,
                Place(self.dialog.hop, each, each.request),
                "another SDP under the o= line of the one before",
                "the same SDP, or an o= line with a new version",
            )
        elif gone and period.following is None:
            self.findings.message(Rule.PEER_GONE, place, stood, "a 2xx, if it still knew the call")
        elif self._mattered(each, final, period):
            if reaction(code) is Reaction.END:
                stood += ", and yet it answered what came later"
            anew = before is not None and now and _lines(before) != _lines(now)
            due = (
                "a 2xx, or another offer: the description was a new one" if anew else "a 2xx: nothing changed"
            )
            self.findings.message(Rule.REFRESH_REFUSED, place, stood, due)

    def _mattered(self, each: Transaction, final: Sighted, period: Period) -> bool:
        """Whether the call ended over this refusal, or its timer ran out without another refresh."""
        bye, agreed = hang_up(self.dialog), period.agreement
        if bye is not None and bye.side == each.side and 0 <= bye.request.time - final.time <= _AT_ONCE:
            return True
        if agreed is None or agreed.refresher is not SIDES[each.side]:
            return False
        lasting = float(max(agreed.interval, self.sight.floor))
        slack = min(2.0, lasting / 20)
        if period.following is not None:
            return period.following.request.time > period.since + lasting + slack
        end = bye.request.time if bye is not None else self.sight.end
        guard = Policy(floor=self.sight.floor).guard(lasting)
        waited = bye is not None and bye.side != each.side
        return end >= period.since + lasting - (guard + slack if waited else -slack)

    def _failed_further_on(self, each: Transaction) -> bool:
        """Whether the request was passed on and has no answer there: this one is the proxy's own."""
        return any(other.final() is None for other in further(each, self.dialog.hop, self.others))

    def _unanswered(self, each: Transaction) -> None:
        bye, sent = hang_up(self.dialog), each.request
        end = min(self.sight.end, bye.request.time) if bye is not None else self.sight.end
        waited = end - sent.time
        ended_it = bye is not None and bye.side == each.side
        enough = waited >= TRANSACTION - 1 or (ended_it and (waited > _AT_ONCE or sent.sent >= _SOME_SENDS))
        if sent.transport == "UDP" and sent.sent == 1:
            return  # who gets no answer sends again: it had one, and the capture missed it
        if not self._heard(1 - each.side):
            return  # on this hop the capture has one direction only
        if not enough or (each.method == "UPDATE" and self.findings.has(Rule.UPDATE_NOT_ALLOWED)):
            return
        times = f", sent {sent.sent} times" if sent.sent > 1 else ""
        provisional = f", only {each.responses[-1].message.status}" if each.responses else ""
        self.findings.happened(
            Rule.REFRESH_UNANSWERED if self._lives(each) else Rule.PEER_GONE,
            Moment(self.dialog.hop, 1 - each.side, sent.time, title(sent.message)),
            f"no final response in {min(waited, TRANSACTION):.0f} s{times}{provisional}",
            "a final response at once",
        )

    def _lives(self, tried: Transaction) -> bool:
        """Whether the side that was asked showed later that it is there and knows the call."""
        since, side = tried.request.time, 1 - tried.side
        for each in self.dialog.inner:
            if each is tried:
                continue
            if each.side == side and each.request.time > since:
                return True
            late = [one for one in each.responses if one.time > since and one.message.status not in _GONE]
            if each.side != side and late:
                return True
        return False

    def _heard(self, side: int) -> bool:
        """Whether anything of that side was captured on this hop."""
        return any(each.side == side or each.responses for each in self.dialog.hop.transactions)

    def _allows_update(self, side: int, until: float) -> bool:
        """Whether the last Allow of that side before that time lists UPDATE."""
        found = False
        for one in self._messages():
            mine = one[0] == side and one[1].time < until
            rows = one[1].message.tokens("Allow") if mine else frozenset()
            if rows:
                found = "update" in rows
        return found

    def _sdp_before(self, each: Transaction) -> bytes | None:
        bodies = [
            one.message.body
            for side, one in self._messages()
            if side == each.side and one.time < each.request.time and one.message.body.startswith(b"v=")
        ]
        return bodies[-1] if bodies else None

    def _messages(self) -> Iterator[tuple[int, Sighted]]:
        """Side and message of all that the dialog's transactions hold."""
        initial = [self.dialog.initial] if self.dialog.initial is not None else []
        for each in (*initial, *self.dialog.inner):
            yield each.side, each.request
            for response in each.responses:
                yield 1 - each.side, response


def _said(final: Sighted) -> str:
    return f"{final.message.status} {final.message.reason}".strip()


def _changed(before: bytes, now: bytes) -> bool:
    """Whether a description changed though its o= line did not (RFC 3264 section 8)."""
    old, new = _lines(before), _lines(now)
    return bool(new) and old != new and _origin(old) == _origin(new)


def _lines(body: bytes) -> list[bytes]:
    return [line.strip() for line in body.splitlines() if line.strip()]


def _origin(lines: list[bytes]) -> bytes:
    return next((line for line in lines if line.startswith(_SDP_VERSION)), b"")
