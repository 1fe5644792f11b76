"""What a call shows on the wire, held against what its scenario asks; pure, from captured messages."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.capture import Packet
from tests.lab.observed import ObservedCall, Refresh
from tests.lab.sip import SipMessage
from tests.stacks.scenarios import Case

LATEST = 2 / 3
"""The part of an interval by which some refresh, and before which nobody is late."""
EARLIEST = 0.4
"""The part of an interval before which nobody refreshes: the RFC's half, less a spread."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was seen, in words, and what of it is not as it should be."""

    seen: str
    complaints: tuple[str, ...]
    printed: str = ""
    """The last that the agent printed, where there is something to complain of."""


def kept(call: ObservedCall, case: Case) -> list[Refresh]:
    """The answered refreshes of the side that shall refresh, or of both where the agent moves the role.

    A hold is none of ours, and a change of the session right after it was made is none at all. Of re-INVITEs
    that Asterisk sends in a row for one refresh the first one stands for all.
    """
    side = call.edge if case.scenario.we_refresh else call.carrier
    found = call.refreshes if case.moves else call.refreshes_by(side)
    answered = [each for each in found if each.answered and not _is_codec_lock(call, each)]
    repeated = all(each.request.message.method == "INVITE" for each in answered)
    return answered[:: case.in_a_row] if case.scenario.we_refresh and repeated else answered


def enough(call: ObservedCall, case: Case) -> bool:
    """Whether all has been seen that is waited for before the call is ended by us."""
    if case.scenario.killed:
        return _bye(call, case) is not None
    return len(_after_hold(call, case)) >= case.scenario.refreshes


def judge(call: ObservedCall, case: Case) -> Verdict:
    """Judge a call that is over."""
    scenario = case.scenario
    complaints: list[str] = []
    if call.established is None:
        return Verdict("the call was not made", ("no 2xx to its INVITE",))
    if scenario.refused_first:
        complaints += _refusal(call, scenario.interval)
    complaints += _agreement(call, case)
    complaints += _early_probes(call)
    complaints += [
        f"our internal header in {each.message.start_line!r}"
        for each in call.outside
        if each.message.rows("X-Session-Timer")
    ]
    if scenario.killed:
        seen, more = _killed(call, case)
        return Verdict(seen, (*complaints, *more))
    refreshes = kept(call, case)
    if len(_after_hold(call, case)) < scenario.refreshes:
        complaints.append(f"{len(refreshes)} refreshes were answered, expected {scenario.refreshes}")
    complaints += _moments(call, refreshes, case)
    complaints += [
        f"a refresh was {each.request.message.method}, expected {scenario.by}"
        for each in refreshes
        if scenario.by not in ("", each.request.message.method) and not case.moves
    ]
    complaints += _intruders(call, case)
    if scenario.hold:
        complaints += _hold(call, case)
    if call.bye is None or call.bye.source.address != call.edge:
        complaints.append("the call was not ended by us")
    elif (answer := call.response(call.bye)) is None or answer.message.status != 200:
        complaints.append("our BYE was not answered by 200")
    return Verdict(_told(call, refreshes, case), tuple(complaints))


def _told(call: ObservedCall, refreshes: list[Refresh], case: Case) -> str:
    waits = ", ".join(f"{each:.0f}" for each in _waits(call, refreshes))
    methods = " and ".join(sorted({each.request.message.method or "" for each in refreshes}))
    who = "we" if case.scenario.we_refresh else "it"
    if case.moves:
        who = "both"
    first = "422, then " if case.scenario.refused_first and len(call.invites) > 1 else ""
    agreed = f"`{call.agreed}`" if call.agreed else "no timer in the 2xx"
    held = ", on hold" if case.scenario.hold else ""
    moved = f"; {case.moves}" if case.moves else ""
    return f"{first}{agreed}; {who} refreshed{held} by {methods or 'nothing'} after {waits or 'no'} s{moved}"


def _refusal(call: ObservedCall, interval: int) -> list[str]:
    answers = [call.response(each) for each in call.invites]
    first = answers[0].message if answers and answers[0] else None
    if first is None or first.status != 422:
        return [f"the first INVITE was not refused by 422 but answered {first.status if first else 'never'}"]
    if first.min_se != interval:
        return [f"422 said Min-SE {first.min_se}, expected {interval}"]
    return []


def _agreement(call: ObservedCall, case: Case) -> list[str]:
    scenario = case.scenario
    assert call.established is not None
    answer = call.established.message
    if not case.agent.has_timer:
        return [f"a timer was agreed with an agent without one: {call.agreed}"] if call.agreed else []
    found = []
    if answer.interval != scenario.interval:
        found.append(f"the 2xx agreed on {call.agreed}, expected {scenario.interval} s")
    if answer.refresher != scenario.refresher:
        found.append(f"the 2xx named {answer.refresher}, expected {scenario.refresher}")
    return found


def _moments(call: ObservedCall, refreshes: list[Refresh], case: Case) -> list[str]:
    interval = case.scenario.interval
    # Where the role moves, a refresh of ours may be the probe of a peer whose own came to nothing.
    latest = interval if case.moves else interval - min(32, interval / 3)
    earliest = 0 if case.moves else EARLIEST * interval
    return [
        f"a refresh came {wait:.1f} s after the one before, expected {earliest:.0f} to {latest:.0f} s"
        for wait in _waits(call, refreshes)
        if not earliest <= wait <= latest
    ]


def _waits(call: ObservedCall, refreshes: list[Refresh]) -> list[float]:
    """Seconds to each refresh from the 2xx of the one before, at first from that of the initial INVITE."""
    answers = [call.established, *(each.response for each in refreshes)]
    return [
        each.request.time - before.time
        for before, each in zip(answers, refreshes, strict=False)
        if before is not None
    ]


def _early_probes(call: ObservedCall) -> list[str]:
    """Refreshes of ours while the agent was the refresher and in time, whoever had the role before."""
    found = []
    made = next(each for each in call.invites if call.response(each) is call.established)
    last, theirs = call.established, _is_agents(call, made, call.established)
    assert last is not None
    interval = last.message.interval
    for each in call.refreshes:
        ours = each.request.source.address == call.edge
        wait = each.request.time - last.time
        if ours and theirs and interval is not None and wait < LATEST * interval:
            found.append(
                f"we sent {each.request.message.method} to the refresher {wait:.1f} s after the last 2xx, "
                f"before {LATEST * interval:.0f} s were over"
            )
        if each.answered and each.response is not None:
            last = each.response
            interval = last.message.interval or interval
            theirs = _is_agents(call, each.request, last, before=theirs)
    return found


def _is_agents(call: ObservedCall, request: Packet, answer: Packet | None, *, before: bool = False) -> bool:
    """Whether this 2xx makes the agent the refresher; where it names nobody that stays as ``before``."""
    role = answer.message.refresher if answer is not None else None
    if role is None:
        return before
    return (role == "uac") == (request.source.address != call.edge)


def _intruders(call: ObservedCall, case: Case) -> list[str]:
    """Refreshes of the side that has nothing to do; nobody is probed while it is in time."""
    if case.scenario.we_refresh or case.moves:
        return []
    return [
        f"we sent {each.request.message.method} to a refresher that was in time"
        for each in call.refreshes_by(call.edge)
    ]


def _hold(call: ObservedCall, case: Case) -> list[str]:
    holds = [each for each in call.refreshes_by(call.carrier) if _direction(each.request.message) in _HELD]
    if not holds:
        return ["it never held the call"]
    found = []
    for each in _after_hold(call, case):
        said = _direction(each.request.message)
        if said == "sendrecv":
            found.append("our refresh took the call off hold")
        answer = _direction(each.response.message) if each.response else ""
        if answer == "sendrecv":
            found.append("it came back from hold when it was refreshed")
    return found


_HELD = ("sendonly", "inactive")


def _after_hold(call: ObservedCall, case: Case) -> list[Refresh]:
    refreshes = kept(call, case)
    if not case.scenario.hold:
        return refreshes
    holds = [each for each in call.refreshes_by(call.carrier) if _direction(each.request.message) in _HELD]
    return [each for each in refreshes if holds and each.request.time > holds[0].request.time]


def _direction(message: SipMessage) -> str:
    rows = message.body.decode(errors="replace").splitlines()
    words = {row.removeprefix("a=") for row in rows} & {"sendrecv", "sendonly", "recvonly", "inactive"}
    return next(iter(words), "sendrecv" if rows else "")


def _killed(call: ObservedCall, case: Case) -> tuple[str, list[str]]:
    interval = case.scenario.interval
    bye = _bye(call, case)
    if bye is None:
        return "the call was never ended", ["no BYE"]
    complaints = []
    if bye.source.address not in (call.edge, call.asterisk):
        complaints.append("BYE did not come from us")
    answered = [call.established, *(each.response for each in call.refreshes if each.answered)]
    last = max(each.time for each in answered if each is not None)
    after = bye.time - last
    if after > interval + 1:
        complaints.append(
            f"BYE came {after:.1f} s after the last 2xx, later than the interval of {interval} s"
        )
    tried = _tried(call, case, last)
    if not tried:
        complaints.append("nothing was asked of it before the BYE")
    what = "not delivered, its WebSocket is closed" if case.agent.is_browser else "unanswered"
    return f"{' and '.join(tried) or 'nothing'} {what}, BYE {after:.0f} s after the last 2xx", complaints


def _bye(call: ObservedCall, case: Case) -> Packet | None:
    """The BYE; where the agent has gone with its connection, that of Asterisk's, which gets no further."""
    if call.bye is not None or not case.agent.is_browser:
        return call.bye
    return next((each for each in call.inside if each.message.is_request("BYE")), None)


def _tried(call: ObservedCall, case: Case, since: float) -> list[str]:
    """The methods of what we asked in vain; where there is no connection, of what the edge refused for it."""
    if not case.agent.is_browser:
        asked = [each.request for each in call.refreshes_by(call.edge)]
        return [each.message.method or "" for each in asked if each.time > since]
    return [
        each.message.method or ""
        for each in call.inside
        if each.source.address == call.edge
        and (each.message.status or 0) >= 400
        and each.message.method in ("INVITE", "UPDATE")
        and each.time > since
    ]


def _is_codec_lock(call: ObservedCall, refresh: Refresh) -> bool:
    """A change of the session right after it was made, as PJSIP's, moves the timer but is not sent for it."""
    assert call.established is not None
    return refresh.request.time - call.established.time < 5
