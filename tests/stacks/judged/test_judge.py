"""The judge of calls with other user agents, on calls that were drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab import wire
from tests.lab.capture import Endpoint, Packet
from tests.lab.observed import ObservedCall
from tests.lab.sip import SipMessage
from tests.lab.wire import ASTERISK, EDGE
from tests.stacks.agents import AGENTS, Agent
from tests.stacks.judge import enough, judge
from tests.stacks.scenarios import SCENARIOS, Case

AGENT = "198.18.0.130"
IN_DIALOG = ("From: <sip:a@b>;tag=1", "To: <sip:c@d>;tag=2")
AGREED = "Session-Expires: 90;refresher=uac"
SDP = "v=0\r\na={}\r\n"


def scenario(name: str, agent: str = "pjsua2") -> Case:
    (found,) = (each for each in SCENARIOS if each.name == name)
    return Case(next(each for each in AGENTS if each.name == agent), found)


def packet(at: float, source: str, message: bytes) -> Packet:
    """One message between the agent and the edge, ``at`` seconds after the call began."""
    target = AGENT if source == EDGE else EDGE
    return Packet(at, Endpoint(source, 5060), Endpoint(target, 5060), SipMessage.parse(message))


def made(agreed: str = AGREED, *, status: str = "200 OK") -> list[Packet]:
    """The agent's INVITE and its answer."""
    return [
        packet(0.0, AGENT, wire.request("INVITE", "CSeq: 1 INVITE")),
        packet(0.1, EDGE, wire.response(status, "INVITE", "CSeq: 1 INVITE", agreed)),
    ]


def refreshed(
    at: float, number: int, *, ours: bool = False, said: str = "", answered: str = "", agreed: str = AGREED
) -> list[Packet]:
    """A refresh and its 2xx; with what is ``said`` and ``answered`` of direction it has SDP."""
    method = "INVITE" if said else "UPDATE"
    body, back = (SDP.format(said), SDP.format(answered)) if said else ("", "")
    cseq = f"CSeq: {number} {method}"
    source, other = (EDGE, AGENT) if ours else (AGENT, EDGE)
    return [
        packet(at, source, wire.request(method, cseq, *IN_DIALOG, body=body)),
        packet(at + 0.1, other, wire.response("200 OK", method, cseq, agreed, *IN_DIALOG, body=back)),
    ]


def ended(at: float, *, ours: bool = True) -> list[Packet]:
    source, other = (EDGE, AGENT) if ours else (AGENT, EDGE)
    return [
        packet(at, source, wire.request("BYE", "CSeq: 99 BYE", *IN_DIALOG)),
        packet(at + 0.1, other, wire.response("200 OK", "BYE", "CSeq: 99 BYE", *IN_DIALOG)),
    ]


def seen(*parts: list[Packet]) -> ObservedCall:
    packets = [each for part in parts for each in part]
    return ObservedCall.of(packets, "call-1", edge=EDGE, carrier=AGENT, asterisk=ASTERISK)


THREE = [*refreshed(45, 2), *refreshed(90, 3), *refreshed(135, 4)]


def test_a_call_that_it_refreshes_in_time_passes_and_is_told() -> None:
    call = seen(made(), THREE, ended(140))

    verdict = judge(call, scenario("caller-it-refreshes"))

    assert verdict.complaints == ()
    assert verdict.seen == "`90;refresher=uac`; it refreshed by UPDATE after 45, 45, 45 s"
    assert enough(seen(made(), THREE), scenario("caller-it-refreshes"))
    assert not enough(seen(made(), THREE[:4]), scenario("caller-it-refreshes"))


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ([[]], "no 2xx"),
        ([made(status="486 Busy")], "no 2xx"),
        ([made(), THREE[:4], ended(140)], "2 refreshes were answered, expected 3"),
        ([made(), refreshed(20, 2), refreshed(65, 3), refreshed(110, 4), ended(120)], "came 19.9 s after"),
        ([made(), refreshed(70, 2), refreshed(115, 3), refreshed(160, 4), ended(170)], "came 69.9 s after"),
        ([made(), THREE, refreshed(100, 1000, ours=True), ended(140)], "we sent UPDATE to a refresher"),
        ([made(), THREE], "not ended by us"),
        ([made(), THREE, ended(140, ours=False)], "not ended by us"),
        ([made(), THREE, ended(140)[:1]], "BYE was not answered"),
        ([made("Session-Expires: 1800;refresher=uac"), THREE, ended(140)], "expected 90 s"),
        ([made("Session-Expires: 90;refresher=uas"), THREE, ended(140)], "named uas, expected uac"),
        (
            [made(), [packet(50, EDGE, wire.request("INFO", "X-Session-Timer: 90"))], THREE, ended(140)],
            "internal header",
        ),
    ],
)
def test_what_a_refresher_does_wrong(parts: list[list[Packet]], complaint: str) -> None:
    verdict = judge(seen(*parts), scenario("caller-it-refreshes"))

    assert any(complaint in each for each in verdict.complaints), verdict


def in_pairs() -> list[Packet]:
    """Our refreshes as Asterisk 16.28 makes them: each is two re-INVITEs, a moment apart."""
    pairs = ((2, 45.0), (3, 45.2), (4, 90.0), (5, 90.2), (6, 135.0), (7, 135.2))
    return [
        each
        for number, at in pairs
        for each in refreshed(at, number, ours=True, said="sendrecv", answered="sendrecv", agreed=AGREED)
    ]


@pytest.mark.parametrize(("row", "complains"), [(1, True), (2, False)])
def test_two_re_invites_in_a_row_are_one_refresh_where_asterisk_sends_two(row: int, complains: bool) -> None:
    case = replace(scenario("caller-we-reinvite"), in_a_row=row)
    call = seen(made("Session-Expires: 90;refresher=uas"), in_pairs(), ended(140))

    verdict = judge(call, case)

    assert bool(verdict.complaints) == complains, verdict
    assert ("after 45, 45, 45 s" in verdict.seen) != complains


def test_a_refresh_by_the_other_method() -> None:
    verdict = judge(seen(made(), THREE, ended(140)), scenario("caller-it-reinvites", "sofia"))

    assert any("was UPDATE, expected INVITE" in each for each in verdict.complaints)


def test_where_an_agent_moves_the_role_either_side_keeps_the_call() -> None:
    agreed = "Session-Expires: 90;refresher=uas"
    ours = (*refreshed(90, 1000, ours=True), *refreshed(135, 1001, ours=True))
    handed_over = [*refreshed(45, 2, agreed=agreed), *ours]
    called = [
        packet(0.0, EDGE, wire.request("INVITE", "CSeq: 1 INVITE")),
        packet(0.1, AGENT, wire.response("200 OK", "INVITE", "CSeq: 1 INVITE", agreed)),
    ]
    call = seen(called, handed_over, ended(140))

    assert judge(call, scenario("callee-it-refreshes", "sipral")).complaints == ()
    assert "hands the role to us" in judge(call, scenario("callee-it-refreshes", "sipral")).seen
    assert judge(call, scenario("callee-it-refreshes", "pjsua2")).complaints != ()


def test_a_refusal_that_was_due_first() -> None:
    case = scenario("refused-first")
    refused = [
        packet(0.0, AGENT, wire.request("INVITE", "CSeq: 1 INVITE")),
        packet(0.1, EDGE, wire.response("422 Small", "INVITE", "CSeq: 1 INVITE", "Min-SE: 120")),
        packet(0.2, AGENT, wire.request("INVITE", "CSeq: 2 INVITE")),
        packet(
            0.3,
            EDGE,
            wire.response("200 OK", "INVITE", "CSeq: 2 INVITE", "Session-Expires: 120;refresher=uac"),
        ),
    ]
    two = [*refreshed(60, 3), *refreshed(120, 4)]

    assert judge(seen(refused, two, ended(130)), case).complaints == ()
    assert judge(seen(refused, two, ended(130)), case).seen.startswith("422, then `120;refresher=uac`")
    never = judge(seen(made("Session-Expires: 120;refresher=uac"), two, ended(130)), case)
    assert any("not refused by 422" in each for each in never.complaints)


def test_a_hold_that_stays_and_one_that_does_not() -> None:
    case = scenario("on-hold")
    start = made("Session-Expires: 90;refresher=uas")
    hold = refreshed(10, 2, said="sendonly", answered="recvonly", agreed="Session-Expires: 90;refresher=uas")
    kept = [
        *refreshed(45, 1000, ours=True, said="recvonly", answered="sendonly"),
        *refreshed(90, 1001, ours=True, said="recvonly", answered="sendonly"),
    ]
    lost = [
        *refreshed(45, 1000, ours=True, said="sendrecv", answered="sendrecv"),
        *refreshed(90, 1001, ours=True, said="recvonly", answered="sendonly"),
    ]

    assert judge(seen(start, hold, kept, ended(95)), case).complaints == ()
    assert any("off hold" in each for each in judge(seen(start, hold, lost, ended(95)), case).complaints)
    assert any("never held" in each for each in judge(seen(start, kept, ended(95)), case).complaints)


def test_a_killed_agent_is_asked_and_then_its_call_is_ended() -> None:
    case = scenario("killed-refresher")
    asked = [packet(62, EDGE, wire.request("UPDATE", "CSeq: 1000 UPDATE", *IN_DIALOG))]

    verdict = judge(seen(made(), asked, ended(79)), case)
    assert verdict.complaints == ()
    assert verdict.seen == "UPDATE unanswered, BYE 79 s after the last 2xx"
    assert any("nothing was asked" in each for each in judge(seen(made(), ended(60)), case).complaints)
    assert any("later than" in each for each in judge(seen(made(), asked, ended(95)), case).complaints)
    assert any("no BYE" in each for each in judge(seen(made(), asked), case).complaints)


@pytest.mark.parametrize(("at", "wrong"), [(59, True), (61, False)])
def test_nobody_is_probed_while_it_is_in_time(at: float, wrong: bool) -> None:
    """Not before it is killed either, and not where the role moves."""
    asked = [packet(at, EDGE, wire.request("UPDATE", "CSeq: 1000 UPDATE", *IN_DIALOG))]
    killed = judge(seen(made(), asked, ended(80)), scenario("killed-refresher"))
    assert any("to the refresher" in each for each in killed.complaints) is wrong

    refused = [
        packet(0.0, AGENT, wire.request("INVITE", "CSeq: 1 INVITE")),
        packet(0.05, EDGE, wire.response("422 Small", "INVITE", "CSeq: 1 INVITE", "Min-SE: 90")),
        packet(0.1, AGENT, wire.request("INVITE", "CSeq: 2 INVITE")),
        packet(0.1, EDGE, wire.response("200 OK", "INVITE", "CSeq: 2 INVITE", AGREED)),
    ]
    # Ours names `uac`, and so us, until the agent's own names it again.
    ours, theirs = refreshed(at, 1000, ours=True), refreshed(at + 40, 3)
    again = refreshed(at + 40 + at, 1001, ours=True)
    moved = judge(seen(refused, ours, theirs, again, ended(at * 2 + 60)), scenario("refused-at-60", "sofia"))
    assert len([each for each in moved.complaints if "to the refresher" in each]) == (2 if wrong else 0)


def test_of_a_browser_that_is_killed_only_what_asterisk_does_is_left() -> None:
    """Its connection is gone: nothing of ours is seen there."""
    case = scenario("killed-refresher", "chromium")

    def inside(at: float, source: str, message: bytes) -> Packet:
        target = ASTERISK if source == EDGE else EDGE
        return Packet(at, Endpoint(source, 5060), Endpoint(target, 5060), SipMessage.parse(message))

    update = [inside(60, EDGE, wire.response("500 No", "UPDATE", "CSeq: 1000 UPDATE", *IN_DIALOG))]
    bye = [inside(66, ASTERISK, wire.request("BYE", "CSeq: 1001 BYE", *IN_DIALOG))]

    verdict = judge(seen(made(), update, bye), case)
    assert verdict.complaints == ()
    assert verdict.seen == "UPDATE not delivered, its WebSocket is closed, BYE 66 s after the last 2xx"
    assert enough(seen(made(), update, bye), case)
    assert not enough(seen(made(), update), case)
    assert any("nothing was asked" in each for each in judge(seen(made(), bye), case).complaints)
    assert any("no BYE" in each for each in judge(seen(made(), update), case).complaints)
    udp = scenario("killed-refresher")
    assert any("no BYE" in each for each in judge(seen(made(), update, bye), udp).complaints)


def test_an_agent_without_timers_agrees_on_none() -> None:
    case = scenario("caller-we-update", "baresip")
    ours = [
        *refreshed(45, 1000, ours=True),
        *refreshed(90, 1001, ours=True),
        *refreshed(135, 1002, ours=True),
    ]

    assert judge(seen(made("Server: y"), ours, ended(140)), case).complaints == ()
    assert any("without one" in each for each in judge(seen(made(), ours, ended(140)), case).complaints)


def test_every_agent_names_only_scenarios_that_there_are() -> None:
    names = {each.name for each in SCENARIOS}

    def unknown(agent: Agent) -> set[str]:
        return (set(agent.cannot) | set(agent.moves)) - names

    assert [agent.name for agent in AGENTS if unknown(agent)] == []
