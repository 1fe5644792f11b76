"""A dialog in time: what was agreed when, which refreshes came, and whether everybody kept to it.

Only what a capture can show is judged. What is missing counts as missing only where the capture goes on, the
clock did not jump, and the dialog's requests do not go past this hop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from session_timer import Agreement, Policy
from session_timer.answers import Reaction, reaction

from session_timer_companion.explain.judging.calls import Sighted
from session_timer_companion.explain.judging.findings import Findings, side_name, title
from session_timer_companion.explain.judging.hops import REFRESHES, Dialog, Transaction
from session_timer_companion.explain.judging.messages import SIDES
from session_timer_companion.explain.judging.rules import Rule

TRANSACTION = 32.0
"""Seconds: Timers B and F (RFC 3261 17.1)."""
_SOME_SENDS = 4
_SDP_VERSION = "o="


@dataclass(slots=True)
class Period:
    """From one 2xx to the next, or to the end: no deadline moves within."""

    since: float
    agreement: Agreement | None
    by: Sighted | None
    attempts: list[Transaction] = field(default_factory=list)
    """Refreshes within it that no 2xx answered."""
    following: Transaction | None = None
    """The refresh that ended it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How far a capture can be believed about what is missing."""

    end: float
    """Seconds: the time of its last packet."""
    timed: bool
    """Times mean something: the clock did not jump, the text had times."""
    floor: int


@dataclass(slots=True)
class TimelineJudge:
    """Judges one dialog on one hop."""

    dialog: Dialog
    agreements: dict[int, Agreement | None]
    findings: Findings
    sight: Sight
    passed_by: bool
    """The dialog's requests go past this hop."""

    def periods(self) -> list[Period]:
        """The dialog from its 2xx, or from the first 2xx that was seen, to its end."""
        answer = self.dialog.answer
        found: list[Period] = []
        if answer is not None:
            found.append(Period(answer.time, self.agreements.get(id(answer)), answer))
        elif self.dialog.inner:
            found.append(Period(self.dialog.inner[0].request.time, None, None))
        moves: list[tuple[float, Transaction, Sighted | None]] = []
        for each in self.dialog.inner:
            if each.method in REFRESHES:
                final = each.final()
                good = final if final is not None and 200 <= (final.message.status or 0) < 300 else None
                moves.append((good.time if good is not None else each.request.time, each, good))
        for at, each, good in sorted(moves, key=lambda move: move[0]):
            if not found or (answer is not None and at < answer.time):
                continue  # an UPDATE before the answer: the answer's 2xx wins (G-07)
            if good is None:
                found[-1].attempts.append(each)
            else:
                found[-1].following = each
                found.append(Period(at, self.agreements.get(id(good)), good))
        return found

    @property
    def bye(self) -> Transaction | None:
        """The BYE that ended the dialog."""
        return next((each for each in self.dialog.inner if each.method == "BYE"), None)

    def judge(self) -> None:
        """The periods, one after the other."""
        found = self.periods()
        if not self.sight.timed:
            return
        for period in found:
            for each in period.attempts:
                self._attempt(each)
            if period.agreement is not None:
                self._period(period, period.agreement, last=period is found[-1])
        self._ended_though_refreshed(found)

    def _period(self, period: Period, agreed: Agreement, *, last: bool) -> None:
        lasting = float(max(agreed.interval, self.sight.floor))
        expiry = period.since + lasting
        deadline = expiry - Policy(floor=self.sight.floor).guard(lasting)
        slack = min(2.0, lasting / 20)
        refresher = SIDES.index(agreed.refresher)
        if period.following is not None:
            self._following(period, period.following, refresher, deadline, expiry, slack)
        elif last and not self.passed_by:
            self._last(period, agreed, refresher, deadline, expiry, slack)

    def _following(  # noqa: PLR0913, PLR0917 - the times of one period
        self,
        period: Period,
        next_one: Transaction,
        refresher: int,
        deadline: float,
        expiry: float,
        slack: float,
    ) -> None:
        at = next_one.request.time
        tried = [
            each for each in period.attempts if each.side == refresher and each.request.time <= expiry + slack
        ]
        if at <= deadline + slack or tried:
            return
        interval = round(expiry - period.since)
        after = f"{title(next_one.request.message)} {at - period.since:.0f} s after the 2xx before it"
        if at > expiry + slack:
            self._happened(
                Rule.NO_REFRESH, refresher, at, period, f"no refresh in {interval} s; {after}",
                f"a refresh before {interval} s, best at {interval / 2:.0f} s",
            )  # fmt: skip
        elif next_one.side == refresher:
            self._happened(
                Rule.LATE_REFRESH, refresher, at, period, after,
                f"a refresh at {interval / 2:.0f} s: from {deadline - period.since:.0f} s on the peer may hang up",
            )  # fmt: skip

    def _last(  # noqa: PLR0913, PLR0917 - the times of one period
        self, period: Period, agreed: Agreement, refresher: int, deadline: float, expiry: float, slack: float
    ) -> None:
        bye = self.bye
        end = bye.request.time if bye is not None else self.sight.end
        interval = round(expiry - period.since)
        tried = [each for each in period.attempts if each.side == refresher]
        waiting = 1 - refresher
        half = f"a refresh by the {side_name(refresher)} at {interval / 2:.0f} s, before {interval} s in any case"
        if tried:
            self._failed_in_vain(tried, bye, deadline, slack)
        elif end >= deadline - slack and bye is not None and bye.side == waiting:
            shown = (
                f"no refresh; the {side_name(waiting)} hung up after {end - period.since:.0f} of {interval} s"
            )
            self._happened(Rule.NO_REFRESH, refresher, end, period, shown, half)
        elif end > expiry + slack:
            shown = f"no refresh in {end - period.since:.0f} s"
            self._happened(Rule.NO_REFRESH, refresher, expiry, period, shown, half)
        if not tried and bye is not None and bye.side == waiting and end < deadline - slack:
            self._early(bye, period, agreed, deadline)
        if end > expiry + TRANSACTION + slack and not (bye is not None and bye.side == refresher and tried):
            due = f"BYE by the {side_name(waiting)} at {deadline - period.since:.0f} s"
            shown = f"the call stood {end - period.since:.0f} s without a refresh"
            self._happened(Rule.DEAD_CALL_KEPT, waiting, expiry, period, shown, due)

    def _early(self, bye: Transaction, period: Period, agreed: Agreement, deadline: float) -> None:
        """The side that waits hung up before its time: because of the timer only where it says so."""
        reason = _reason(bye).lower()
        if not ("timer" in reason or "expire" in reason or "refresh" in reason):
            return
        self._happened(
            Rule.GAVE_UP_EARLY, bye.side, bye.request.time, period,
            f"BYE after {bye.request.time - period.since:.0f} s, Reason: {_reason(bye)}",
            f"no BYE for want of a refresh before {deadline - period.since:.0f} of {agreed.interval} s",
        )  # fmt: skip

    def _failed_in_vain(
        self, tried: list[Transaction], bye: Transaction | None, deadline: float, slack: float
    ) -> None:
        """Refreshes were sent, and none was answered by 2xx: was there another try while there was time?"""
        last = tried[-1]
        final = last.final()
        if final is None or bye is None or bye.side == last.side or bye.request.time < deadline - slack:
            return
        code = final.message.status or 0
        if reaction(code) is Reaction.END or len(tried) > 1:
            return
        self.findings.happened(
            Rule.NOT_RETRIED, self.dialog.hop, last.side, final.time, title(last.request.message),
            f"{code} {final.message.reason}".strip() + ", and no other refresh followed",
            "another try, as the answer allows, before the deadline",
        )  # fmt: skip

    def _attempt(self, each: Transaction) -> None:
        """A refresh that no 2xx answered: unanswered, or refused."""
        final, hop = each.final(), self.dialog.hop
        if final is None:
            self._unanswered(each)
            return
        code = final.message.status or 0
        known = f"{code} {final.message.reason}".strip()
        if each.method == "UPDATE" and reaction(code) is Reaction.OTHER_METHOD:
            if not self.findings.has(Rule.UPDATE_NOT_ALLOWED) and self._allows_update(
                1 - each.side, final.time
            ):
                self.findings.message(
                    Rule.UPDATE_REFUSED, hop, each, final, known, "a 2xx: its Allow lists UPDATE"
                )
            return
        if reaction(code) in (Reaction.RETRY, Reaction.BACK_OFF):
            return  # what to do is in the answer itself; whether it was done shows in what follows
        before = self._sdp_before(each)
        if code in (488, 606) and before is not None and _changed(before, each.request.message.body):
            self.findings.message(
                Rule.OFFER_CHANGED, hop, each, each.request, "another SDP under the o= line of the one before",
                "the same SDP, or an o= line with a new version",
            )  # fmt: skip
        elif reaction(code) is Reaction.END:
            self.findings.message(Rule.PEER_GONE, hop, each, final, known, "a 2xx, if it still knew the call")
        else:
            self.findings.message(Rule.REFRESH_REFUSED, hop, each, final, known, "a 2xx: nothing changed")

    def _unanswered(self, each: Transaction) -> None:
        bye, sent = self.bye, each.request
        end = min(self.sight.end, bye.request.time if bye is not None else self.sight.end)
        waited = end - sent.time
        lively = bye is not None and bye.side == each.side and (waited > 5 or sent.sent >= _SOME_SENDS)
        if waited < TRANSACTION - 1 and not lively:
            return
        answer = bye.final() if bye is not None and bye.side == each.side else None
        times = f", sent {sent.sent} times" if sent.sent > 1 else ""
        receiver = 1 - each.side
        alive = answer is not None and (answer.message.status or 0) < 300
        later = any(
            one.side == receiver and one.request.time > sent.time
            for one in self.dialog.inner
            if one.method != "BYE"
        ) or any(
            (response.time > sent.time)
            for one in self.dialog.inner
            if one is not each and one.side == each.side
            for response in one.responses
            if (response.message.status or 0) not in (408, 481)
        )
        rule = Rule.REFRESH_UNANSWERED if alive or later else Rule.PEER_GONE
        if self.findings.has(Rule.UPDATE_NOT_ALLOWED) and each.method == "UPDATE":
            return
        provisional = ", only " + str(each.responses[-1].message.status) if each.responses else ""
        self.findings.happened(
            rule, self.dialog.hop, receiver, sent.time, title(sent.message),
            f"no final response in {min(waited, TRANSACTION):.0f} s{times}{provisional}", "a final response at once",
        )  # fmt: skip

    def _ended_though_refreshed(self, found: list[Period]) -> None:
        """A BYE at the deadline of an earlier 2xx: its sender did not count a refresh that it had answered."""
        bye = self.bye
        if bye is None or len(found) < 2 or found[-1].agreement is None:
            return
        at, slack = bye.request.time, 1.5
        for period in found[:-1]:
            agreed = period.agreement
            if agreed is None or agreed.refresher is SIDES[bye.side]:
                continue
            guard = Policy(floor=self.sight.floor).guard(agreed.interval)
            if any(abs(at - period.since - agreed.interval + early) <= slack for early in (guard, 0.0)):
                last = found[-1]
                if at - last.since < agreed.interval - guard - slack:
                    self._happened(
                        Rule.REFRESH_IGNORED, bye.side, at, period,
                        f"BYE {at - period.since:.0f} s after the 2xx of an earlier refresh, as if "
                        f"{title(last.by.message) if last.by else 'the last one'} had not been",
                        f"no BYE: the refresh moved the deadline to {agreed.interval - guard:.0f} s after it",
                    )  # fmt: skip
                    return

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
        for each in ([self.dialog.initial] if self.dialog.initial else []) + self.dialog.inner:
            yield each.side, each.request
            for response in each.responses:
                yield 1 - each.side, response

    def _happened(self, rule: Rule, side: int, at: float, period: Period, stood: str, due: str) -> None:  # noqa: PLR0913, PLR0917
        of = title(period.by.message) if period.by is not None else "the dialog"
        self.findings.happened(rule, self.dialog.hop, side, at, of, stood, due)


def _reason(bye: Transaction) -> str:
    return bye.request.message.header("Reason") or ""


def _changed(before: bytes, now: bytes) -> bool:
    """Whether a description changed though its o= line did not (RFC 3264 section 8)."""
    old, new = _lines(before), _lines(now)
    return bool(new) and old != new and _origin(old) == _origin(new)


def _lines(body: bytes) -> list[bytes]:
    return [line.strip() for line in body.splitlines() if line.strip()]


def _origin(lines: list[bytes]) -> bytes:
    return next((line for line in lines if line.startswith(_SDP_VERSION.encode())), b"")
