"""The wire alone: what Asterisk sends, in any pieces, becomes messages."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from session_timer_companion.ami.client import (
    AmiAccount,
    AmiMessage,
)
from session_timer_companion.ami.connection import Wire


def drive(pieces: list[bytes]) -> tuple[list[AmiMessage], Wire]:
    """What a wire makes of these reads."""

    async def feed() -> tuple[list[AmiMessage], Wire]:
        events: list[AmiMessage] = []
        wire = Wire(AmiAccount("a", "h", "u", "s"), frozenset({"Hangup"}), events.append)
        transport = _Transport()
        wire.connection_made(transport)
        for piece in pieces:
            if not transport.aborted:
                wire.data_received(piece)
        wire.connection_lost(None)
        if not wire.greeted.cancel():
            wire.greeted.exception()
        return events, wire

    return asyncio.run(feed())


class _Transport(asyncio.Transport):
    aborted = False

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        raise AssertionError(data)


EVENTS = (
    "Asterisk Call Manager/9.0.0\r\n"
    "Event: Hangup\r\nChannel: Zoë\r\nVariable: a=1\r\nVariable: b=x=y\r\n\r\n"
    "Event: Newexten\r\nChannel: other\r\n\r\n"
    "Event: Hangup\r\nChannel: 𝄞☎\r\nCause-txt: \r\n\r\n"
).encode()


@given(st.sets(st.integers(1, len(EVENTS) - 1)))
def test_any_cut_into_reads_gives_the_same_events(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(EVENTS)]
    events, wire = drive([EVENTS[a:b] for a, b in pairwise(edges)])
    assert [event.text("Channel") for event in events] == ["Zoë", "𝄞☎"]
    assert events[0].get("variable") == ["a=1", "b=x=y"]
    assert events[1].text("Cause-txt") == ""
    assert wire.version == "9.0.0"


FRAGMENTS = [
    b"Event: Hangup",
    b"Response: ",
    b"Response: Follows",
    b"\r\n",
    b"\r\n\r\n",
    b": ",
    b"ActionID: 1",
    b"%",
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.binary(max_size=8), st.sampled_from(FRAGMENTS)), max_size=40))
def test_no_bytes_at_all_make_the_wire_raise(pieces: list[bytes]) -> None:
    drive([b"Asterisk Call Manager/9.0.0\r\n", *pieces])
    drive(pieces)
