"""Packets within packets, in part, and out of order: what mirror ports, tunnels and short captures give."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.reading.trace import Notes
from session_timer_companion.explain.telling import report

from tests.companion.explain import scenario, writers
from tests.companion.explain.asking import judged
from tests.companion.explain.scenario import PBX, Sent, bye, lawful, refresh
from tests.lab import wire

silent = lawful().without("one", "one-ok", "two", "two-ok", "bye", "bye-ok").plus(*bye(1771, by=1))


def ethernet(ip: bytes) -> bytes:
    return b"\x02" * 12 + writers.kind_of(ip) + ip


def outer(protocol: int, payload: bytes) -> bytes:
    return writers.packet("198.19.0.1", "198.19.0.2", protocol, payload)


def in_udp(port: int, payload: bytes) -> bytes:
    return outer(17, struct.pack("!HHHH", 5060, port, 8 + len(payload), 0) + payload)


def _pppoe(ip: bytes) -> bytes:
    kind = b"\x00\x21" if ip[0] >> 4 == 4 else b"\x00\x57"
    return b"\x02" * 12 + b"\x88\x64" + struct.pack("!BBHH", 0x11, 0, 7, 2 + len(ip)) + kind + ip


def _mpls(ip: bytes) -> bytes:
    return b"\x02" * 12 + b"\x88\x47" + b"\0\1\0\x40" + b"\0\2\1\x40" + ip


def _gtp_extended(ip: bytes) -> bytes:
    """With a sequence number and one extension header, as a 5G core writes it."""
    more = b"\0\0\0\x85" + b"\x01\x10\x09\0"
    return in_udp(2152, struct.pack("!BBHI", 0x34, 255, len(ip) + len(more), 9) + more + ip)


WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "PPPoE": _pppoe,
    "VLAN and PPPoE": lambda ip: b"\x02" * 12 + b"\x81\0\0\x07" + _pppoe(ip)[12:],
    "MPLS": _mpls,
    "IP in IP": lambda ip: ethernet(outer(4 if ip[0] >> 4 == 4 else 41, ip)),
    "GRE": lambda ip: ethernet(outer(47, b"\0\0" + writers.kind_of(ip) + ip)),
    "GRE with a key": lambda ip: ethernet(outer(47, b"\x20\0" + writers.kind_of(ip) + b"\0\0\0\x09" + ip)),
    "GRE, bridged": lambda ip: ethernet(outer(47, b"\0\0\x65\x58" + ethernet(ip))),
    "ERSPAN 1": lambda ip: ethernet(outer(47, b"\0\0\x88\xbe" + ethernet(ip))),
    "ERSPAN 2": lambda ip: ethernet(
        outer(47, b"\x10\0\x88\xbe\0\0\0\1" + b"\x10" + b"\0" * 7 + ethernet(ip))
    ),
    "ERSPAN 3": lambda ip: ethernet(
        outer(47, b"\x10\0\x22\xeb\0\0\0\1" + b"\x20" + b"\0" * 11 + ethernet(ip))
    ),
    "VXLAN": lambda ip: ethernet(in_udp(4789, b"\x08\0\0\0\0\0\x07\0" + ethernet(ip))),
    "VXLAN of Linux": lambda ip: ethernet(in_udp(8472, b"\x08\0\0\0\0\0\x07\0" + ethernet(ip))),
    "Geneve": lambda ip: ethernet(in_udp(6081, b"\x01\0\x65\x58\0\0\x07\0" + b"\0" * 4 + ethernet(ip))),
    "GTP": lambda ip: ethernet(in_udp(2152, struct.pack("!BBHI", 0x30, 255, len(ip), 9) + ip)),
    "GTP, extended": lambda ip: ethernet(_gtp_extended(ip)),
    "TZSP": lambda ip: ethernet(in_udp(37008, b"\x01\0\0\x01" + b"\0\x0a\x01\xff\x01" + ethernet(ip))),
    "VXLAN in GRE": lambda ip: ethernet(
        outer(47, b"\0\0\x08\0" + in_udp(4789, b"\x08\0\0\0\0\0\x07\0" + ethernet(ip)))
    ),
}


def captured(path: Path, frames: list[tuple[float, bytes]]) -> Path:
    """Frames with their own link layer."""
    records = b"".join(wire.record(at, frame, "<", 1e-6) for at, frame in frames)
    path.write_bytes(wire.header(1, "<", 0xA1B2C3D4) + records)
    return path


@pytest.mark.parametrize("name", WRAPPED)
def test_packets_within_others(tmp_path: Path, name: str) -> None:
    frames = [(at, WRAPPED[name](ip)) for at, ip in writers.datagrams(silent.direct())]

    (call,) = judged(captured(tmp_path / "calls.pcap", frames))

    assert [(verdict.rule, verdict.by.address) for verdict in call.verdicts] == [
        (Rule.NO_REFRESH, scenario.CARRIER)
    ]


@pytest.mark.parametrize("name", WRAPPED)
def test_a_packet_that_is_cut_anywhere_is_passed_over(tmp_path: Path, name: str) -> None:
    (at, ip), *_ = writers.datagrams(silent.direct())
    frame = WRAPPED[name](ip)

    for size in range(len(frame) - len(ip) + 28):
        assert judged(captured(tmp_path / "calls.pcap", [(at, frame[:size])])) == []


def test_packets_within_packets_without_end(tmp_path: Path) -> None:
    (at, ip), *_ = writers.datagrams(silent.direct())
    for _ in range(9):
        ip = outer(4, ip)

    assert judged(captured(tmp_path / "calls.pcap", [(at, ethernet(ip))])) == []


def first_fragments(sent: list[Sent], size: int, *, only: bytes) -> list[tuple[float, bytes]]:
    """Of what begins like this the first fragment alone, as a filter by port takes it; the rest whole."""
    return [
        (
            one.time,
            ethernet(writers.fragments(one, size)[0] if one.text.startswith(only) else writers.udp(one)),
        )
        for one in sent
    ]


def test_the_first_fragment_alone_is_enough_where_it_has_the_head(tmp_path: Path) -> None:
    """tcpdump 'port 5060' leaves the others out: they name no port."""
    size = (lawful().direct()[0].text.index(b"\r\n\r\n") + 8 + 16) // 8 * 8
    notes = Notes()
    frames = first_fragments(silent.direct(), size, only=b"INVITE")

    (call,) = judged(captured(tmp_path / "calls.pcap", frames), notes)

    assert [verdict.rule for verdict in call.verdicts] == [Rule.NO_REFRESH]
    assert call.whole
    assert notes.cut == 0


def test_a_head_that_was_captured_in_part_is_not_judged(tmp_path: Path) -> None:
    """The refresh was there; its Session-Expires was not captured."""
    script = silent.plus(*refresh("one", 903, 2))
    notes = Notes()
    frames = first_fragments(script.direct(), 320, only=b"UPDATE")

    (call,) = judged(captured(tmp_path / "calls.pcap", frames), notes)

    assert call.verdicts == ()
    assert call.cut
    assert report.conclusion(call) == "No fault was found in what could be judged."
    assert any("captured in part" in line for line in report.remarks(call))
    assert any("Captured in part: 1 message, " in line for line in report.about_file(notes, any_call=True))


def test_a_capture_of_the_first_bytes_of_each_packet(tmp_path: Path) -> None:
    """tcpdump -s 300: what is whole is read, and it is said that the rest is not."""
    frames = [(at, ethernet(ip)[:300]) for at, ip in writers.datagrams(silent.direct())]
    notes = Notes()

    calls = judged(captured(tmp_path / "calls.pcap", frames), notes)

    assert [call.verdicts for call in calls] == [()]
    assert notes.cut > 0


def test_fragments_that_come_late_are_no_second_message(tmp_path: Path) -> None:
    frames = []
    for one in lawful().direct():
        parts = writers.fragments(one, 200)
        frames += [(one.time + 0.001 * count, ethernet(part)) for count, part in enumerate(reversed(parts))]

    (call,) = judged(captured(tmp_path / "calls.pcap", frames))

    assert call.verdicts == ()
    assert [len(dialog.agreed) for dialog in call.dialogs] == [3]


def test_a_gap_in_a_connection_leaves_times_unjudged(tmp_path: Path) -> None:
    """The refresh is among the segments that the capture lost."""
    noise = scenario.exchange("noise", 1000, 0, "INFO", 3, {}, {}, body="x" * 60_000)
    script = silent.plus(*refresh("one", 903, 2), *noise)
    many = [
        replace(one, time=one.time + count)
        for one in script.direct()
        for count in range(6 if b" INFO" in one.text and one.source != PBX else 1)
    ]
    frames = writers.tcp(scenario.in_order(many))
    lost = [(at, ip) for at, ip in frames if b"UPDATE" not in ip]

    (call,) = judged(captured(tmp_path / "calls.pcap", [(at, ethernet(ip)) for at, ip in lost]))

    assert call.jumped
    assert call.verdicts == ()
