"""A call goes on being refreshed whatever Asterisk does with its channel: each SIP dialog on its own."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import quote

from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_UPDATE,
    INTERVAL,
    NO_UPDATE,
    TIMER,
    agree,
    in_a_row,
    received,
    refresh,
)
from tests.lab.peers.user_agent import ALLOW, Call
from tests.lab.together import Stage, Together
from tests.lab.waiting import PATIENCE, NotInTimeError, wait_until

together = Together()
_numbers = itertools.count(1000)
CALLEE = (TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")


def bridged(stage: Stage, way: str = "84", allow: str = ALLOW) -> tuple[Call, Call]:
    """A call of the carrier that Asterisk bridges to another peer; both legs are ours to refresh."""
    number = next(_numbers)
    caller = stage.peer(BY_UPDATE).call(f"sip:{way}3{number}@{stage.stack.edge}")
    sent = caller.invite(TIMER, f"Session-Expires: {INTERVAL};refresher=uas")
    callee, invite = stage.peer(BY_REINVITE).called(str(number))
    callee.accept(invite, *CALLEE, allow=allow)
    callee.expect("ACK")
    answer = caller.final(sent)
    assert answer.status == 200, answer.start_line
    caller.ack(answer)
    return caller, callee


def channel(stage: Stage, call: Call) -> str:
    """Asterisk's channel of a call, as the companion knows it."""
    name: str = stage.companion.session(call.call_id)["channel"]
    return name


def ends(stage: Stage, *calls: Call) -> None:
    """Hang up; afterwards the companion has forgotten all of them."""
    for call in calls:
        assert call.bye().status == 200
    names = {call.call_id for call in calls}
    wait_until(
        stage.companion.sessions,
        PATIENCE,
        "no session left",
        holds=lambda seen: not names & seen.keys(),
        pause=0.3,
    )


def gone(call: Call) -> None:
    """Asterisk hangs this one up."""
    call.answer(call.expect("BYE", timeout=10), 200)


def kept(stage: Stage, call: Call, method: str = "UPDATE", rounds: int = 1) -> None:
    """So many refreshes come from now on, and no request that belongs to another leg in between."""
    numbers = []
    for _ in range(rounds):
        request = refresh(call, method)
        numbers.append(request.cseq[0])
        agree(call, request)
    assert numbers == list(range(numbers[0], numbers[0] + rounds))
    stage.edge.record(call.call_id, refresher="local", interval=str(INTERVAL))


def kept_together(stage: Stage, rounds: int, *legs: tuple[Call, str]) -> None:
    """The same for several calls, each by its method, until all of them have had so many refreshes."""
    numbers: dict[str, list[int]] = {call.call_id: [] for call, _ in legs}
    row = in_a_row(stage.stack)
    ends_at = time.monotonic() + (rounds + 2) * INTERVAL

    def answer(call: Call, method: str) -> None:
        mine = numbers[call.call_id]
        while time.monotonic() < ends_at and (
            any(len(seen) < rounds for seen in numbers.values()) or (method == "INVITE" and len(mine) % row)
        ):
            with suppress(NotInTimeError):
                request = call.expect(method, timeout=0.5)
                offered = request.rows("Session-Expires")
                # Asterisk's own first UPDATE may overtake its 200: then nothing is agreed yet.
                overtook = not numbers[call.call_id] and "refresher" not in str(offered)
                assert overtook or offered == (f"{INTERVAL};refresher=uac",), offered
                numbers[call.call_id].append(request.cseq[0])
                if overtook:
                    terms = f"Session-Expires: {INTERVAL};refresher=uac"
                    call.answer(request, 200, "Require: timer", terms)
                else:
                    agree(call, request)

    with ThreadPoolExecutor(len(legs)) as pool:
        for leg in [pool.submit(answer, call, method) for call, method in legs]:
            leg.result()
    for call, _ in legs:
        seen = numbers[call.call_id]
        assert len(seen) >= rounds
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        stage.edge.record(call.call_id, refresher="local", interval=str(INTERVAL))


@together.test("UAC-7.2-15", "REF-10-01")
def test_legs_of_a_bridged_call(stage: Stage) -> None:
    """The caller's profile says UPDATE, the callee's re-INVITE: neither sees the other's refreshes."""
    caller, callee = bridged(stage, allow=NO_UPDATE)
    kept_together(stage, 2, (caller, "UPDATE"), (callee, "INVITE"))
    assert caller.bye().status == 200
    gone(callee)


@together.test()
def test_call_through_a_local_channel(stage: Stage) -> None:
    caller, callee = bridged(stage, way="85", allow=NO_UPDATE)
    kept_together(stage, 2, (caller, "UPDATE"), (callee, "INVITE"))
    ends(stage, caller)
    gone(callee)


@together.test()
def test_caller_is_redirected(stage: Stage) -> None:
    """AMI sends the caller elsewhere in the dialplan; the callee is out."""
    caller, callee = bridged(stage, allow=NO_UPDATE)
    stage.stack.ami("Redirect", Channel=channel(stage, caller), Context="calls", Exten="wait", Priority="1")
    gone(callee)
    kept(stage, caller, rounds=2)
    ends(stage, caller)


@together.test()
def test_callee_is_redirected(stage: Stage) -> None:
    """It has no dialplan of its own until then."""
    caller, callee = bridged(stage, allow=NO_UPDATE)
    stage.stack.ami("Redirect", Channel=channel(stage, callee), Context="calls", Exten="wait", Priority="1")
    gone(caller)
    kept(stage, callee, "INVITE", rounds=2)
    ends(stage, callee)


@together.test("UAC-7.2-17")
def test_two_calls_are_bridged_later(stage: Stage) -> None:
    """Asterisk tells both who is connected now, by UPDATE: refreshes too. Then ours go on."""
    first, _ = received(stage, BY_UPDATE)
    second, _ = received(stage, BY_UPDATE)
    names = {channel(stage, first), channel(stage, second)}
    # Who is left goes on in the dialplan where it was: after the Wait there is nothing, so it is hung up.
    wait_until(
        lambda: stage.stack.ami("CoreShowChannels"),
        PATIENCE,
        "both in the Wait",
        holds=lambda rows: names <= {row["Channel"] for row in rows if row.get("Application") == "Wait"},
    )
    stage.stack.ami("Bridge", Channel1=channel(stage, first), Channel2=channel(stage, second))
    kept_together(stage, 3, (first, "UPDATE"), (second, "UPDATE"))
    assert first.bye().status == 200
    gone(second)


def refer(call: Call, to: str) -> None:
    """Ask Asterisk to transfer the other party of a call."""
    by = f"Referred-By: <sip:carrier@{call.agent.address}>"
    answer = call.final(call.send("REFER", f"Refer-To: <{to}>", by))
    assert answer.status == 202, answer.start_line


@together.test()
def test_blind_transfer(stage: Stage) -> None:
    """The caller refers the callee elsewhere and leaves; the callee's dialog lives on."""
    caller, callee = bridged(stage, allow=NO_UPDATE)
    refer(caller, f"sip:wait@{stage.stack.edge}")
    caller.bye()
    kept(stage, callee, "INVITE", rounds=2)
    ends(stage, callee)


@together.test()
def test_attended_transfer(stage: Stage) -> None:
    """Two calls of one caller: afterwards the two callees talk, and both are refreshed."""
    caller, first = bridged(stage, allow=NO_UPDATE)
    consult, second = bridged(stage, allow=NO_UPDATE)
    replaces = f"{quote(consult.call_id)}%3Bto-tag%3D{consult.remote_tag}%3Bfrom-tag%3D{consult.local_tag}"
    refer(caller, f"{consult.target}?Replaces={replaces}")
    for call in (caller, consult):
        call.bye()
    kept_together(stage, 2, (first, "INVITE"), (second, "INVITE"))
    assert first.bye().status == 200
    gone(second)


@together.test()
def test_picked_up_call(stage: Stage) -> None:
    """Whoever picks up takes the place of the channel that rang, by masquerade.

    The taker's call was under watch before.
    """
    number = next(_numbers)
    caller = stage.peer(BY_UPDATE).call(f"sip:843{number}@{stage.stack.edge}")
    sent = caller.invite(TIMER, f"Session-Expires: {INTERVAL};refresher=uas")
    ringing, invite = stage.peer(BY_REINVITE).called(str(number))
    ringing.answer(invite, 180)
    caller.expect(180)
    taker, _ = received(stage, BY_UPDATE, to=f"863{number}")
    stage.companion.session(taker.call_id)
    caller.ack(caller.final(sent))
    # Asterisk's own UPDATEs come first, two at most.
    kept_together(stage, 3, (taker, "UPDATE"), (caller, "UPDATE"))
    for call in (taker, caller):
        stage.companion.session(call.call_id)
    ends(stage, taker)
    gone(caller)


@together.test()
def test_parked_call_that_is_fetched(stage: Stage) -> None:
    """From another phone: each of the two goes on being refreshed on its own."""
    parked, _ = received(stage, BY_UPDATE, to="park")
    kept(stage, parked)
    fetcher, _ = received(stage, BY_UPDATE, to=space(stage, parked))
    # Asterisk tells both who is connected now, by UPDATE.
    kept_together(stage, 3, (parked, "UPDATE"), (fetcher, "UPDATE"))
    ends(stage, fetcher)
    gone(parked)


def space(stage: Stage, call: Call) -> str:
    """The number of the space in which this call is parked."""
    lot = stage.stack.ami("ParkedCalls")
    (found,) = [row["ParkingSpace"] for row in lot if row.get("ParkeeChannel") == channel(stage, call)]
    return found


@together.test()
def test_parked_call_that_nobody_fetches(stage: Stage) -> None:
    """Refreshed while it is parked; then its time is over, and it comes back to a phone that rings."""
    number = next(_numbers)
    parked, _ = received(stage, BY_UPDATE, to=f"893{number}")
    kept(stage, parked)
    phone, invite = stage.peer(BY_REINVITE).called(str(number))
    phone.accept(invite, *CALLEE, allow=NO_UPDATE)
    phone.expect("ACK")
    kept_together(stage, 2, (parked, "UPDATE"), (phone, "INVITE"))
    ends(stage, parked)
    gone(phone)
