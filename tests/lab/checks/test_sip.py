"""Messages as text, against known inputs and against the independent parser `sipmessage`."""

from __future__ import annotations

import pytest
import sipmessage

from tests.lab.sip import COMPACT_NAMES, NotSip, SipMessage

COMPACT_INVITE = (
    b"INVITE sip:1000@198.18.0.10 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 198.18.0.42:5060;branch=z9hG4bK-1\r\n"
    b'f: "Tag; tag=no" <sip:carrier@198.18.0.42;tag=uri>;tag=ours\r\n'
    b"t: <sip:1000@198.18.0.10>\r\n"
    b"i: call-1@198.18.0.42\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Max-Forwards: 70\r\n"
    b"k: timer\r\n"
    b"x: 1800 ; Refresher = UAC\r\n"
    b"Min-SE: 120;foo=1\r\n"
    b"c: application/sdp\r\n"
    b"l: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)


def test_a_request_with_compact_names() -> None:
    message = SipMessage.parse(COMPACT_INVITE)

    assert (message.method, message.status) == ("INVITE", None)
    assert message.request_uri == "sip:1000@198.18.0.10"
    assert message.call_id == "call-1@198.18.0.42"
    assert message.cseq == (7, "INVITE")
    assert (message.from_tag, message.to_tag) == ("ours", None)
    assert (message.interval, message.refresher, message.min_se) == (1800, "uac", 120)
    assert message.body == b"v=0\r\n"
    assert message.is_request("INVITE", "UPDATE")
    assert not message.is_request("BYE")


def test_a_response_takes_its_method_from_cseq() -> None:
    message = SipMessage.parse(
        b"SIP/2.0 422 Session Interval Too Small\r\n"
        b"CSeq: 3 UPDATE\r\nTo: <sip:a@b>;tag=z\r\nMin-SE: 90\r\n\r\n"
    )

    assert (message.status, message.reason, message.method) == (422, "Session Interval Too Small", "UPDATE")
    assert (message.to_tag, message.min_se, message.interval) == ("z", 90, None)
    assert not message.is_request("UPDATE")


def test_the_independent_parser_reads_the_same() -> None:
    ours = SipMessage.parse(COMPACT_INVITE)
    theirs = sipmessage.Message.parse(COMPACT_INVITE)
    names = theirs.headers.keys()

    assert [name for name, _ in ours.headers] == names
    assert [value for _, value in ours.headers] == [theirs.headers.get(name) for name in names]


def test_repeated_rows_are_kept_and_words_joined() -> None:
    message = SipMessage.parse(
        b"OPTIONS sip:a SIP/2.0\r\nSupported: 100rel, Timer\r\nVia: one\r\nk: replaces\r\nVia: two\r\n\r\n"
    )

    assert message.rows("via") == ("one", "two")
    assert message.header("Via") == "one"
    assert message.tokens("Supported") == {"100rel", "timer", "replaces"}
    assert message.tokens("Require") == frozenset()


def test_folded_rows_and_bare_line_feeds() -> None:
    message = SipMessage.parse(
        b"\r\n\r\nBYE sip:a SIP/2.0\nSession-Expires: 90\n ;refresher=uas\nnonsense\n\nbody"
    )

    assert message.header("Session-Expires") == "90 ;refresher=uas"
    assert message.refresher == "uas"
    assert message.body == b"body"


@pytest.mark.parametrize("value", ["", "-1", "1800.5", "90s", "abc", ";refresher=uac"])
def test_an_unreadable_interval_is_none(value: str) -> None:
    message = SipMessage.parse(f"INVITE sip:a SIP/2.0\r\nSession-Expires: {value}\r\n\r\n".encode())

    assert message.interval is None
    assert message.header("Session-Expires") == value


@pytest.mark.parametrize("data", [b"", b"\x80\x00\x12\x34", b'{"jsonrpc": "2.0"}', b"HTTP/1.1 200 OK\r\n"])
def test_what_is_not_sip_is_refused(data: bytes) -> None:
    with pytest.raises(NotSip, match="no SIP start line"):
        SipMessage.parse(data)


def test_octets_outside_utf8_do_no_harm() -> None:
    message = SipMessage.parse(b"INVITE sip:a SIP/2.0\r\nSubject: \xff\r\nCSeq: many INVITE\r\n\r\n\xff\x00")

    assert message.header("Subject") == "\ufffd"
    assert message.body == b"\xff\x00"
    assert message.cseq == (-1, "")


def test_min_se_has_no_compact_form() -> None:
    assert "Min-SE" not in COMPACT_NAMES.values()
    assert COMPACT_NAMES["x"] == "Session-Expires"
