"""The four calls of the demo: what each one is, and what the capture and Asterisk must show of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from session_timer_companion.explain.drawing.ladder import INTERNAL_HEADER

from demo.checks import Check, at_least, between, contains, equal, near
from demo.deadline import guard
from tests.lab.observed import ObservedCall, Refresh

INTERVAL = 12
"""Session interval of the acts that wait, in seconds. RFC 4028 begins at 90; the lab's profiles do not."""
TOO_SMALL = 60
MINIMUM = 90
REFRESHES = 4
_HALF = INTERVAL / 2
# Refreshes may leave up to a tenth of that early, so that calls which began together part.
_SPREAD = _HALF / 10 + 0.2
_UPDATE = ", UPDATE"
# Q.850: normal clearing, and recovery on timer expiry.
_CLEARED, _EXPIRED = "16", "102"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the carrier: a scenario, the address that picks the profile, the scenario's keys."""

    name: str
    title: str
    scenario: str
    host: int
    keys: Mapping[str, str | int]
    timeout: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a call when it is over."""

    call: Call
    observed: ObservedCall
    status: int
    complaint: str
    cdr: Mapping[str, str]
    log: str
    still_up: bool
    records: int


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its calls are played one after the other."""

    number: int
    title: str
    sentence: str
    calls: tuple[Call, ...]
    judge: Callable[[Evidence], list[Check]]


def checks(act: Act, evidence: Evidence) -> list[Check]:
    """All checks of one call: those of its act, and those that hold for every call."""
    return [*act.judge(evidence), *_of_every_call(evidence)]


def _of_every_call(evidence: Evidence) -> list[Check]:
    seen = evidence.observed
    leaked = [each for each in seen.outside if each.message.rows(INTERNAL_HEADER)]
    bothered = [
        each
        for each in seen.inside
        if each.destination.address == seen.asterisk
        and (each.message.rows("Session-Expires") or each.message.rows("Min-SE"))
    ]
    # A SIPp that ended well may still have warned, of a slow machine for instance.
    failed = evidence.status != 0 and evidence.complaint
    ended = f"exit {evidence.status}" + (f": {evidence.complaint}" if failed else "")
    return [
        equal("SIPp's scenario ran to its end", "exit 0", ended),
        equal("messages with the internal header outside", 0, len(leaked)),
        equal("messages with timer headers that reached Asterisk", 0, len(bothered)),
        equal("Asterisk still has a channel of the call", False, evidence.still_up),  # noqa: FBT003 - a value
        equal("the edge still has a record of the call", 0, evidence.records),
    ]


def _below_minimum(evidence: Evidence) -> list[Check]:
    seen = evidence.observed
    refusal = seen.response(seen.invites[0]) if seen.invites else None
    reached = [
        each for each in seen.inside if each.message.status is None and each.message.method == "INVITE"
    ]
    return [
        equal("answer to the first INVITE", 422, refusal and refusal.message.status),
        equal("its Min-SE", str(MINIMUM), refusal and refusal.message.header("Min-SE")),
        equal("INVITEs that reached Asterisk", 1, len(reached)),
        equal(
            "Session-Expires of the 2xx",
            f"{MINIMUM};refresher=uac",
            seen.agreed,
        ),
        equal("cause in the CDR", _CLEARED, evidence.cdr.get("cause")),
    ]


def _asterisk_refreshes(evidence: Evidence) -> list[Check]:
    seen = evidence.observed
    by_update = evidence.call.scenario.endswith("update")
    refreshes = seen.refreshes_by(seen.edge)
    methods = sorted({each.request.message.method for each in refreshes})
    shapes = sorted({_shape(each) for each in refreshes})
    headers = sorted({each.request.message.header("Session-Expires") or "none" for each in refreshes})
    return [
        equal(
            "Session-Expires of the 2xx",
            f"{INTERVAL};refresher=uas",
            seen.agreed,
        ),
        at_least("refreshes that left and were answered", 3, sum(each.answered for each in refreshes)),
        equal("their method", ["UPDATE" if by_update else "INVITE"], methods),
        equal("their body", ["none" if by_update else "SDP, audio 0"], shapes),
        equal("their Session-Expires", [f"{INTERVAL};refresher=uac"], headers),
        *_on_time(seen, refreshes),
        *_outlived(evidence),
    ]


def _carrier_refreshes(evidence: Evidence) -> list[Check]:
    seen = evidence.observed
    theirs = seen.refreshes_by(seen.carrier)
    answers = {
        (each.response and each.response.message.header("Session-Expires")) or "none" for each in theirs
    }
    return [
        equal(
            "Session-Expires of the 2xx",
            f"{INTERVAL};refresher=uac",
            seen.agreed,
        ),
        at_least("answered refreshes of the carrier", REFRESHES, sum(each.answered for each in theirs)),
        equal("Session-Expires of the answers", [f"{INTERVAL};refresher=uac"], sorted(answers)),
        equal("refreshes that we sent", 0, len(seen.refreshes_by(seen.edge))),
        *_outlived(evidence),
    ]


def _carrier_goes_silent(evidence: Evidence) -> list[Check]:
    seen = evidence.observed
    answered = [each for each in seen.refreshes_by(seen.carrier) if each.response and each.answered]
    last = answered[-1].response if answered else None
    bye = seen.bye
    waited = bye.time - last.time if bye and last else None
    return [
        equal("refreshes of the carrier before it fell silent", 1, len(answered)),
        equal("BYE comes from", seen.edge, bye and bye.source.address),
        # At this interval two probes do not fit before the deadline: they are over before the expiration.
        between("BYE after the last refresh", INTERVAL - guard(INTERVAL), INTERVAL + 0.5, waited),
        equal("cause in the CDR", _EXPIRED, evidence.cdr.get("cause")),
        contains("reason in the CDR", "the peer sent no refresh", evidence.cdr.get("userfield", "")),
        contains("the companion's log of this call", "hung_up", evidence.log),
    ]


def _on_time(seen: ObservedCall, refreshes: list[Refresh]) -> list[Check]:
    """Each refresh leaves half an interval after the 2xx before it."""
    before = [seen.established, *(each.response for each in refreshes)]
    pairs = zip(before, refreshes, strict=False)
    waits = [refresh.request.time - last.time for last, refresh in pairs if last is not None]
    worst = max(waits, key=lambda wait: abs(wait - _HALF), default=None)
    return [near("refresh after the last 2xx, the worst of them", _HALF, worst, early=_SPREAD)]


def _outlived(evidence: Evidence) -> list[Check]:
    """The call lived past two intervals and was ended by the carrier, of its own will."""
    seen = evidence.observed
    made, bye = seen.established, seen.bye
    lived = bye.time - made.time if made and bye else None
    return [
        at_least("the call lived", 2 * INTERVAL, lived, " s"),
        equal("BYE comes from", seen.carrier, bye and bye.source.address),
        at_least("seconds billed in the CDR", 2 * INTERVAL, float(evidence.cdr.get("billsec") or 0)),
        equal("cause in the CDR", _CLEARED, evidence.cdr.get("cause")),
    ]


def _shape(refresh: Refresh) -> str:
    """What a refresh carries: nothing, or the formats of its audio, telephone-event aside."""
    message = refresh.request.message
    if not message.body:
        return "none"
    media = [row for row in message.body.decode(errors="replace").splitlines() if row.startswith("m=audio ")]
    formats = " ".join(word for row in media for word in row.split()[3:] if int(word) < 96)
    return f"SDP, audio {formats}"


def _refreshed(how: str, host: int, allow: str) -> Call:
    title = "by UPDATE, without SDP" if how == "update" else "by re-INVITE, with the codec in use"
    keys: dict[str, str | int] = {
        "to": "1000",
        "interval": INTERVAL,
        "ask": "",
        "allow": allow,
        "count": REFRESHES,
        "hold": 3500,
    }
    return Call(f"act-2-{how}", title, f"uac-answers-{how}", host, keys, 45)


_CARRIERS: dict[str, str | int] = {
    "to": "1000",
    "interval": INTERVAL,
    "ask": ";refresher=uac",
    "allow": _UPDATE,
    "period": 6000,
}

ACTS = (
    Act(
        1,
        "The interval is too small",
        f"The carrier asks for {TOO_SMALL} s. The edge answers 422 with the minimum, {MINIMUM} s; Asterisk "
        "never hears of it, and the second try is accepted.",
        (
            Call(
                "act-1",
                "422, then accepted",
                "uac-below-minimum",
                41,
                {
                    "to": "1000",
                    "interval": TOO_SMALL,
                    "min_se": MINIMUM,
                    "refresher": "uac",
                    "allow": _UPDATE,
                    "hold": 1000,
                },
                15,
            ),
        ),
        _below_minimum,
    ),
    Act(
        2,
        "Asterisk is the refresher",
        f"At half the interval of {INTERVAL} s a refresh leaves Asterisk and the carrier answers it: one "
        "call by UPDATE, one by re-INVITE. Both live past two intervals.",
        (_refreshed("update", 42, _UPDATE), _refreshed("reinvite", 43, "")),
        _asterisk_refreshes,
    ),
    Act(
        3,
        "The carrier is the refresher and keeps its word",
        f"Every {_HALF:g} s the carrier refreshes. The call is left alone and lives past two intervals.",
        (
            Call(
                "act-3",
                "the carrier refreshes",
                "uac-refreshes",
                44,
                {**_CARRIERS, "count": REFRESHES, "hold": 1500},
                45,
            ),
        ),
        _carrier_refreshes,
    ),
    Act(
        4,
        "The carrier is the refresher and falls silent",
        f"It refreshes once and dies. About N - min(32, N/3), {INTERVAL - guard(INTERVAL):g} s after that "
        "refresh, Asterisk sends one itself, by UPDATE and by re-INVITE. Both time out at the edge, and "
        "Asterisk hangs up before the interval is over; the CDR shows why.",
        (
            Call(
                "act-4",
                "the carrier falls silent",
                "uac-goes-silent",
                44,
                {**_CARRIERS, "count": 1},
                40,
            ),
        ),
        _carrier_goes_silent,
    ),
)
