"""The next deadline of a call, worked out from its captured messages alone (RFC 4028).

The product has its own code for this. The lab's is kept apart on purpose: a ladder that counts down by
it, and a test that measures against it, do not repeat the product's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from session_timer_companion.explain.drawing.ladder import Note

from tests.lab.capture import Packet

REFRESH_METHODS = frozenset({"INVITE", "UPDATE"})


class Due(Enum):
    """What a deadline is about."""

    OUR_REFRESH = "refresh due from us"
    THEIR_REFRESH = "hang-up unless the peer refreshes"


@dataclass(frozen=True, slots=True)
class Deadline:
    """``at`` is on the capture's clock, ``interval`` is the session interval; both in seconds."""

    due: Due
    at: float
    interval: int
    since: float


def guard(interval: int) -> float:
    """Seconds before expiry at which the side that waits hangs up: min(32, N/3), RFC 4028 section 10."""
    return min(32.0, interval / 3)


def after(deadline: Deadline | None, packet: Packet, ours: str) -> Deadline | None:
    """The deadline in force after one more packet of the leg between us and the peer."""
    message = packet.message
    if message.status is None:
        return None if message.method == "BYE" else deadline
    if message.status // 100 != 2 or message.method not in REFRESH_METHODS or packet.retransmission:
        return deadline
    if message.interval is None:
        # Sections 7.2 and 9: the latest 2xx decides; without the header nothing expires any more.
        return None
    # `uac` is whoever sent the request, and so the one this response goes to.
    refresher = packet.source if message.refresher == "uas" else packet.destination
    if refresher.address == ours:
        due, wait = Due.OUR_REFRESH, message.interval / 2
    else:
        due, wait = Due.THEIR_REFRESH, message.interval - guard(message.interval)
    return Deadline(due, packet.time + wait, message.interval, packet.time)


def notes(packets: Iterable[Packet], ours: str, peer: str) -> list[Note]:
    """A remark for a ladder wherever a deadline is set; times count from the first packet."""
    found: list[Note] = []
    start: float | None = None
    deadline: Deadline | None = None
    for packet in packets:
        start = packet.time if start is None else start
        if {packet.source.address, packet.destination.address} != {ours, peer}:
            continue
        following = after(deadline, packet, ours)
        if following is not None and following != deadline:
            found.append(note(following, start))
        deadline = following
    return found


def note(deadline: Deadline, start: float) -> Note:
    """What a deadline means, in words; ``start`` is the capture's time from which the ladder counts."""
    at = f"{deadline.at - start:.1f} s"
    if deadline.due is Due.OUR_REFRESH:
        words = f"N = {deadline.interval} s, Asterisk refreshes: by {at}, half the interval"
    else:
        words = f"N = {deadline.interval} s, the carrier refreshes: if it does not, BYE at {at}"
    return Note(deadline.since - start, words)
