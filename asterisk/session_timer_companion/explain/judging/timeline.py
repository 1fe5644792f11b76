"""A dialog in time: what was agreed when, which refreshes came, and whether everybody kept to it.

Only what a capture can show is judged. What is missing counts as missing only where the capture goes on, the
clock did not jump, and the dialog's requests do not go past this hop.
"""

from __future__ import annotations

from dataclasses import dataclass

from session_timer import ABSOLUTE_MINIMUM, Agreement, Policy
from session_timer.session.responses import Reaction, reaction

from session_timer_companion.explain.gathering.hops import Dialog, Hop, Transaction
from session_timer_companion.explain.judging.attempts import AttemptJudge
from session_timer_companion.explain.judging.findings import Findings, Moment, side_name, title
from session_timer_companion.explain.judging.messages import SIDES
from session_timer_companion.explain.judging.periods import TRANSACTION, Period, Sight, hang_up, periods
from session_timer_companion.explain.judging.rules import Rule

_TO_THE_SECOND = 2.0
"""Seconds: so near to a deadline that a hang-up is the timer's."""


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

    @property
    def bye(self) -> Transaction | None:
        """The BYE that ended the dialog."""
        return hang_up(self.dialog)

    def judge(self) -> None:
        """The periods, one after the other."""
        found = periods(self.dialog, self.agreements)
        if not self.sight.timed:
            return
        attempts = AttemptJudge(self.dialog, self.findings, self.sight, self.others)
        for period in found:
            for each in period.attempts:
                attempts.judge(each, period)
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
        if at <= times.deadline + times.slack or tried or self._missed_one(times, next_one):
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
        elif bye is not None and self._missed_one(times, bye):
            return
        elif hung_up and end >= times.deadline - times.slack:
            shown = f"no refresh; the {side_name(waiting)} hung up after {stood:.0f} of {times.interval} s"
            self._happened(Rule.NO_REFRESH, times, end, shown, due)
        elif end > times.expiry + times.slack:
            self._happened(Rule.NO_REFRESH, times, times.expiry, f"no refresh in {stood:.0f} s", due)
        elif bye is not None and hung_up:
            self._early(times, bye)
        elif bye is not None and self._at_its_own_deadline(times, end):
            side = side_name(times.refresher)
            shown = f"no refresh; the {side} itself hung up after {stood:.0f} of {times.interval} s"
            self._happened(Rule.NO_REFRESH, times, end, shown, due)
        refresher_ended = bye is not None and bye.side == times.refresher and times.tried
        if end > times.expiry + TRANSACTION + times.slack and not refresher_ended:
            self.findings.happened(
                Rule.DEAD_CALL_KEPT,
                Moment(self.dialog.hop, waiting, times.expiry, times.of),
                f"the call stood {stood:.0f} s without a refresh",
                f"BYE by the {side_name(waiting)} at {times.deadline - since:.0f} s",
            )

    def _missed_one(self, times: _Times, next_one: Transaction) -> bool:
        """Whether the refresher sent something that is not in the capture: its CSeq counts one by one."""
        mine = [each for each in self.dialog.inner if each.side == times.refresher]
        if self.dialog.initial is not None and self.dialog.initial.side == times.refresher:
            mine.append(self.dialog.initial)
        before = [each.request.message.cseq for each in mine if each.request.time < next_one.request.time]
        gap = next_one.request.message.cseq - max(before, default=next_one.request.message.cseq)
        return next_one.side == times.refresher and gap > 1

    def _at_its_own_deadline(self, times: _Times, end: float) -> bool:
        """Whether who had to refresh hung up when the other side may: it took itself for that one."""
        near = min(abs(end - times.deadline), abs(end - times.expiry))
        return times.interval >= ABSOLUTE_MINIMUM and near <= min(_TO_THE_SECOND, times.interval / 200)

    def _early(self, times: _Times, bye: Transaction) -> None:
        """The side that waits hung up before its time: because of the timer only where it says so."""
        reason = _reason(bye)
        if not _names_the_timer(reason):
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


def _names_the_timer(reason: str) -> bool:
    """Whether a Reason speaks of the session's timer: there are others, of media and of the setup."""
    said = reason.lower()
    ran_out = any(word in said for word in ("timer", "expir", "timeout", "timed out"))
    return "refresh" in said or "4028" in said or ("session" in said and ran_out)
