"""The same call in every form of trace is the same call."""

from __future__ import annotations

import gzip
import io
import itertools
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.reading.frames import Damage, frames
from session_timer_companion.explain.reading.trace import Notes, TraceError, read

from tests.companion.explain import scenario, writers
from tests.companion.explain.asking import judged
from tests.companion.explain.scenario import Sent, lawful
from tests.companion.explain.writers import LINKS, datagrams, pcap, pcapng, tcp

CALL = lawful().rows("ok", Require=None)
SENT = CALL.direct()
SIX = replace(CALL, caller="2001:db8::42", callee="2001:db8::20").direct()


def found(path: Path, data: bytes) -> Notes:
    """The call of the file, which must be `CALL`: its one fault is found, and all of its messages."""
    path.write_bytes(data)
    notes = Notes()
    (call,) = judged(path, notes)
    assert [verdict.rule for verdict in call.verdicts] == [Rule.REQUIRE_MISSING]
    assert len(call.dialogs[0].refreshes) == 2
    assert call.ending.lasted == pytest.approx(1997, abs=0.01)
    assert notes.messages == len(CALL.lines)
    assert notes.damage.reason is None
    return notes


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("sent", [SENT, SIX], ids=["IPv4", "IPv6"])
def test_pcap_of_every_link_type(tmp_path: Path, link: str, sent: list[Sent]) -> None:
    found(tmp_path / "a.pcap", pcap(datagrams(sent), link))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_of_every_byte_order_and_resolution(tmp_path: Path, order: str, *, nano: bool) -> None:
    found(tmp_path / "a.pcap", pcap(datagrams(SENT), order=order, nano=nano))


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_of_several_interfaces(tmp_path: Path, order: str) -> None:
    found(tmp_path / "a.pcapng", pcapng(datagrams(SENT), ("ethernet", "cooked", "raw"), order))


def test_pcapng_of_several_sections(tmp_path: Path) -> None:
    first, second = pcapng(datagrams(SENT[:5])), pcapng(datagrams(SENT[5:]), ("raw", "cooked 2"), ">")
    found(tmp_path / "a.pcapng", first + second)


@pytest.mark.parametrize("sent", [SENT, SIX], ids=["IPv4", "IPv6"])
def test_fragments_in_any_order(tmp_path: Path, sent: list[Sent]) -> None:
    parts = [(one.time, part) for one in sent for part in reversed(writers.fragments(one, 200))]
    assert len(parts) > len(sent)
    found(tmp_path / "a.pcap", pcap(parts))


def test_a_gzip_file(tmp_path: Path) -> None:
    found(tmp_path / "a.pcap.gz", gzip.compress(pcap(datagrams(SENT))))


@pytest.mark.parametrize("size", [10**6, 300, 7])
def test_tcp_in_segments(tmp_path: Path, size: int) -> None:
    found(tmp_path / "a.pcap", pcap(tcp(SENT, size)))


def test_tcp_out_of_order_and_repeated(tmp_path: Path) -> None:
    """The segments of each message come backwards, then all of them again."""
    mixed = []
    for _, group in itertools.groupby(tcp(SENT, 150), key=lambda segment: segment[0]):
        segments = list(group)
        mixed += [*reversed(segments), *segments] if segments[0][0] >= scenario.START else segments
    found(tmp_path / "a.pcap", pcap(mixed))


def test_several_messages_in_one_segment(tmp_path: Path) -> None:
    """Keep-alives of two line ends stand between them (RFC 5626 4.4.1)."""
    early = [one for one in SENT if one.source == scenario.PBX and one.time < scenario.START + 3.01]
    joined = Sent(
        early[-1].time, early[0].source, early[0].target, b"\r\n\r\n".join(one.text for one in early)
    )
    rest = [one for one in SENT if one not in early]
    found(tmp_path / "a.pcap", pcap(tcp(scenario.in_order([*rest, joined]))))


def test_a_capture_that_begins_in_the_middle_of_a_connection(tmp_path: Path) -> None:
    """What is left of a message is passed over; the next one is read."""
    before = Sent(
        scenario.START - 1, SENT[0].source, SENT[0].target, b"c: application/sdp\r\nl: 4\r\n\r\nv=0\r\n"
    )
    found(tmp_path / "a.pcap", pcap(tcp([before, *SENT])[2:]))


def test_what_was_lost_on_a_connection_is_skipped(tmp_path: Path) -> None:
    lost = [one for one in tcp(SENT) if b"180 Ringing" not in one[1]]
    path = tmp_path / "a.pcap"
    more = [
        Sent(SENT[-1].time + n, one.source, one.target, one.text.replace(b"call-1", b"call-2"))
        for n, one in enumerate(SENT * 8)
    ]
    path.write_bytes(pcap(lost + tcp([*SENT, *more])[2 + len(SENT) :]))

    assert {call.call_id for call in judged(path)} == {"call-1@carrier.example", "call-2@carrier.example"}


def test_websocket_with_masked_frames(tmp_path: Path) -> None:
    found(tmp_path / "a.pcap", pcap(tcp(SENT, 500, 8080, writers.websocket(SENT[0].source))))


def test_websocket_whose_handshake_was_not_captured(tmp_path: Path) -> None:
    framed = writers.websocket(SENT[0].source)
    for end in SENT[0], SENT[1]:
        framed(end)

    def plain(one: Sent) -> bytes:
        return framed(one).removeprefix(b"\x89\x80\x01\x02\x03\x04").removeprefix(b"\x89\x00")

    found(tmp_path / "a.pcap", pcap(tcp(SENT, 500, 8080, plain)[2:]))


def test_hep_over_udp_has_the_times_and_ends_of_the_copy(tmp_path: Path) -> None:
    notes = found(
        tmp_path / "a.pcap", pcap([(one.time, writers.udp(one, 9060, 9060)) for one in writers.copied(SENT)])
    )
    assert notes.first == 1.0


def test_hep_over_tcp(tmp_path: Path) -> None:
    found(tmp_path / "a.pcap", pcap(tcp(writers.copied(SENT), 700, 9061)))


@pytest.mark.parametrize("stamp", ["full", "old"])
def test_asterisks_log(tmp_path: Path, stamp: str) -> None:
    path = tmp_path / "full.log"
    path.write_bytes(writers.asterisk_log(SENT, stamp))

    (call,) = judged(path)

    assert [verdict.rule for verdict in call.verdicts] == [Rule.REQUIRE_MISSING]
    assert {party.address for party in call.dialogs[0].ends} == {scenario.CARRIER, "Asterisk"}
    assert call.ending.lasted == pytest.approx(1997, abs=1)


@pytest.mark.parametrize("mark", ["Nov 30 14:10:39 pbx asterisk[4711]: ", "asterisk_1  | "])
def test_asterisks_log_as_others_show_it(tmp_path: Path, mark: str) -> None:
    """journalctl and docker compose logs put their mark before each line, those within a message too."""
    path = tmp_path / "collected.log"
    lines = writers.asterisk_log(SENT, "full").split(b"\n")
    path.write_bytes(b"\n".join(mark.encode() + line for line in lines))

    (call,) = judged(path)

    assert [verdict.rule for verdict in call.verdicts] == [Rule.REQUIRE_MISSING]
    assert call.ending.lasted == pytest.approx(1997, abs=1)


def test_a_text_of_empty_lines_is_read_in_time(tmp_path: Path) -> None:
    heading = b"<--- Received SIP request (65000 bytes) from UDP:192.0.2.1:5060 --->\n"
    path = tmp_path / "empty.log"
    path.write_bytes((heading + b"\n" * 40_000) * 10)
    began = time.process_time()

    assert judged(path) == []

    assert time.process_time() - began < 5


def test_a_log_that_says_much_else_before_its_first_message(tmp_path: Path) -> None:
    path = tmp_path / "full"
    other = b"[Nov 30 14:10:39] NOTICE[4711] res_pjsip.c: nothing of SIP\n" * 20_000
    path.write_bytes(other + writers.asterisk_log(SENT, "full"))
    notes = Notes()
    assert list(read(path, notes))
    assert notes.messages


def test_asterisks_console_without_times(tmp_path: Path) -> None:
    """Who broke what in a message shows; when, does not."""
    path = tmp_path / "console.txt"
    silent = CALL.without("one", "one-ok", "two", "two-ok")
    path.write_bytes(writers.asterisk_log(silent.direct(), "none"))
    notes = Notes()

    (call,) = judged(path, notes)

    assert not notes.timed
    assert [verdict.rule for verdict in call.verdicts] == [Rule.REQUIRE_MISSING]
    assert call.ending.lasted is None


def test_sngreps_text(tmp_path: Path) -> None:
    found(tmp_path / "a.txt", writers.sngrep_text(SENT))


def test_rtp_and_other_packets_are_passed_over(tmp_path: Path) -> None:
    noise = [
        (
            one.time + 0.001,
            writers.packet(one.source, one.target, 17, b"\x27\x10\x27\x12\0\x24\0\0\x80" + b"\x55" * 27),
        )
        for one in SENT
    ]
    noise += [(one.time + 0.002, writers.packet(one.source, one.target, 1, b"\x08\0" * 20)) for one in SENT]
    found(tmp_path / "a.pcap", pcap(sorted([*datagrams(SENT), *noise], key=lambda frame: frame[0])))


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    whole = pcap(datagrams(SENT))
    notes = Notes()
    path.write_bytes(whole[: len(whole) // 2])

    assert len(judged(path, notes)) == 1
    assert notes.damage.reason is not None
    assert "cut off" in notes.damage.reason


def test_a_gzip_file_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap.gz"
    packed = gzip.compress(pcap(datagrams(SENT)), 0)
    notes = Notes()
    path.write_bytes(packed[: len(packed) // 2])

    assert len(judged(path, notes)) == 1
    assert notes.damage.reason is not None


@pytest.mark.parametrize("tail", [b"\xff" * 16, b"\0" * 8 + b"\xff\xff\xff\x7f" * 2])
def test_a_length_that_cannot_be_is_not_believed(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(datagrams(SENT)) + tail + b"x" * 1000)
    notes = Notes()

    assert len(judged(path, notes)) == 1
    assert notes.damage.reason is not None
    assert "damaged" in notes.damage.reason


WRONG = {
    "empty": (b"", "empty"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "no capture"),
    "a text about something else": (b"Dear all,\nthe calls are cut.\n" * 100, "no capture"),
    "a gzip file of nothing": (gzip.compress(b""), "empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "wrong"
    data, word = WRONG[name]
    path.write_bytes(data)

    with pytest.raises(TraceError) as raised:
        list(read(path, Notes()))

    assert word in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        list(read(tmp_path / "none.pcap", Notes()))
    with pytest.raises(TraceError, match="folder"):
        list(read(tmp_path, Notes()))


def test_a_missing_library_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = writers.written(tmp_path / "a.pcap", SENT)
    monkeypatch.setitem(__import__("sys").modules, "dpkt", None)

    with pytest.raises(TraceError, match=r"apt install python3-dpkt.*pip install"):
        list(read(path, Notes()))
    text = tmp_path / "a.txt"
    text.write_bytes(writers.sngrep_text(SENT))
    assert len(judged(text)) == 1


def test_tls_is_said_to_be_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(tcp(SENT, port=5061, wrap=lambda one: b"\x16\x03\x01" + bytes(len(one.text)))))
    notes = Notes()

    assert judged(path, notes) == []
    assert [str(one) for one in notes.encrypted[0]] == ["198.18.81.20:5061", "198.18.81.42:40000"]


def test_a_link_type_that_is_not_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    data = bytearray(pcap(datagrams(SENT)))
    data[20:22] = (147).to_bytes(2, "little")
    path.write_bytes(data)
    notes = Notes()

    assert judged(path, notes) == []
    assert notes.unread_links == {147}


def test_a_hole_in_a_busy_capture_leaves_times_unjudged(tmp_path: Path) -> None:
    """Media flows all the time, then nothing is captured for a quarter of an hour."""
    rtp = b"\x27\x10\x27\x12\0\x24\0\0\x80" + b"\x55" * 27
    script = (
        lawful().without("one", "one-ok", "two", "two-ok", "bye", "bye-ok").plus(*scenario.bye(1771, by=1))
    )
    media = [
        (scenario.START + 4 + n / 50, writers.packet(scenario.CARRIER, scenario.PBX, 17, rtp))
        for n in range(4000)
    ]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(sorted([*datagrams(script.direct()), *media])))
    notes = Notes()

    (call,) = judged(path, notes)

    assert call.jumped
    assert call.verdicts == ()
    assert len(notes.jumps) == 1


def test_frames_of_anything_end_and_never_raise() -> None:
    chance = random.Random(12)  # noqa: S311 - the same bytes each time
    for head in (b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a"):
        for _ in range(300):
            damage = Damage()
            list(frames(io.BytesIO(head + chance.randbytes(200)), damage))


def test_two_ends_on_one_host_are_told_apart_by_their_ports(tmp_path: Path) -> None:
    host = "127.0.0.1"
    frames_ = []
    for one in SENT:
        ports = (5070, 5060) if one.source == scenario.CARRIER else (5060, 5070)
        frames_.append((one.time, writers.udp(replace(one, source=host, target=host), *ports)))
    found(tmp_path / "a.pcap", pcap(frames_, "loop"))

    (call,) = judged(tmp_path / "a.pcap")

    assert {party.address for party in call.dialogs[0].ends} == {"127.0.0.1:5060", "127.0.0.1:5070"}


def test_calls_of_a_load_test_on_one_host_are_not_legs_of_each_other(tmp_path: Path) -> None:
    """Each leaves the port of its generator and not the one that the call before it reached."""
    calls = [
        scenario.Script((scenario.setup()[0],), call_id=f"load-{count}", caller=scenario.PBX)
        for count in range(3)
    ]
    frames = [(sent.time, writers.udp(sent, 5061, 5060)) for call in calls for sent in call.direct()]
    path = tmp_path / "calls.pcap"
    path.write_bytes(writers.pcap(frames))

    assert [call.partners for call in judged(path)] == [(), (), ()]
