"""What a 2xx to INVITE or UPDATE says about the timer, held against what the library would have answered."""

from __future__ import annotations

from dataclasses import dataclass

from session_timer import Agreement, Policy, RefreshRequest, RefreshResponse, Role, SessionExpires, uas

from session_timer_companion.explain.judging.findings import Findings, Place
from session_timer_companion.explain.judging.rules import Rule


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What was known of the dialog before this answer."""

    sender_supports: bool
    """Whoever sent the request has shown that it knows timers, in this request or before."""
    answerer_supports: bool
    running: Agreement | None
    """The timer that runs."""


@dataclass(frozen=True, slots=True)
class ResponseJudge:
    """Judges one 2xx."""

    findings: Findings
    place: Place
    floor: int
    asked: RefreshRequest
    shown: RefreshResponse

    def judge(self, backdrop: Backdrop) -> None:
        """All that the answer says."""
        message, shown = self.place.one.message, self.shown
        if message.rows("Min-SE"):
            self._report(
                Rule.MIN_SE_IN_ANSWER,
                f"Min-SE: {message.header('Min-SE')}",
                "no Min-SE: it belongs into a 422",
            )
        if shown.malformed:
            self._report(Rule.MALFORMED, shown.malformed, "Session-Expires: seconds;refresher=uac or uas")
        elif shown.session_expires is None:
            self._bare(shown, backdrop)
        else:
            self._timed(shown, supported=backdrop.sender_supports)

    def _bare(self, shown: RefreshResponse, backdrop: Backdrop) -> None:
        asked = self.asked
        if shown.requires_timer:
            self._report(
                Rule.REQUIRE_WITHOUT_TIMER,
                "Require: timer, no Session-Expires",
                "Session-Expires with a refresher",
            )
        elif (
            backdrop.running is not None and asked.session_expires is not None and not self.place.each.initial
        ):
            # Whoever never showed that it knows timers is refreshed one-sided: its bare 2xx ends nothing.
            knows = backdrop.answerer_supports or shown.supports_timer
            going_on = f"Session-Expires: {asked.session_expires.interval}, for the timer to go on"
            if knows:
                bare = "no Session-Expires: the timer is off from here"
                self._report(Rule.SWITCHED_OFF, bare, going_on)

    def _timed(self, shown: RefreshResponse, *, supported: bool) -> None:
        asked = self.asked
        seen = shown.session_expires
        if seen is None:
            return
        stood = f"Session-Expires: {seen}"
        due = self._due(asked, seen)
        least = asked.min_se or 0
        if seen.interval < max(least, self.floor):
            rule = Rule.ANSWER_BELOW_MIN_SE if seen.interval < least else Rule.BELOW_90
            self._report(rule, stood, f"{max(least, self.floor)} seconds or more")
        elif asked.session_expires is not None and asked.supports_timer:
            # For a caller without support a proxy raises what is too small (8.1): not told apart.
            most = max(asked.session_expires.interval, least, self.floor)
            if seen.interval > most:
                self._report(Rule.INTERVAL_RAISED, stood, f"{most} seconds at most, as was asked")
        named = asked.session_expires.refresher if asked.session_expires else None
        if seen.refresher is None:
            self._report(Rule.NO_REFRESHER, stood, f"Session-Expires: {due}")
        elif seen.refresher is Role.UAC and not (asked.supports_timer or supported or named is Role.UAC):
            self._report(Rule.UAC_CANNOT_REFRESH, f"{stood}, to a request without Supported: timer",
                f"Session-Expires: {due}",
            )  # fmt: skip
        elif asked.supports_timer and named is not None and named is not seen.refresher:
            # uac where uas was asked for may be a proxy's completion (8.2), unless the UAS knows timers.
            surely = named is Role.UAC or shown.supports_timer
            wanted = f"refresher={named}, as the request named it"
            if surely:
                self._report(Rule.REFRESHER_OVERRIDDEN, stood, wanted)
        if seen.refresher is Role.UAC and asked.supports_timer and not shown.requires_timer:
            self._report(Rule.REQUIRE_MISSING, f"{stood}, no Require: timer", "Require: timer")
        if shown.requires_timer and not (asked.supports_timer or supported):
            self._report(Rule.REQUIRE_NOT_SUPPORTED, "Require: timer, to a request without Supported: timer",
                "no Require: timer",
            )  # fmt: skip

    def _due(self, asked: RefreshRequest, seen: SessionExpires) -> SessionExpires:
        """The header that the library would have put there, as near to what was seen as the rules allow."""
        interval = max(seen.interval, self.floor)
        lenient = Policy(
            default_expires=interval,
            max_expires=interval,
            min_se=self.floor,
            floor=self.floor,
            prefer_refresher=seen.refresher or Role.UAC,
        )
        decision = uas.answer(asked, lenient)
        if isinstance(decision, uas.Accept) and decision.session_expires is not None:
            return decision.session_expires
        return SessionExpires.of(interval, Role.UAS)

    def _report(self, rule: Rule, stood: str, due: str) -> None:
        self.findings.message(rule, self.place, stood, due)
