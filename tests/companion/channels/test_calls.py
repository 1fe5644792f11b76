"""Calls as AMI shows them, and the actions that refresh them."""

from __future__ import annotations

import pytest
from session_timer import Agreement, InternalHeader, SharedKey, Side
from session_timer.session import Method, Reason
from session_timer_companion.ami.client import AmiMessage
from session_timer_companion.channels import calls, refresh_actions

KEY = SharedKey.parse("k" * 40)
CALL_ID = "1-1056@198.18.0.40"
PEER_TAG = "as7f3c"


def status(**headers: str) -> AmiMessage:
    """A Status entry as Asterisk 22 writes it."""
    lines = {
        "Event": "Status",
        "Channel": "PJSIP/carrier-0000001a",
        "ChannelState": "6",
        "ConnectedLineNum": "<unknown>",
        "DNID": "1000",
        "Exten": "s",
        **headers,
    }
    message = AmiMessage.from_line("".join(f"{name}: {value}\r\n" for name, value in lines.items()))
    assert isinstance(message, AmiMessage)
    return message


CHANNEL = calls.Channel("PJSIP/carrier-0000001a")


def signed(edge: str = "edge", call_id: str = CALL_ID, placed: Side | None = None) -> str:
    return InternalHeader(
        Agreement(1800, Side.LOCAL), peer_allows_update=True, edge=edge, placed=placed
    ).encode(KEY, call_id)


def test_an_answered_channel_is_listed_with_whether_asterisk_knows_a_number() -> None:
    alone = calls.answered(status())
    assert alone == CHANNEL
    assert not CHANNEL.connected
    both = calls.answered(status(ConnectedLineNum="200"))
    assert both is not None
    assert both.numbers_utf8 == b" 200"
    assert both.connected


@pytest.mark.parametrize(
    ("dialled", "number"),
    [
        ("1000", "1000"),
        ("+49301234", "+49301234"),
        ("*21#", "*21#"),
        ("s", ""),
        ("h", ""),
        ("unknown", ""),
        ("", ""),
        ("anna", ""),
    ],
)
def test_only_what_is_a_number_is_ever_shown_as_one(dialled: str, number: str) -> None:
    assert calls.Numbers("", dialled).to_set == number


@pytest.mark.parametrize(
    "headers", [{"ChannelState": "4"}, {"Channel": "Local/100@default-00000001;1"}, {"Channel": ""}]
)
def test_what_is_no_answered_sip_channel_is_not_listed(headers: dict[str, str]) -> None:
    assert calls.answered(status(**headers)) is None


def test_a_row_that_our_key_has_signed_for_this_call_is_believed() -> None:
    header, refused = calls.verified(["", signed()], KEY, CALL_ID, PEER_TAG)
    assert header is not None
    assert (header.agreement, header.edge, refused) == (Agreement(1800, Side.LOCAL), "edge", "")


def test_a_strangers_row_before_ours_is_passed_over() -> None:
    stranger = "90;refresher=remote;allow=UPDATE;edge=edge;v=2;sig=" + "0" * 32
    header, refused = calls.verified([stranger, signed("second")], KEY, CALL_ID, PEER_TAG)
    assert header is not None
    assert (header.edge, refused) == ("second", "")


@pytest.mark.parametrize(
    "value",
    [
        "90;refresher=remote;v=2",
        '1800;refresher=local;allow=UPDATE;rpc="udp:198.18.0.10:8090";v=1',
        signed(call_id="another call"),
        signed().replace("1800", "90"),
        "nonsense",
    ],
)
def test_what_our_key_has_not_signed_for_this_call_is_not_believed(value: str) -> None:
    header, refused = calls.verified([value, ""], KEY, CALL_ID, PEER_TAG)
    assert header is None
    assert "not signed" in refused


def test_a_call_without_any_row_is_not_ours() -> None:
    assert calls.verified(["", ""], KEY, CALL_ID, PEER_TAG) == (None, "")


def test_whose_invite_began_the_call_is_said_by_the_header_whatever_came_since() -> None:
    """A re-INVITE of the peer brings a received header to a call that Asterisk placed."""
    ours = calls.verified([signed(placed=Side.LOCAL)], KEY, CALL_ID, PEER_TAG)[0]
    assert calls.is_placed_by_us(ours, [signed(), ""])
    theirs = calls.verified([signed(placed=Side.REMOTE)], KEY, CALL_ID, PEER_TAG)[0]
    assert not calls.is_placed_by_us(theirs, ["", signed()])
    assert calls.is_placed_by_us(None, ["", signed()])
    assert not calls.is_placed_by_us(None, [signed(), ""])


def test_an_endpoint_may_have_dashes() -> None:
    assert calls.endpoint("PJSIP/carrier-north-1-0000001a") == "carrier-north-1"


def test_a_call_id_may_have_semicolons_before_its_tags() -> None:
    assert calls.call_id("odd;call;tag1;tag2") == "odd;call"


def test_update_without_sdp_is_a_connected_line_with_a_tag_never_used_before() -> None:
    first, second = refresh_actions.fresh_tag(), refresh_actions.fresh_tag()
    assert first != second
    assert refresh_actions.by_connected_line("PJSIP/a-1", first) == [
        ("Setvar", {"Channel": "PJSIP/a-1", "Variable": "CONNECTEDLINE(tag)", "Value": first})
    ]
    number, tag = refresh_actions.by_connected_line("PJSIP/a-1", first, "1000")
    assert number[1]["Variable"] == "CONNECTEDLINE(num,i)"
    assert tag[1]["Variable"] == "CONNECTEDLINE(tag)"


@pytest.mark.parametrize(("method", "word"), [(Method.INVITE, "invite"), (Method.UPDATE_SDP, "update")])
def test_an_offer_names_the_codecs_in_use_and_one_that_never_shows(method: Method, word: str) -> None:
    media = calls.media("(ulaw|alaw)", "DISABLED", "", "rfc4733")
    offer, send = refresh_actions.with_sdp(CHANNEL.name, media, method)
    assert offer[1]["Variable"] == "PJSIP_MEDIA_OFFER(audio)"
    assert offer[1]["Value"] == "!all,ulaw,alaw,none"
    assert (send[1]["Variable"], send[1]["Value"]) == ("PJSIP_SEND_SESSION_REFRESH()", word)


@pytest.mark.parametrize("method", [Method.INVITE, Method.UPDATE_SDP])
@pytest.mark.parametrize(
    ("codecs", "t38", "video"),
    [
        ("(ulaw)", "ENABLED", ""),
        ("(nothing)", "DISABLED", ""),
        ("", "", ""),
        ("(ulaw)", "DISABLED", "h264,vp8"),
    ],
)
def test_what_an_offer_of_audio_would_change_is_repeated(
    codecs: str, t38: str, video: str, method: Method
) -> None:
    media = calls.media(codecs, t38, video, "auto")
    there, back = refresh_actions.with_sdp(CHANNEL.name, media, method)
    assert there == (
        "Setvar",
        {"Channel": CHANNEL.name, "Variable": "PJSIP_DTMF_MODE()", "Value": "auto_info"},
    )
    assert back == ("Setvar", {"Channel": CHANNEL.name, "Variable": "PJSIP_DTMF_MODE()", "Value": "auto"})


@pytest.mark.parametrize("digits", ["rfc4733", "inband", "info", "auto", "auto_info", "none"])
def test_a_description_is_repeated_by_a_mode_that_is_described_alike(digits: str) -> None:
    there, back = refresh_actions.by_repetition(CHANNEL.name, calls.Media(digits=digits))
    described = {"rfc4733", "auto", "auto_info"}
    assert there[1]["Value"] != digits
    assert (there[1]["Value"] in described) is (digits in described)
    assert back[1]["Value"] == digits


def test_an_unknown_way_to_send_digits_is_left_alone() -> None:
    with pytest.raises(refresh_actions.CannotRefresh, match="'morse'"):
        refresh_actions.by_repetition(CHANNEL.name, calls.Media(digits="morse"))


def test_a_hang_up_says_why_before_it_ends_the_call() -> None:
    why, end = refresh_actions.hang_up("PJSIP/a-1", Reason.SILENT, "session_timer")
    assert why[1] == {
        "Channel": "PJSIP/a-1",
        "Variable": "CDR(session_timer)",
        "Value": "session-timer: the peer sent no refresh",
    }
    assert end == ("Hangup", {"Channel": "PJSIP/a-1", "Cause": "102"})
    assert refresh_actions.hang_up("PJSIP/a-1", Reason.SILENT, "") == [end]


def test_a_release_that_sends_no_offer_is_made_to_repeat() -> None:
    media = calls.media("(ulaw)", "DISABLED", "", "rfc4733")
    orders = refresh_actions.with_sdp(CHANNEL.name, media, Method.INVITE, offers=False)
    assert {order[1]["Variable"] for order in orders} == {"PJSIP_DTMF_MODE()"}
