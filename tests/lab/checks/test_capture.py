"""Captures of every link type, growing files, fragments and what is not a capture at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import wire
from tests.lab.capture import CaptureError, CaptureReader, Endpoint, read
from tests.lab.wire import CARRIER, EDGE

INVITE = wire.request("INVITE", "Session-Expires: 12")


def plain(packet: bytes) -> bytes:
    return packet


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (1, wire.ethernet),
        (1, wire.vlan),
        (113, wire.cooked),
        (276, wire.cooked_2),
        (101, plain),
        (228, plain),
    ],
)
def test_link_types(tmp_path: Path, link: int, frame: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(wire.header(link) + wire.record(100.25, frame(bytes(wire.ip(CARRIER, EDGE, INVITE)))))

    (packet,) = read(path)

    assert packet.time == pytest.approx(100.25)
    assert (packet.source, packet.destination) == (Endpoint(CARRIER, 5060), Endpoint(EDGE, 5060))
    assert str(packet.source) == "198.18.0.42:5060"
    assert packet.message.interval == 12
    assert not packet.retransmission


@pytest.mark.parametrize(
    ("order", "magic", "unit"),
    [("<", 0xA1B2C3D4, 1e-6), (">", 0xA1B2C3D4, 1e-6), ("<", 0xA1B23C4D, 1e-9), (">", 0xA1B23C4D, 1e-9)],
)
def test_byte_orders_and_fractions(tmp_path: Path, order: str, magic: int, unit: float) -> None:
    path = tmp_path / "a.pcap"
    frame = wire.ethernet(bytes(wire.ip(CARRIER, EDGE, INVITE)))
    path.write_bytes(wire.header(1, order, magic) + wire.record(7.5, frame, order, unit))

    assert [packet.time for packet in read(path)] == pytest.approx([7.5])


def test_other_traffic_is_passed_over(tmp_path: Path) -> None:
    path = wire.capture(
        tmp_path / "a.pcap",
        (1.0, CARRIER, EDGE, b"\x80\x00 RTP"),
        (2.0, CARRIER, EDGE, INVITE),
        (3.0, CARRIER, EDGE, b""),
    )
    arp = wire.record(4.0, b"\x02" * 12 + b"\x08\x06" + b"\x00" * 28)
    short = wire.record(5.0, b"\x02" * 12 + b"\x08\x00\x45")
    tcp = wire.ip(CARRIER, EDGE, INVITE)
    tcp.p = 6
    path.write_bytes(path.read_bytes() + arp + short + wire.record(6.0, wire.ethernet(bytes(tcp))))

    assert [packet.time for packet in read(path)] == [2.0]


def test_a_repeated_datagram_is_a_retransmission(tmp_path: Path) -> None:
    path = wire.capture(
        tmp_path / "a.pcap",
        (1.0, CARRIER, EDGE, INVITE),
        (1.5, CARRIER, EDGE, INVITE),
        (1.6, EDGE, CARRIER, INVITE),
        (1.7, CARRIER, EDGE, INVITE + b"x"),
    )

    assert [packet.retransmission for packet in read(path)] == [False, True, False, False]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [0, 0, 2, 1]])
def test_fragments_in_any_order(tmp_path: Path, order: list[int]) -> None:
    big = wire.request("INVITE", "Session-Expires: 12", body="a" * 3000)
    parts = wire.fragments(wire.ip(CARRIER, EDGE, big, identity=9), 1400)
    path = tmp_path / "a.pcap"
    path.write_bytes(
        wire.header(1)
        + b"".join(wire.record(1.0 + n, wire.ethernet(parts[at])) for n, at in enumerate(order))
    )

    (packet,) = read(path)

    assert len(packet.message.body) == 3000
    assert packet.source == Endpoint(CARRIER, 5060)
    assert packet.time == pytest.approx(len(order))


def test_a_missing_fragment_gives_nothing_and_mixes_with_no_other(tmp_path: Path) -> None:
    big = wire.request("INVITE", body="a" * 3000)
    lost = wire.fragments(wire.ip(CARRIER, EDGE, big, identity=9), 1400)
    whole = wire.fragments(wire.ip(CARRIER, EDGE, big.replace(b"call-1", b"call-2"), identity=10), 1400)
    frames = [lost[0], whole[0], lost[2], whole[1], whole[2]]
    path = tmp_path / "a.pcap"
    path.write_bytes(wire.header(1) + b"".join(wire.record(1.0, wire.ethernet(each)) for each in frames))

    assert [packet.message.call_id for packet in read(path)] == ["call-2"]


def test_a_growing_file_gives_each_packet_once_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    reader = CaptureReader(path)
    text = wire.header(1)
    for moment in (1.0, 2.0):
        text += wire.record(
            moment, wire.ethernet(bytes(wire.ip(CARRIER, EDGE, INVITE + str(moment).encode())))
        )

    seen = [packet.time for packet in reader.poll()]  # there is no file yet
    for length in range(1, len(text) + 1):
        path.write_bytes(text[:length])
        found = [packet.time for packet in reader.poll()]
        assert len(found) <= 1
        seen += found
    reader.close()

    assert seen == [1.0, 2.0]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x0a\x0d\x0d\x0a" + b"\x00" * 40, "not a classic pcap file"),
        (b"short", "too short"),
        (wire.header(147), "link type 147"),
    ],
)
def test_what_is_no_capture(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(content)

    with pytest.raises(CaptureError, match=complaint) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_a_capture_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such capture"):
        read(tmp_path / "none.pcap")
