"""A dialog in time: what was agreed when, which refreshes came, and whether everybody kept to it.

Only what a capture can show is judged. What is missing counts as missing only where the capture goes on, the
clock did not jump, and the dialog's requests do not go past this hop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from session_timer import ABSOLUTE_MINIMUM, Agreement, Policy
from session_timer.session.responses import Reaction, reaction

from session_timer_companion.explain.judging.calls import Sighted
from session_timer_companion.explain.judging.findings import Findings, Moment, Place, side_name, title
from session_timer_companion.explain.judging.hops import REFRESHES, Dialog, Hop, Transaction, passed_on
from session_timer_companion.explain.judging.messages import SIDES
from session_timer_companion.explain.judging.rules import Rule

TRANSACTION = 32.0
"""Seconds: Timers B and F (RFC 3261 17.1)."""
_SOME_SENDS = 4
_ASKS_AGAIN = frozenset({401, 407, 420, 421, 422, 483, 491, 494})
"""Answers that say what to do better, or that it is only too early (RFC 5057)."""
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


@dataclass(frozen=True, slots=True)
class _Times:
    """The times of one period, in seconds of the capture's clock, and who has to refresh."""

    period: Period
    interval: int
    refresher: int
    deadline: float
    expiry: float
    slack: float

    @property
    def tried(self) -> list[Transaction]:
        """Refreshes of who had to, that no 2xx answered."""
        return [each for each in self.period.attempts if each.side == self.refresher]

    @property
    def of(self) -> str:
        return _of(self.period)


@dataclass(slots=True)
class TimelineJudge:
    """Judges one dialog on one hop."""

    dialog: Dialog
    agreements: dict[int, Agreement | None]
    findings: Findings
    sight: Sight
    others: list[Hop]
    """The other hops of the call: what a proxy passed on is seen there too."""
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
        times = _Times(
            period=period,
            interval=round(lasting),
            refresher=SIDES.index(agreed.refresher),
            deadline=expiry - Policy(floor=self.sight.floor).guard(lasting),
            expiry=expiry,
            slack=min(2.0, lasting / 20),
        )
        if period.following is not None:
            self._following(times, period.following)
        elif last and not self.passed_by:
            self._last(times)

    def _following(self, times: _Times, next_one: Transaction) -> None:
        """Another refresh came: in time?"""
        at, since = next_one.request.time, times.period.since
        tried = [each for each in times.tried if each.request.time <= times.expiry + times.slack]
        if at <= times.deadline + times.slack or tried:
            return
        after = f"{title(next_one.request.message)} {at - since:.0f} s after the 2xx before it"
        if at > times.expiry + times.slack:
            due = f"a refresh before {times.interval} s, best at {times.interval / 2:.0f} s"
            self._happened(Rule.NO_REFRESH, times, at, f"no refresh in {times.interval} s; {after}", due)
        elif next_one.side == times.refresher:
            half, limit = times.interval / 2, times.deadline - since
            due = f"a refresh at {half:.0f} s: from {limit:.0f} s on the peer may hang up"
            self._happened(Rule.LATE_REFRESH, times, at, after, due)

    def _last(self, times: _Times) -> None:
        """No other refresh came before the end: who ended it, and was it time?"""
        bye, since, waiting = self.bye, times.period.since, 1 - times.refresher
        end = bye.request.time if bye is not None else self.sight.end
        stood = end - since
        hung_up = bye is not None and bye.side == waiting
        due = (
            f"a refresh by the {side_name(times.refresher)} at {times.interval / 2:.0f} s, "
            f"before {times.interval} s in any case"
        )
        if times.tried:
            self._failed_in_vain(times, bye)
        elif hung_up and end >= times.deadline - times.slack:
            shown = f"no refresh; the {side_name(waiting)} hung up after {stood:.0f} of {times.interval} s"
            self._happened(Rule.NO_REFRESH, times, end, shown, due)
        elif end > times.expiry + times.slack:
            self._happened(Rule.NO_REFRESH, times, times.expiry, f"no refresh in {stood:.0f} s", due)
        elif bye is not None and hung_up:
            self._early(times, bye)
        refresher_ended = bye is not None and bye.side == times.refresher and times.tried
        if end > times.expiry + TRANSACTION + times.slack and not refresher_ended:
            self.findings.happened(
                Rule.DEAD_CALL_KEPT,
                Moment(self.dialog.hop, waiting, times.expiry, times.of),
                f"the call stood {stood:.0f} s without a refresh",
                f"BYE by the {side_name(waiting)} at {times.deadline - since:.0f} s",
            )

    def _early(self, times: _Times, bye: Transaction) -> None:
        """The side that waits hung up before its time: because of the timer only where it says so."""
        reason = _reason(bye)
        if not any(word in reason.lower() for word in ("timer", "expire", "refresh")):
            return
        since = times.period.since
        self.findings.happened(
            Rule.GAVE_UP_EARLY,
            Moment(self.dialog.hop, bye.side, bye.request.time, times.of),
            f"BYE after {bye.request.time - since:.0f} s, Reason: {reason}",
            f"no BYE for want of a refresh before {times.deadline - since:.0f} of {times.interval} s",
        )

    def _failed_in_vain(self, times: _Times, bye: Transaction | None) -> None:
        """Refreshes were sent, and none was answered by 2xx: was there another try while there was time?"""
        last = times.tried[-1]
        final = last.final()
        if final is None or bye is None or bye.side == last.side:
            return
        code = final.message.status or 0
        in_time = bye.request.time < times.deadline - times.slack
        if in_time or reaction(code) is Reaction.END or len(times.tried) > 1:
            return
        self.findings.happened(
            Rule.NOT_RETRIED,
            Moment(self.dialog.hop, last.side, final.time, title(last.request.message)),
            f"{code} {final.message.reason}".strip() + ", and no other refresh followed",
            "another try, as the answer allows, before the deadline",
        )

    def _attempt(self, each: Transaction) -> None:
        """A refresh that no 2xx answered: unanswered, or refused."""
        final, hop = each.final(), self.dialog.hop
        if final is None:
            self._unanswered(each)
            return
        if self._failed_further_on(each):
            return
        code = final.message.status or 0
        known = f"{code} {final.message.reason}".strip()
        if each.method == "UPDATE" and reaction(code) is Reaction.OTHER_METHOD:
            listed = self._allows_update(1 - each.side, final.time)
            if listed and not self.findings.has(Rule.UPDATE_NOT_ALLOWED):
                due = "a 2xx: its Allow lists UPDATE"
                self.findings.message(Rule.UPDATE_REFUSED, Place(hop, each, final), known, due)
            return
        if code in _ASKS_AGAIN:
            return  # what to do is in the answer itself; whether it was done shows in what follows
        before = self._sdp_before(each)
        if code in (488, 606) and before is not None and _changed(before, each.request.message.body):
            self.findings.message(
                Rule.OFFER_CHANGED,
                Place(hop, each, each.request),
                "another SDP under the o= line of the one before",
                "the same SDP, or an o= line with a new version",
            )
        elif reaction(code) is Reaction.END:
            self.findings.message(
                Rule.PEER_GONE, Place(hop, each, final), known, "a 2xx, if it still knew the call"
            )
        else:
            self.findings.message(
                Rule.REFRESH_REFUSED, Place(hop, each, final), known, "a 2xx: nothing changed"
            )

    def _failed_further_on(self, each: Transaction) -> bool:
        """Whether the request was passed on and has no answer there: this one is the proxy's own."""
        further = [other for hop in self.others if (other := passed_on(each, hop)) is not None]
        return any(other.request.time >= each.request.time and other.final() is None for other in further)

    def _unanswered(self, each: Transaction) -> None:
        bye, sent = self.bye, each.request
        end = min(self.sight.end, bye.request.time) if bye is not None else self.sight.end
        waited = end - sent.time
        ended_it = bye is not None and bye.side == each.side
        enough = waited >= TRANSACTION - 1 or (ended_it and (waited > 5 or sent.sent >= _SOME_SENDS))
        if sent.transport == "UDP" and sent.sent == 1:
            return  # who gets no answer sends again: it had one, and the capture missed it
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

    def _lives(self, unanswered: Transaction) -> bool:
        """Whether the side that did not answer showed later that it is there and knows the call."""
        since, side = unanswered.request.time, 1 - unanswered.side
        for each in self.dialog.inner:
            if each is unanswered:
                continue
            if each.side == side and each.request.time > since:
                return True
            gone = (408, 481)
            late = [one for one in each.responses if one.time > since and one.message.status not in gone]
            if each.side != side and late:
                return True
        return False

    def _ended_though_refreshed(self, found: list[Period]) -> None:
        """A BYE at the deadline of an earlier 2xx: its sender did not count a refresh it had answered."""
        bye = self.bye
        if bye is None or len(found) < 2 or found[-1].agreement is None or _is_ordinary(_reason(bye)):
            return
        at, last = bye.request.time, found[-1]
        for period in found[:-1]:
            agreed = period.agreement
            # Below 90 seconds, which only laboratories have, a chance is as likely.
            short = agreed is not None and agreed.interval < ABSOLUTE_MINIMUM
            if agreed is None or agreed.refresher is SIDES[bye.side] or short:
                continue
            # So near that it is no chance: a person hangs up at that moment in one of some hundred calls.
            slack = min(1.5, agreed.interval / 200)
            guard = Policy(floor=self.sight.floor).guard(agreed.interval)
            elapsed = at - period.since
            met = any(abs(elapsed - agreed.interval + early) <= slack for early in (guard, 0.0))
            if met and at - last.since < agreed.interval - guard - slack:
                after = title(last.by.message) if last.by else "the last one"
                self.findings.happened(
                    Rule.REFRESH_IGNORED,
                    Moment(self.dialog.hop, bye.side, at, _of(period)),
                    f"BYE {elapsed:.0f} s after an earlier 2xx, as if {after} had not been",
                    f"no BYE: the refresh moved the deadline to {agreed.interval - guard:.0f} s after it",
                )
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
        initial = [self.dialog.initial] if self.dialog.initial is not None else []
        for each in (*initial, *self.dialog.inner):
            yield each.side, each.request
            for response in each.responses:
                yield 1 - each.side, response

    def _happened(self, rule: Rule, times: _Times, at: float, stood: str, due: str) -> None:
        """By the refresher."""
        moment = Moment(self.dialog.hop, times.refresher, at, times.of)
        self.findings.happened(rule, moment, stood, due)


def _of(period: Period) -> str:
    return title(period.by.message) if period.by is not None else "the dialog"


def _is_ordinary(reason: str) -> bool:
    """Whether the BYE says that a person hung up (Q.850 cause 16)."""
    return "cause=16" in reason.replace(" ", "").lower() and "timer" not in reason.lower()


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
