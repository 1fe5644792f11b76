"""A refresh leaves alone what there is beside audio: video, SRTP, a fax by T.38, media that goes straight.

An UPDATE without SDP cannot change any of it. Where re-INVITE is needed, what is in force is repeated.
"""

from __future__ import annotations

import itertools

import pytest

from tests.lab.peers import media
from tests.lab.peers.refreshed_calls import BY_REINVITE, BY_UPDATE, INTERVAL, NO_UPDATE, TIMER, refresh
from tests.lab.peers.user_agent import ALLOW, Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together

together = Together()
_numbers = itertools.count(2000)
OURS = f"Session-Expires: {INTERVAL};refresher=uas"
"""To an INVITE of Asterisk's peer: Asterisk's side refreshes."""
REPEATED = 2
"""INVITEs with which one refresh repeats a description: see `refreshing.by_repetition`."""


def answered(
    stage: Stage,
    host: int,
    caller: str,
    *streams: tuple[str, ...],
    allow: str = NO_UPDATE,
) -> tuple[Call, SipMessage]:
    """A call from this user, which picks Asterisk's endpoint. Gives the 2xx too."""
    call = stage.peer(host).call(f"sip:wait@{stage.stack.edge}")
    call.local = f"<sip:{caller}@{call.agent.address}>"
    offer = media.described(call.agent.address, *streams)
    answer = call.final(call.send("INVITE", allow, TIMER, OURS, body=offer), 15)
    assert answer.status == 200, answer.start_line
    call.ack(answer)
    return call, answer


def agree(call: Call, request: SipMessage, *streams: tuple[str, ...]) -> None:
    """200 with these streams where an offer came, on the terms that the request names."""
    terms = f"Session-Expires: {request.header('Session-Expires')}"
    version = 1 + request.cseq[0]
    body = media.described(call.agent.address, *streams, version=version) if request.body else ""
    call.answer(request, 200, "Require: timer", terms, body=body)
    if request.method == "INVITE":
        call.expect("ACK")


def repeats(stage: Stage, call: Call, answer: SipMessage, *streams: tuple[str, ...]) -> None:
    """Two rounds in which every line of the description in force comes again, in its place."""
    for _ in range(2 * REPEATED):
        request = refresh(call, "INVITE")
        assert media.rows(request.body) == media.rows(answer.body)
        agree(call, request, *streams)
    stage.edge.record(call.call_id, refreshes=str(2 * REPEATED), refresher="local", interval=str(INTERVAL))
    assert call.bye().status == 200


@pytest.mark.smoke
@together.test("UAC-7.4-15", "UAC-7.4-18")
def test_video_by_update(stage: Stage) -> None:
    call, answer = answered(stage, BY_UPDATE, "rich", media.AUDIO, media.VIDEO, allow=ALLOW)
    assert len(media.streams(answer.body)) == 2
    for _ in range(2):
        request = refresh(call, "UPDATE")
        assert request.body == b""
        agree(call, request)
    stage.edge.record(call.call_id, refreshes="2", refresher="local")
    assert call.bye().status == 200


@pytest.mark.smoke
@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_video_by_reinvite(stage: Stage) -> None:
    """H.264's parameters, which a new offer of Asterisk would leave out, included."""
    call, answer = answered(stage, BY_REINVITE, "rich", media.AUDIO, media.VIDEO)
    assert media.attributes(answer.body, "fmtp")[-1].startswith("a=fmtp:97 packetization-mode=1")
    repeats(stage, call, answer, media.AUDIO, media.VIDEO)


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_video_before_audio_by_reinvite(stage: Stage) -> None:
    """A new offer of Asterisk would begin with audio."""
    call, answer = answered(stage, BY_REINVITE, "rich", media.VIDEO, media.AUDIO)
    assert [row[:7] for row in media.streams(answer.body)] == ["m=video", "m=audio"]
    repeats(stage, call, answer, media.VIDEO, media.AUDIO)


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_audio_where_the_endpoint_allows_video_too(stage: Stage) -> None:
    """A new offer of Asterisk would begin video."""
    call, answer = answered(stage, BY_REINVITE, "rich", media.AUDIO)
    repeats(stage, call, answer, media.AUDIO)


@together.test("UAC-7.4-15", "REF-10-05")
def test_video_where_the_peer_refuses_update_without_sdp(stage: Stage) -> None:
    """Asterisk has no UPDATE that repeats video: re-INVITE it is."""
    call, answer = answered(stage, BY_UPDATE, "rich", media.AUDIO, media.VIDEO, allow=ALLOW)
    call.answer(refresh(call, "UPDATE"), 488)
    repeats(stage, call, answer, media.AUDIO, media.VIDEO)


@together.test("S61-14.1-04", "REF-10-05")
def test_video_where_the_peer_has_a_request_under_way_itself(stage: Stage) -> None:
    """Of the two INVITEs the first is refused; Asterisk sends the second at once, and the call lives."""
    call, answer = answered(stage, BY_REINVITE, "rich", media.AUDIO, media.VIDEO)
    call.answer(refresh(call, "INVITE"), 491)
    call.expect("ACK")
    request = refresh(call, "INVITE")
    assert media.rows(request.body) == media.rows(answer.body)
    agree(call, request, media.AUDIO, media.VIDEO)
    stage.edge.record(call.call_id, refreshes="1", refresher="local")
    stage.companion.session(call.call_id, lambda seen: seen["refreshes"] == 1 and seen["state"] == "ours")
    assert call.bye().status == 200


@together.test("UAC-7.4-15", "UAC-7.4-18")
def test_srtp_by_update(stage: Stage) -> None:
    call, _ = answered(stage, BY_UPDATE, "secure", media.SDES, allow=ALLOW)
    request = refresh(call, "UPDATE")
    assert request.body == b""
    agree(call, request)
    stage.edge.record(call.call_id, refreshes="1", refresher="local")
    assert call.bye().status == 200


@pytest.mark.smoke
@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_srtp_by_reinvite(stage: Stage) -> None:
    """The same key: another would leave both sides deaf until everybody has taken it."""
    keyed(stage, "secure", media.SDES, "crypto")


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_dtls_by_reinvite(stage: Stage) -> None:
    """The same fingerprint and part in the handshake, from the same port: no new association (RFC 5763 5)."""
    keyed(stage, "dtls", media.DTLS, "fingerprint", "setup", "connection")


def keyed(stage: Stage, caller: str, stream: tuple[str, ...], *names: str) -> None:
    """A call whose audio is encrypted; twice the re-INVITE says the same by these attributes."""
    call, answer = answered(stage, BY_REINVITE, caller, stream)
    keys = media.attributes(answer.body, *names)
    assert len(keys) == len(names)
    (was,) = media.streams(answer.body)
    for _ in range(2):
        request = refresh(call, "INVITE")
        (now,) = media.streams(request.body)
        # Asterisk may name telephone-event as well.
        assert now.split()[:4] == was.split()[:4]
        assert media.attributes(request.body, *names) == keys
        agree(call, request, stream)
    stage.edge.record(call.call_id, refreshes="2", refresher="local")
    assert call.bye().status == 200


def bridged(stage: Stage, way: str, endpoint: str) -> tuple[Call, Call]:
    """A call that Asterisk bridges between two such endpoints; the callee does not know UPDATE."""
    number = next(_numbers)
    caller = stage.peer(BY_UPDATE).call(f"sip:{way}3{number}@{stage.stack.edge}")
    caller.local = f"<sip:{endpoint}@{caller.agent.address}>"
    offer = media.described(caller.agent.address, media.AUDIO)
    sent = caller.send("INVITE", ALLOW, TIMER, OURS, body=offer)
    callee, invite = stage.peer(BY_REINVITE).called(str(number))
    terms = ("Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
    body = media.described(callee.agent.address, media.AUDIO)
    callee.answer(invite, 200, NO_UPDATE, TIMER, *terms, body=body)
    callee.expect("ACK")
    answer = caller.final(sent)
    assert answer.status == 200, answer.start_line
    caller.ack(answer)
    return caller, callee


def asterisk_says(stage: Stage, call: Call, variable: str) -> str:
    """What a variable of this call's channel holds."""
    channel = stage.stack.channels()[call.call_id]
    (told,) = stage.stack.ami("Getvar", Channel=channel, Variable=variable)
    return told["Value"]


def ends(caller: Call, callee: Call) -> None:
    """The caller hangs up. Asterisk takes the callee's media back to itself before it does so too."""
    assert caller.bye().status == 200
    agree(callee, callee.expect("INVITE"), media.AUDIO)
    callee.answer(callee.expect("BYE"), 200)


@pytest.mark.smoke
@together.test("UAC-7.4-15", "UAC-7.4-18", "UAC-7.4-19")
def test_fax(stage: Stage) -> None:
    """Both legs switch to T.38; one is then refreshed by UPDATE, the other by re-INVITE: the fax goes on."""
    caller, callee = bridged(stage, "87", "rich")
    fax = media.described(caller.agent.address, media.FAX, version=2)
    switch = caller.send("INVITE", ALLOW, TIMER, OURS, body=fax)
    switched = callee.expect("INVITE")
    assert media.streams(switched.body)[0].startswith("m=image")
    agree(callee, switched, media.FAX)
    answer = caller.final(switch)
    assert answer.status == 200, answer.start_line
    caller.ack(answer)
    before = int(stage.edge.record(caller.call_id)["refreshes"])
    request = caller.expect("UPDATE", timeout=INTERVAL)
    assert request.body == b""
    agree(caller, request)
    stage.edge.record(caller.call_id, refreshes=str(before + 1))
    for _ in range(REPEATED):
        request = refresh(callee, "INVITE")
        assert media.streams(request.body) == media.streams(switched.body)
        agree(callee, request, media.FAX)
    for call in (caller, callee):
        assert asterisk_says(stage, call, "CHANNEL(pjsip,t38state)") == "ENABLED"
        assert asterisk_says(stage, call, "PJSIP_DTMF_MODE()") == "rfc4733"
    ends(caller, callee)


@together.test("UAC-7.4-15", "UAC-7.4-18", "UAC-7.4-19")
def test_media_that_goes_straight(stage: Stage) -> None:
    """Each side was told the other's address; refreshes leave it so."""
    caller, callee = bridged(stage, "88", "direct")
    told = {call.call_id: call.expect("INVITE") for call in (caller, callee)}
    for call, other in ((caller, callee), (callee, caller)):
        request = told[call.call_id]
        assert f"c=IN IP4 {other.agent.address}" in media.rows(request.body)
        agree(call, request, media.AUDIO)
    request = refresh(caller, "UPDATE")
    assert request.body == b""
    agree(caller, request)
    request = refresh(callee, "INVITE")
    assert media.rows(request.body) == media.rows(told[callee.call_id].body)
    agree(callee, request, media.AUDIO)
    for call in (caller, callee):
        stage.edge.record(call.call_id, refreshes="2", refresher="local")
    ends(caller, callee)
