"""The rules a verdict can be about, each with the requirements of docs/rfc4028.md that it holds to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Level(StrEnum):
    """What a verdict means."""

    BROKEN = "broken"
    """Somebody broke a rule: a MUST, a table or a sentence that binds."""
    UNWISE = "unwise"
    """Allowed, but against what the RFC recommends."""
    CAUSE = "cause"
    """Nobody broke a rule that this capture can show; it is why the call ended as it did."""


@dataclass(frozen=True, slots=True)
class _Facts:
    level: Level
    requirements: tuple[str, ...]
    section: str


def _broken(section: str, *requirements: str) -> _Facts:
    return _Facts(Level.BROKEN, requirements, section)


def _unwise(section: str, *requirements: str) -> _Facts:
    return _Facts(Level.UNWISE, requirements, section)


def _cause(section: str, *requirements: str) -> _Facts:
    return _Facts(Level.CAUSE, requirements, section)


class Rule(Enum):
    """Every rule; its value is the name that JSON and tests use."""

    # What a request says.
    MALFORMED = "malformed"
    AGAINST_GRAMMAR = "against-grammar"
    BELOW_90 = "below-90"
    MIN_SE_BELOW_90 = "min-se-below-90"
    BELOW_MIN_SE = "below-min-se"
    REFRESHER_WITHOUT_SUPPORT = "refresher-without-support"
    SUPPORT_DROPPED = "support-dropped"
    TIMER_DROPPED = "timer-dropped"
    ROLE_MOVED = "role-moved"
    MIN_SE_DROPPED = "min-se-dropped"
    RETRY_TOO_SMALL = "retry-too-small"
    UPDATE_NOT_ALLOWED = "update-not-allowed"
    OFFER_CHANGED = "offer-changed"
    # What a response says.
    NO_REFRESHER = "no-refresher"
    INTERVAL_RAISED = "interval-raised"
    ANSWER_BELOW_MIN_SE = "answer-below-min-se"
    REFRESHER_OVERRIDDEN = "refresher-overridden"
    UAC_CANNOT_REFRESH = "uac-cannot-refresh"
    REQUIRE_MISSING = "require-missing"
    REQUIRE_NOT_SUPPORTED = "require-not-supported"
    REQUIRE_WITHOUT_TIMER = "require-without-timer"
    MIN_SE_IN_ANSWER = "min-se-in-answer"
    ELSEWHERE = "elsewhere"
    NO_MIN_SE_IN_422 = "no-min-se-in-422"
    NEEDLESS_422 = "needless-422"
    UNHEARD_422 = "unheard-422"
    # What a proxy makes of what passes.
    PROXY_REFRESHER = "proxy-refresher"
    PROXY_RAISED = "proxy-raised"
    PROXY_MIN_SE = "proxy-min-se"
    PROXY_ANSWER = "proxy-answer"
    PROXY_NOT_COMPLETED = "proxy-not-completed"
    PROXY_BYE = "proxy-bye"
    # What happens in time.
    NO_REFRESH = "no-refresh"
    LATE_REFRESH = "late-refresh"
    REFRESH_UNANSWERED = "refresh-unanswered"
    UPDATE_REFUSED = "update-refused"
    REFRESH_REFUSED = "refresh-refused"
    NOT_RETRIED = "not-retried"
    GAVE_UP_EARLY = "gave-up-early"
    REFRESH_IGNORED = "refresh-ignored"
    DEAD_CALL_KEPT = "dead-call-kept"
    PEER_GONE = "peer-gone"
    SWITCHED_OFF = "switched-off"
    CALL_REFUSED_422 = "call-refused-422"
    TIMER_REQUIRED = "timer-required"
    NO_ACK = "no-ack"

    @property
    def level(self) -> Level:
        return _RULES[self].level

    @property
    def requirements(self) -> tuple[str, ...]:
        """IDs of docs/rfc4028.md."""
        return _RULES[self].requirements

    @property
    def section(self) -> str:
        return _RULES[self].section


_RULES: dict[Rule, _Facts] = {
    Rule.MALFORMED: _broken("RFC 4028 section 4", "SE-4-02", "S61-7.3.1-02"),
    Rule.AGAINST_GRAMMAR: _broken(
        "RFC 3261 sections 7.3.1 and 25.1", "SE-4-02", "S61-7.3.1-02", "UPD-5.1-03"
    ),
    Rule.BELOW_90: _broken("RFC 4028 section 4", "SE-4-03"),
    Rule.MIN_SE_BELOW_90: _broken("RFC 4028 section 5", "MSE-5-02"),
    Rule.BELOW_MIN_SE: _broken("RFC 4028 section 7.1", "UAC-7.1-09"),
    Rule.REFRESHER_WITHOUT_SUPPORT: _broken("RFC 4028 section 7.1", "UAC-7.1-01"),
    Rule.SUPPORT_DROPPED: _broken("RFC 4028 section 7.4", "UAC-7.4-01", "UAC-7.1-01"),
    Rule.TIMER_DROPPED: _unwise("RFC 4028 section 7.4", "UAC-7.4-08"),
    Rule.ROLE_MOVED: _unwise("RFC 4028 section 7.4", "UAC-7.4-11"),
    Rule.MIN_SE_DROPPED: _broken("RFC 4028 section 7.4", "UAC-7.4-02", "UAC-7.4-04"),
    Rule.RETRY_TOO_SMALL: _broken("RFC 4028 section 7.4", "UAC-7.4-03", "UAC-7.4-05"),
    Rule.UPDATE_NOT_ALLOWED: _broken("RFC 3311 section 4", "UPD-4-03", "UAC-7.4-17"),
    Rule.OFFER_CHANGED: _broken("RFC 4028 section 7.4", "UAC-7.4-20"),
    Rule.NO_REFRESHER: _broken("RFC 4028 section 9", "UAS-9-13"),
    Rule.INTERVAL_RAISED: _broken("RFC 4028 section 9", "UAS-9-10"),
    Rule.ANSWER_BELOW_MIN_SE: _broken("RFC 4028 section 9", "UAS-9-07", "UAS-9-12"),
    Rule.REFRESHER_OVERRIDDEN: _broken("RFC 4028 section 9", "UAS-9-15", "UAS-9-14"),
    Rule.UAC_CANNOT_REFRESH: _broken("RFC 4028 section 9, Table 2", "UAS-9-14", "PRX-8.2-02"),
    Rule.REQUIRE_MISSING: _broken("RFC 4028 section 9", "UAS-9-16", "PRX-8.2-05"),
    Rule.REQUIRE_NOT_SUPPORTED: _broken("RFC 3261 section 8.2.4", "S61-8.2.4-01"),
    Rule.REQUIRE_WITHOUT_TIMER: _broken("RFC 4028 section 7.2", "UAC-7.2-03"),
    Rule.MIN_SE_IN_ANSWER: _broken("RFC 4028 section 5", "MSE-5-04"),
    Rule.ELSEWHERE: _unwise("RFC 4028 section 4, Table 1", "SE-4-01", "SE-4-10"),
    Rule.NO_MIN_SE_IN_422: _broken("RFC 4028 section 6", "R422-6-02"),
    Rule.NEEDLESS_422: _cause("RFC 4028 section 6", "R422-6-01"),
    Rule.UNHEARD_422: _broken("RFC 4028 section 8.1", "PRX-8.1-13", "UAS-9-02"),
    Rule.PROXY_REFRESHER: _broken("RFC 4028 section 8.1", "PRX-8.1-09", "PRX-8.1-04"),
    Rule.PROXY_RAISED: _broken("RFC 4028 section 8.1", "PRX-8.1-07"),
    Rule.PROXY_MIN_SE: _broken("RFC 4028 section 8.1", "PRX-8.1-16", "PRX-8.1-18"),
    Rule.PROXY_ANSWER: _broken("RFC 4028 section 8.2", "PRX-8.2-11"),
    Rule.PROXY_NOT_COMPLETED: _broken("RFC 4028 section 8.2", "PRX-8.2-03", "PRX-8.2-04"),
    Rule.PROXY_BYE: _broken("RFC 4028 section 8.3", "PRX-8.3-03"),
    Rule.NO_REFRESH: _broken("RFC 4028 section 7.2 and 9", "UAC-7.2-15", "UAS-9-21"),
    Rule.LATE_REFRESH: _unwise("RFC 4028 section 10", "REF-10-08", "UAC-7.2-16"),
    Rule.REFRESH_UNANSWERED: _broken("RFC 3311 section 5.2, RFC 4028 section 10", "UPD-5.2-05", "REF-10-04"),
    Rule.UPDATE_REFUSED: _broken("RFC 3311 section 4", "UPD-4-03"),
    Rule.REFRESH_REFUSED: _cause("RFC 4028 section 10", "REF-10-05"),
    Rule.NOT_RETRIED: _unwise("RFC 4028 section 10", "REF-10-05"),
    Rule.GAVE_UP_EARLY: _broken("RFC 4028 section 10", "REF-10-07", "REF-10-08"),
    Rule.REFRESH_IGNORED: _cause("RFC 4028 section 2", "DEF-2-03"),
    Rule.DEAD_CALL_KEPT: _unwise("RFC 4028 section 10", "REF-10-07"),
    Rule.PEER_GONE: _cause("RFC 4028 section 10", "REF-10-04"),
    Rule.SWITCHED_OFF: _cause("RFC 4028 section 7.2 and 9", "UAC-7.2-10", "UAS-9-19"),
    Rule.CALL_REFUSED_422: _cause("RFC 4028 section 7.3", "UAC-7.3-01"),
    Rule.TIMER_REQUIRED: _unwise("RFC 4028 section 7.1", "UAC-7.1-05"),
    Rule.NO_ACK: _broken("RFC 3261 section 13.2.2.4", "S61-13.2.2.4-01"),
}
