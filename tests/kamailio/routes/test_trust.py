"""What passes untouched, and what nobody outside may say."""

from __future__ import annotations

import dataclasses

import pytest
from session_timer_kemi.routes.trust import Naming, naming

from tests.kamailio.fakes.edge import (
    ASTERISK,
    CARRIER,
    CONFIG,
    OFF,
    OURS,
    OUTSIDER,
    PASSING,
    RECORD_ROUTE,
    THEIRS,
    Edge,
    MakeEdge,
)

OUR_IDS = ("From", "To", "Call-ID", "CSeq", "Contact", "Contact", "Record-Route")

TIMER_ROWS = (
    "x : 5;refresher=nobody",
    "Min-SE: a",
    "k: timer,,",
    "Supported: \u00ff",
    "Require: timer",
    "Proxy-Require: timer",
)


@pytest.mark.parametrize("peer", [CARRIER, PASSING, OFF, OUTSIDER])
@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "BYE", "OPTIONS", "ACK", "INFO"])
def test_the_internal_header_is_removed_in_every_direction(
    make_edge: MakeEdge, *, peer: str, from_us: bool, method: str
) -> None:
    edge = make_edge(peer=peer)
    forged = ("X-Session-Timer: 5;refresher=local;v=1", "x-session-TIMER: 6", "X-Other: 1")
    handled = edge.send(forged, method=method, from_us=from_us, within=method not in ("INVITE", "OPTIONS"))
    if method not in ("INVITE", "UPDATE") or from_us:
        assert handled.sent.all("X-Session-Timer") == []
    assert not {"X-Session-Timer: 5;refresher=local;v=1", "x-session-TIMER: 6"} & set(handled.sent.rows)
    for code in (183, 200, 486):
        answer = edge.sure(edge.answer(handled, code, forged))
        assert not {"X-Session-Timer: 5;refresher=local;v=1", "x-session-TIMER: 6"} & set(answer.rows)
        assert "X-Other: 1" in answer.rows


AMBIGUOUS = (
    pytest.param("X-Other: 1\rX-Session-Timer: 5;v=1", id="lone CR"),
    pytest.param("X-Other: 1\rX-Session-Timer\r\n : 5;v=1", id="lone CR and a fold"),
    pytest.param("x-session-timer : 5\rX-SESSION-TIMER: 6", id="behind a row of that name"),
    pytest.param("X-Other: 1\nX-Session-Timer: 5;v=1", id="lone LF"),
    pytest.param("X-Session-Timer\r\n : 5;v=1", id="fold before the colon"),
    pytest.param("X-Other: 1\r\n X-Session-Timer: 5;v=1", id="fold before the name"),
    pytest.param("Min-Expires: 5&X-Session-Timer: 5;v=1", id="ampersand"),
    pytest.param("Contact: <sip:a@b>& x-session-timer : 5;v=1", id="ampersand and a blank"),
    pytest.param('From: "a\0b" <sip:a@b>;tag=1\r\nX-Session-Timer: 5', id="NUL"),
    pytest.param('Contact: "a\r\nX-Session-Timer: 5', id="open quote"),
    pytest.param("Supported: timer, foo\rX-Session-Timer: 5;v=1", id="within a list that is written anew"),
)


@pytest.mark.parametrize("hiding", AMBIGUOUS)
@pytest.mark.parametrize("peer", [CARRIER, PASSING, OFF])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "OPTIONS", "BYE"])
def test_a_request_that_parsers_read_differently_is_refused(
    make_edge: MakeEdge, *, peer: str, method: str, hiding: str
) -> None:
    edge = make_edge(peer=peer)
    handled = edge.send((*hiding.split("\r\n"), "X-Next: 1"), method=method, within=method == "BYE")
    if "\r\n " in hiding:
        handled = edge.send((hiding, "X-Next: 1"), method=method)
    assert handled.branches == []
    assert handled.answered is not None
    assert handled.answered.start == "SIP/2.0 400 Ambiguous X-Session-Timer"
    assert edge.count("ambiguous") > 0


@pytest.mark.parametrize("hiding", AMBIGUOUS)
def test_an_ack_that_parsers_read_differently_is_dropped(edge: Edge, hiding: str) -> None:
    handled = edge.send((hiding,), method="ACK", within=True)
    assert (handled.branches, handled.answered) == ([], None)


@pytest.mark.parametrize("hiding", AMBIGUOUS)
@pytest.mark.parametrize("peer", [CARRIER, PASSING, OFF])
@pytest.mark.parametrize("code", [183, 200, 486])
def test_a_response_that_parsers_read_differently_is_dropped(
    make_edge: MakeEdge, *, peer: str, code: int, hiding: str
) -> None:
    edge = make_edge(peer=peer)
    assert edge.answer(edge.send(from_us=True), code, (hiding, "X-Next: 1")) is None
    assert edge.count("ambiguous") == 1
    assert edge.record() is None


@pytest.mark.parametrize("code", [200, 486])
def test_a_response_that_kamailio_cannot_parse_is_dropped_if_it_names_our_header(
    edge: Edge, code: int
) -> None:
    handled = edge.send(from_us=True)
    rows = ("X-Session-Timer: 5;refresher=local;v=1", "Retry-After: soon", "X-Other: 1")
    assert edge.answer(handled, code, rows) is None


@pytest.mark.parametrize("row", ["X-Other: a\rb", "X-Other: a&b", 'X-Other: "', "X-Other: a\r\n b"])
def test_whatever_does_not_name_our_header_passes(edge: Edge, row: str) -> None:
    assert row in "\r\n".join(edge.send((row,)).sent.rows)


@pytest.mark.parametrize("ends", ["\r\n", "\r\n\r\n", "\n\n", "\r\r"])
def test_ends_of_lines_in_front_of_a_message_hide_nothing(ends: str) -> None:
    """Kamailio passes them on, and both parsers pass over them."""
    message = "INVITE sip:100@192.0.2.20 SIP/2.0\r\nMin-Expires: 5&X-Session-Timer: 5;v=1\r\n\r\n"
    assert naming(ends + message, "X-Session-Timer") is Naming.AMBIGUOUS
    clear = "INVITE sip:100@192.0.2.20 SIP/2.0\r\nX-Session-Timer: 5;v=1\r\n\r\na\rb"
    assert naming(ends + clear, "X-Session-Timer") is Naming.CLEAR


def test_a_body_may_name_our_header() -> None:
    """A notification of what became of a transfer has a SIP message in its body, which nobody edits."""
    head = "NOTIFY sip:100@192.0.2.20 SIP/2.0\r\nEvent: refer\r\n\r\n"
    assert naming(f"{head}X-Session-Timer: 1\n a\rb&X-Session-Timer: 2", "X-Session-Timer") is Naming.CLEAR
    assert naming(f"{head}a\rb", "X-Session-Timer") is Naming.ABSENT


@pytest.mark.parametrize("header", ["Supported", "Require", "Proxy-Require"])
@pytest.mark.parametrize("byte", ["\r", "\n", "\0"])
def test_nothing_that_ends_a_row_is_written_anew(edge: Edge, *, header: str, byte: str) -> None:
    sent = edge.send((f"{header}: timer, foo{byte}X-Forged: 1", "Session-Expires: 1800")).sent
    assert sent.all(header) == [f"{header}: foo\u00ef\u00bf\u00bdX-Forged: 1"], "one row, with U+FFFD in it"


def test_the_internal_header_goes_out_of_any_mass_of_what_is_no_utf_8(edge: Edge) -> None:
    """Such a text comes from Kamailio in pieces, for it makes none of more than 32,767 bytes."""
    rows = ("X-Padding: \u00ff" + "a" * 64_000, "X-Session-Timer: 5;v=1")
    handled = edge.send(("Supported: timer", *rows))
    answered = edge.sure(edge.answer(edge.send((), from_us=True), 200, rows))
    for sent in (handled.sent, answered):
        assert not [row for row in sent.rows if "X-Session-Timer: 5" in row]
        assert len([row for row in sent.rows if row.startswith("X-Session-Timer:")]) == 1, "ours"


@pytest.mark.parametrize("name", ["X-Session-Timer", "X-Edge"])
def test_the_header_has_the_name_that_the_configuration_gives(make_edge: MakeEdge, name: str) -> None:
    edge = make_edge(config={**CONFIG, "edge": {"header": name}})
    sent = edge.send(("Supported: timer", "Session-Expires: 1800")).sent
    assert (sent.value(name) or "").startswith("1800;refresher=remote;allow=INVITE;edge=edge;peer=carrier;")


@pytest.mark.parametrize("peer", [OFF, CARRIER])
@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "BYE", "OPTIONS", "INFO", "PRACK", "ACK"])
def test_switched_off_everything_passes_byte_for_byte(
    make_edge: MakeEdge, *, peer: str, from_us: bool, method: str
) -> None:
    config = CONFIG if peer == OFF else {"session_timer": {"enabled": False}, "asterisk": [ASTERISK]}
    edge = make_edge(peer=peer, config=config)
    handled = edge.send(TIMER_ROWS, method=method, from_us=from_us)
    assert handled.answered is None
    assert handled.sent.without(*OUR_IDS) == TIMER_ROWS
    for code in (180, 200, 422, 500):
        answer = edge.sure(edge.answer(handled, code, TIMER_ROWS))
        assert answer.without(*OUR_IDS) == TIMER_ROWS
    assert edge.ksr.tables["session_timer"] == {}


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE"])
def test_outside_of_dialogs_nobody_says_support_for_a_peer_that_a_script_chooses_later(
    edge: Edge, method: str
) -> None:
    """The Request-URI names the edge itself, or a domain; the gateway behind it may be switched off."""
    sent = edge.send(method=method, from_us=True, target="trunk.example").sent
    assert sent.all("Supported") == []


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "BYE", "OPTIONS", "INFO", "UPDATE"])
def test_to_a_switched_off_peer_not_even_support_is_said(
    make_edge: MakeEdge, *, method: str, within: bool
) -> None:
    edge = make_edge(peer=OFF)
    assert edge.send(method=method, from_us=True, within=within).sent.without(*OUR_IDS) == ()


def test_a_proxys_requests_are_not_marked(make_edge: MakeEdge) -> None:
    """Support for timers is said by the ends themselves, where both have their own."""
    edge = make_edge(peer=PASSING)
    edge.call("Supported: timer")
    assert edge.send(method="INFO", from_us=True, within=True).sent.all("Supported") == []


def test_a_request_within_the_dialog_has_the_profile_that_the_call_began_with(make_edge: MakeEdge) -> None:
    edge = make_edge(peer=OUTSIDER, names={"session_timer_peer": "named-strict"})
    edge.call("Supported: timer", "Session-Expires: 600")
    assert edge.known().peer == "strict"
    edge.names = {}
    handled = edge.send(("Supported: timer", "Session-Expires: 200"), within=True)
    assert handled.answered is not None
    assert (handled.answered.code, handled.answered.rows) == (422, ("Min-SE: 300",))


@pytest.mark.parametrize("from_us", [False, True])
def test_an_early_update_that_nobody_named_leaves_the_call_its_profile(
    make_edge: MakeEdge, *, from_us: bool
) -> None:
    edge = make_edge(peer=OUTSIDER, names={"session_timer_peer": "named-strict"})
    timer = ("Supported: timer", "Session-Expires: 600;refresher=uac")
    invite = edge.send(timer, from_us=from_us)
    edge.answer(invite, 183)
    edge.names = {}
    edge.answer(edge.send(timer, method="UPDATE", within=True))
    edge.answer(invite, 200, timer)
    assert edge.known().peer == "strict"


def test_a_call_is_switched_off_by_name_as_long_as_each_request_is_named(make_edge: MakeEdge) -> None:
    off = {"name": "untimed", "match": {"name": ["untimed"]}, "session_timer": {"enabled": False}}
    edge = make_edge(config={**CONFIG, "peers": [off]}, names={"session_timer_peer": "untimed"})
    timer = ("Supported: timer", "Session-Expires: 600")
    for within in (False, True):
        edge.answer(edge.send(timer, within=within))
        assert edge.record() is None
    edge.names = {}
    edge.answer(edge.send(timer, within=True))
    assert edge.record() is not None


@pytest.mark.parametrize("bad", ["Session-Expires: soon", "Min-SE: soon"])
def test_malformed_within_a_named_peers_dialog_is_no_fault(make_edge: MakeEdge, bad: str) -> None:
    """By its address it would be switched off; the call began under a name."""
    edge = make_edge(peer=OFF, names={"session_timer_peer": "strict"})
    edge.call("Supported: timer", "Session-Expires: 600")
    edge.names = {}
    handled = edge.send((bad, "Supported: timer"), within=True)
    assert handled.answered is not None
    assert handled.answered.code == 400


def test_a_name_that_no_profile_has_falls_back_to_the_address(make_edge: MakeEdge) -> None:
    edge = make_edge(names={"session_timer_peer": "nobody"})
    edge.call("Supported: timer", "Session-Expires: 600")
    assert edge.known().peer == "carrier"


def test_an_outsiders_bye_needs_the_tags(edge: Edge) -> None:
    edge.call("Supported: timer", "Session-Expires: 600")
    for tags in ((THEIRS, ""), ("guess", OURS), (THEIRS, "guess"), ("", ""), (f"{THEIRS};{OURS}", "")):
        edge.send(method="BYE", tags=tags, source=OUTSIDER)
    assert edge.record() is not None


def test_a_stranger_within_the_dialog_moves_nothing_unless_it_is_answered(edge: Edge) -> None:
    edge.call("Supported: timer", "Session-Expires: 600")
    before = edge.known()
    edge.ksr.now += 9
    handled = edge.send(("Supported: timer",), within=True, source=OUTSIDER)
    edge.answer(handled, 401)
    after = edge.known()
    assert (after.at, after.dialog) == (before.at, before.dialog)


@pytest.mark.parametrize("written", ["2001:db8::20", "[2001:db8::20]", "2001:DB8:0:0::20"])
@pytest.mark.parametrize("seen", ["2001:db8::20", "[2001:db8::20]", "2001:DB8:0:0:0:0:0:20"])
def test_asterisk_has_one_ipv6_address_however_it_is_written(
    make_edge: MakeEdge, written: str, seen: str
) -> None:
    """Kamailio's `ipv6_hex_style` says how it writes the address a message came from."""
    edge = make_edge(config={**CONFIG, "asterisk": [written]})
    assert edge.timers._edge.directory.find("", seen, "").is_asterisk
    assert not edge.timers._edge.directory.find("", "2001:db8::21", "").is_asterisk


def test_who_somebody_is_is_looked_up_for_any_number_of_strangers(edge: Edge) -> None:
    for number in range(5000):
        edge.timers._edge.directory.find("", f"198.51.{number // 250}.{number % 250}", "far.example")
    known = edge.timers._edge.directory._known
    assert len(known) <= 4096
    for host, domain in (("a" * 9000, ""), ("", "a" * 9000), ("a" * 9000, "a" * 9000)):
        edge.timers._edge.directory.find("", host, domain)
    assert max(len(host) + len(domain) for _, host, domain in known) <= 2 * 253
    assert edge.timers._edge.directory.find("", ASTERISK, "").is_asterisk
    assert edge.timers._edge.directory.find("", CARRIER, "").peer.name == "carrier"


def test_a_peer_that_aims_its_requests_anywhere_fills_no_table(edge: Edge) -> None:
    """By its dialog's record each is for our side, whatever its Request-URI says."""
    edge.call("Supported: timer", "Session-Expires: 600")
    for number in range(300):
        edge.send(("Supported: timer",), method="UPDATE", within=True, target=f"host{number}.example")
    ours = edge.ksr.tables["session_timer_ours"]
    assert len(ours) == 256
    assert [host for host, entry in ours.items() if entry.value == "named"] == [ASTERISK]
    edge.call_id = "call-2"
    assert edge.send(from_us=True).sent.value("Session-Expires") == "1800"


@pytest.mark.parametrize(("target", "told"), [("elsewhere.example", 0), (ASTERISK, 1)])
def test_what_we_have_signed_goes_to_an_asterisk_of_the_settings_alone(
    edge: Edge, target: str, told: int
) -> None:
    """By its dialog's record a re-INVITE is for our side; where it goes its sender says."""
    edge.call("Supported: timer", "Session-Expires: 600")
    handled = edge.send(("Supported: timer",), within=True, target=target)
    assert len(handled.sent.all("X-Session-Timer")) == told


def test_a_peer_that_aims_its_request_anywhere_changes_nothing_that_is_said_beside_the_hosts(
    edge: Edge,
) -> None:
    edge.call("Supported: timer", "Session-Expires: 600")
    edge.ksr.tick(edge.timers.on_tick)
    ours = edge.ksr.tables["session_timer_ours"]
    (name,) = [each for each in ours if each.startswith(":")]
    said = ours[name].value
    for host in (name.strip(":"), name):
        edge.send(("Supported: timer",), method="UPDATE", within=True, target=host)
    assert ours[name].value == said


def test_a_host_of_any_length_is_kept_as_no_more_than_a_name(edge: Edge) -> None:
    edge.call("Supported: timer", "Session-Expires: 600")
    edge.send(("Supported: timer",), method="UPDATE", within=True, target="a" * 60_000)
    edge.send(("Supported: timer",), method="UPDATE", within=True, from_us=True, target="b" * 60_000)
    kept = [*edge.ksr.tables["session_timer_ours"], *(str(case) for case in edge.timers._requests._handled)]
    assert max(map(len, kept)) < 3_000
    assert all(len(row.value) < 3_000 for row in edge.ksr.tables["session_timer"].values())


def test_an_asterisk_of_the_settings_is_noted_however_many_others_are(make_edge: MakeEdge) -> None:
    second = "192.0.2.21"
    edge = make_edge(config={**CONFIG, "asterisk": [ASTERISK, second]})
    edge.call("Supported: timer", "Session-Expires: 600")
    for number in range(300):
        edge.send(("Supported: timer",), method="UPDATE", within=True, target=f"host{number}.example")
    edge.call_id = "call-2"
    edge.send(("Supported: timer",), target=second)
    assert second in edge.ksr.tables["session_timer_ours"]


@pytest.mark.parametrize("call_id", ["a\r\n 0(1) INFO: forged", "a\x1b[2Jb", "a\x85b\u2028", "a" * 60_000])
def test_whatever_a_sender_writes_the_log_has_one_line_of_bounded_length(
    make_edge: MakeEdge, call_id: str
) -> None:
    edge = make_edge(call_id=call_id.encode().decode("latin-1"))
    edge.call("Supported: timer", "Session-Expires: 900")
    edge.send(("Supported: timer", "Session-Expires: 30"))
    edge.send(("X-Other: 1&X-Session-Timer: 1",))
    assert len(edge.ksr.log) >= 3
    for _, line in edge.ksr.log:
        assert line.isprintable()
        assert len(line) <= 2001


@pytest.mark.parametrize("number", ["9" * 5000, "0" * 5000 + "7", "4294967296"])
def test_a_cseq_of_any_length_is_no_fault(edge: Edge, number: str) -> None:
    rows = ("Supported: timer", "Session-Expires: 1800;refresher=uac")
    edge.call(*rows)
    again = edge.send(rows, method="UPDATE", within=True)
    request = dataclasses.replace(again.request)
    request.received = tuple(row.replace("CSeq: 2", f"CSeq: {number}") for row in request.received)
    edge.answer(edge.ksr.receive_request(edge._script(), request))
    theirs = edge.known().theirs
    assert theirs is not None
    assert theirs.cseq == min(int(number[-4000:]), 2**32 - 1)


def test_of_a_callees_routes_no_more_are_looked_at_than_a_call_can_have(make_edge: MakeEdge) -> None:
    """Kamailio logs each that is no address."""
    edge = make_edge(record_route=("Record-Route: " + ", ".join(["<sip:>"] * 1000), RECORD_ROUTE))
    edge.call(from_us=True, answer=("Supported: timer",))
    assert edge.ksr.calls.count("is_myself") == 32
    assert not edge.known().on_path
