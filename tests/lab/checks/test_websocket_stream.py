"""SIP over WebSocket in a capture: masked and plain, in pieces, out of order, beside other HTTP."""

from __future__ import annotations

import random
import socket
from itertools import accumulate
from pathlib import Path

import dpkt
import pytest

from tests.lab import wire
from tests.lab.capture import Endpoint, read
from tests.lab.wire import CARRIER, EDGE

HANDSHAKE = b"GET / HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\n\r\n"
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n"
FIRST = 0xFFFFFFF0
"""The number of the SYN: those of the octets begin anew soon after it."""


def frame(payload: bytes, *, mask: bytes = b"", code: int = 1, last: bool = True) -> bytes:
    """One frame (RFC 6455 5.2)."""
    length = len(payload)
    long = b"" if length < 126 else length.to_bytes(2) if length < 65536 else length.to_bytes(8)
    short = length if not long else 126 if len(long) == 2 else 127
    head = bytes([(0x80 if last else 0) | code, (0x80 if mask else 0) | short])
    if mask:
        payload = bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))
    return head + long + mask + payload


def segment(source: str, target: str, sequence: int, payload: bytes, *, begins: bool = False) -> bytes:
    """A frame of Ethernet with one TCP segment from port 5062 to port 8080."""
    flags = dpkt.tcp.TH_SYN if begins else dpkt.tcp.TH_ACK
    tcp = dpkt.tcp.TCP(sport=5062, dport=8080, seq=sequence % (1 << 32), flags=flags, data=payload)
    ends = {"src": socket.inet_aton(source), "dst": socket.inet_aton(target)}
    return wire.ethernet(bytes(dpkt.ip.IP(**ends, p=6, data=tcp, len=40 + len(payload))))


def capture(path: Path, source: str, target: str, pieces: list[bytes], order: list[int]) -> Path:
    """A connection's one direction, its pieces in the order of the capture."""
    starts = [0, *accumulate(map(len, pieces))]
    frames = [segment(source, target, FIRST, b"", begins=True)]
    frames += [segment(source, target, FIRST + 1 + starts[at], pieces[at]) for at in order]
    records = (wire.record(float(number), each) for number, each in enumerate(frames))
    path.write_bytes(wire.header(1) + b"".join(records))
    return path


@pytest.mark.parametrize("size", [40, 125, 126, 300, 70_000])
@pytest.mark.parametrize(("head", "mask"), [(HANDSHAKE, b"\x01\x02\x03\x04"), (ACCEPTED, b"")])
def test_a_message_of_any_length(tmp_path: Path, size: int, head: bytes, mask: bytes) -> None:
    message = wire.request("INVITE", "Session-Expires: 90")
    message += b"x" * (size - len(message))
    octets = head + frame(message, mask=mask)
    pieces = [octets[at : at + 1400] for at in range(0, len(octets), 1400)]
    path = capture(tmp_path / "a.pcap", CARRIER, EDGE, pieces, list(range(len(pieces))))

    (packet,) = read(path)

    assert (packet.source, packet.destination) == (Endpoint(CARRIER, 5062), Endpoint(EDGE, 8080))
    assert packet.message.interval == 90
    assert packet.time == len(pieces), "it is there when its last segment is"


@pytest.mark.parametrize("seed", range(20))
def test_segments_in_any_order_and_twice(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a choice of a test
    messages = [wire.request("UPDATE", f"X-Number: {number}") for number in range(5)]
    octets = HANDSHAKE + b"".join(frame(each, mask=b"\xaa\xbb\xcc\xdd") for each in messages)
    cuts = sorted(chance.sample(range(1, len(octets)), 7))
    pieces = [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    order = [*range(len(pieces)), *chance.choices(range(len(pieces)), k=4)]
    chance.shuffle(order)

    found = read(capture(tmp_path / "a.pcap", CARRIER, EDGE, pieces, order))

    assert [each.message.header("X-Number") for each in found] == ["0", "1", "2", "3", "4"]


def test_a_message_in_several_frames_with_a_ping_between_them(tmp_path: Path) -> None:
    message = wire.response("200 OK", "INVITE", "Session-Expires: 90;refresher=uac")
    octets = (
        ACCEPTED + frame(message[:30], last=False) + frame(b"there?", code=9) + frame(message[30:], code=0)
    )

    (packet,) = read(capture(tmp_path / "a.pcap", EDGE, CARRIER, [octets], [0]))

    assert packet.message.status == 200
    assert packet.message.refresher == "uac"


def test_what_is_no_websocket_gives_nothing(tmp_path: Path) -> None:
    sip = wire.request("INVITE")
    asked = b"POST /session-timer HTTP/1.1\r\nContent-Length: 900\r\n\r\n" + frame(sip)
    path = capture(tmp_path / "a.pcap", CARRIER, EDGE, [asked], [0])
    begun_before = segment(CARRIER, "198.18.0.11", 7, HANDSHAKE + frame(sip))
    path.write_bytes(path.read_bytes() + wire.record(9.0, begun_before))

    assert read(path) == []
