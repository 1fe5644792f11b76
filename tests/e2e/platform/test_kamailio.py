"""What Kamailio itself does with requests and answers that session timers pass through it."""

from __future__ import annotations

import secrets

import pytest

from tests.lab.peers.user_agent import Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together
from tests.lab.waiting import PATIENCE, wait_until

together = Together()
SUPPORTED = "Supported: timer"


def through(stage: Stage, *rows: str, domain: str = "") -> tuple[Call, Call, SipMessage]:
    """A call from the proxied peer to another carrier: both ends, and the INVITE that came in."""
    user = f"passed{secrets.token_hex(4)}"
    caller = stage.peer(46).call(stage.peer(49).reachable(user))
    if domain:
        caller.local = f"<sip:carrier@{domain}>"
    caller.invite(*rows)
    callee, invite = stage.peer(49).called(user)
    return caller, callee, invite


@pytest.mark.smoke
@together.test("PRX-8.1-20")
def test_what_was_asked_is_known_to_the_last_answer_of_the_transaction(stage: Stage) -> None:
    """Two provisional answers and a first 2xx use nothing up: the second 2xx is completed as well."""
    caller, callee, invite = through(stage, SUPPORTED)
    for code in (180, 183):
        callee.answer(invite, code)
        assert caller.expect(code).rows("Session-Expires") == ()
    for tag in ("one", "two"):
        callee.accept(invite, tag=tag)
        answer = caller.expect(200)
        assert answer.to_tag == tag
        assert answer.rows("Session-Expires") == ("12;refresher=uac",)
        assert answer.rows("Require") == ("timer",)


@together.test("PRX-8.3-02")
def test_kamailio_frees_its_dialog_when_the_session_has_expired(stage: Stage) -> None:
    """Where the operator chose BYE at expiry; the record goes in any case."""
    timer = ("Session-Expires: 4;refresher=uac", SUPPORTED)
    caller, callee, invite = through(stage, *timer, domain="ended.example")
    callee.accept(invite, "Require: timer", *timer)
    caller.ack(caller.final(1))
    callee.expect("ACK")

    def kept() -> bool:
        dialogs = stage.edge.rpc("dlg.list")["result"]
        return caller.call_id in [each["call-id"] for each in dialogs]

    assert kept()
    # An answer to the first BYE that comes at once frees the dialog before Kamailio has sent the second.
    ends = [(each, each.expect("BYE", timeout=30)) for each in (caller, callee)]
    for each, bye in ends:
        each.accept(bye)
    wait_until(lambda: not kept(), PATIENCE, "Kamailio to have freed the dialog")
    assert not stage.edge.record_texts(caller.call_id)


@together.test("UPD-6-01")
def test_provisional_response_gives_an_update_no_more_time(stage: Stage) -> None:
    """An INVITE may ring for fr_inv_timer, two minutes here; UPDATE has fr_timer, 30 seconds."""
    caller, callee, invite = through(stage, SUPPORTED, "Session-Expires: 600")
    callee.accept(invite, "Require: timer", SUPPORTED, "Session-Expires: 600;refresher=uac")
    caller.ack(caller.final(1))
    callee.expect("ACK")
    number = caller.send("UPDATE", SUPPORTED, "Session-Expires: 600;refresher=uac")
    callee.answer(callee.expect("UPDATE"), 183)
    assert caller.expect(183, number).cseq == (number, "UPDATE")
    assert caller.final(number, timeout=40).status == 408
    caller.send("BYE")
    callee.accept(callee.expect("BYE"))


@pytest.mark.smoke
@together.test()
def test_retry_after_422_has_the_cseq_of_the_first_try_and_its_answer_is_what_counts(stage: Stage) -> None:
    """RFC 4028 7.3 says CSeq + 1: Kamailio sends the transaction's own request once more, on a new branch."""
    stage.edge.rpc("htable.flush", "session_timer_min_se")
    call, first = stage.originate(stage.peer(49))
    call.answer(first, 422, "Min-SE: 2300", SUPPORTED)
    call.expect("ACK")
    second = call.expect("INVITE")
    assert second.rows("Min-SE") == ("2300",)
    assert second.cseq == first.cseq
    assert second.header("Via") != first.header("Via")
    call.answer(second, 486)
    call.expect("ACK")
    assert stage.wire.reached_asterisk(call.call_id, 486).cseq == first.cseq
    assert not [each for each in stage.wire.to_asterisk(call.call_id) if each.status == 422]
