"""A call as a ladder: who sends what to whom, with the timer headers. Pure: messages in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, TypeVar

INTERNAL_HEADER = "X-Session-Timer"
TIMER_HEADERS = ("Session-Expires", "Min-SE", INTERNAL_HEADER, "Reason")
_HIDDEN = frozenset({100})


class DrawnMessage(Protocol):
    """What a ladder wants to know of a SIP message, whoever read it."""

    @property
    def method(self) -> str: ...
    @property
    def status(self) -> int | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def call_id(self) -> str: ...
    @property
    def to_tag(self) -> str | None: ...
    def rows(self, name: str) -> tuple[str, ...]: ...
    def tokens(self, name: str) -> frozenset[str]: ...


class DrawnEnd(Protocol):
    """Where a message comes from or goes to."""

    @property
    def address(self) -> str: ...


class DrawnPacket(Protocol):
    """A message as it was seen; ``time`` in seconds."""

    @property
    def time(self) -> float: ...
    @property
    def source(self) -> DrawnEnd: ...
    @property
    def destination(self) -> DrawnEnd: ...
    @property
    def message(self) -> DrawnMessage: ...
    @property
    def retransmission(self) -> bool: ...


_Packet = TypeVar("_Packet", bound=DrawnPacket)


class Tone(Enum):
    """What a row is about, for colour."""

    OPEN = "open"
    REFRESH = "refresh"
    SUCCESS = "success"
    REFUSAL = "refusal"
    END = "end"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message from column ``source`` to column ``target``; ``time`` in seconds from the first row.

    ``label`` is short enough for any arrow, ``phrase`` is a response's reason phrase, ``details`` are
    the timer's headers and ``sent`` is how often the message was seen.
    """

    time: float
    source: int
    target: int
    label: str
    phrase: str
    details: tuple[str, ...]
    tone: Tone
    sent: int = 1

    @property
    def name(self) -> str:
        """The label, with the number of times the message was sent if that is not one."""
        return self._counted(self.label)

    @property
    def full_name(self) -> str:
        """The same with the reason phrase, for where there is room."""
        first, *rest = self.label.split(" ")
        return self._counted(" ".join(filter(None, [first, self.phrase, *rest])))

    def _counted(self, words: str) -> str:
        return words if self.sent == 1 else f"{words} (x{self.sent})"


@dataclass(frozen=True, slots=True)
class Note:
    """A remark between two messages, such as a deadline."""

    time: float
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """The beginning of another call in the same picture."""

    text: str


Row = Arrow | Note | Section


@dataclass(frozen=True, slots=True)
class Ladder:
    """Columns from left to right and what happens between them from top to bottom."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part: addresses with the name of their column, in the order of the columns.

    Several addresses may share one column, such as a carrier's.
    """

    names: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names, each once, in their first order."""
        return tuple(dict.fromkeys(self.names.values()))

    def column(self, address: str) -> int | None:
        """The column of an address; None for a stranger."""
        name = self.names.get(address)
        return None if name is None else self.columns.index(name)


def arrow(packet: DrawnPacket, cast: Cast, start: float) -> Arrow | None:
    """The arrow of one message, or None if it does not belong in the picture.

    Left out are 100 Trying, which only says that a hop is awake, and messages of strangers.
    """
    source, target = cast.column(packet.source.address), cast.column(packet.destination.address)
    if source is None or target is None or source == target or packet.message.status in _HIDDEN:
        return None
    message = packet.message
    return Arrow(
        packet.time - start, source, target, label(message), message.reason, details(message), tone(message)
    )


def build(title: str, packets: Iterable[DrawnPacket], cast: Cast, notes: Iterable[Note] = ()) -> Ladder:
    """The ladder of one call. Times count from its first message; so do those of ``notes``."""
    packets = list(packets)
    start = packets[0].time if packets else 0.0
    arrows: list[Arrow] = []
    place: dict[tuple[object, ...], int] = {}
    for packet in packets:
        key = (packet.source, packet.destination, packet.message)
        if packet.retransmission and key in place:
            first = place[key]
            arrows[first] = replace(arrows[first], sent=arrows[first].sent + 1)
            continue
        drawn = arrow(packet, cast, start)
        if drawn is not None:
            place[key] = len(arrows)
            arrows.append(drawn)
    rows: list[Arrow | Note] = sorted([*arrows, *notes], key=lambda row: row.time)
    return Ladder(title, cast.columns, tuple(rows))


def stack(title: str, ladders: Iterable[Ladder]) -> Ladder:
    """Several calls in one picture, one below the other, each under its own title."""
    ladders = list(ladders)
    columns = ladders[0].columns if ladders else ()
    rows: list[Row] = []
    for each in ladders:
        rows += [Section(each.title), *each.rows]
    return Ladder(title, columns, tuple(rows))


def merge(title: str, ladders: Iterable[tuple[float, Ladder]]) -> Ladder:
    """Legs of one call in one picture, side by side; each comes with the time at which it began."""
    ladders = list(ladders)
    columns = tuple(dict.fromkeys(name for _, ladder in ladders for name in ladder.columns))
    first = min((begin for begin, _ in ladders), default=0.0)
    rows: list[Arrow | Note] = []
    for begin, ladder in ladders:
        places = [columns.index(name) for name in ladder.columns]
        for row in ladder.rows:
            match row:
                case Arrow():
                    later, source, target = row.time + begin - first, places[row.source], places[row.target]
                    rows.append(replace(row, time=later, source=source, target=target))
                case Note():
                    rows.append(replace(row, time=row.time + begin - first))
    rows.sort(key=lambda row: row.time)
    return Ladder(title, columns, tuple(rows))


def label(message: DrawnMessage) -> str:
    """What stands on the arrow: the method, or the status with the method where it is not INVITE's."""
    if message.status is None:
        in_dialog = message.method == "INVITE" and message.to_tag is not None
        return "re-INVITE" if in_dialog else message.method
    return str(message.status) if message.method == "INVITE" else f"{message.status} ({message.method})"


def details(message: DrawnMessage) -> tuple[str, ...]:
    """The headers of the session timer that the message carries, as they are written.

    The internal header between edge and Asterisk is cut to what it says about the timer, Reason to its
    number.
    """
    shown = [f"{name}: {_brief(name, value)}" for name in TIMER_HEADERS for value in message.rows(name)]
    if "timer" in message.tokens("Require"):
        shown.append("Require: timer")
    return tuple(shown)


def _brief(name: str, value: str) -> str:
    parameters = value.split(";")
    if name == "Reason":
        return ";".join(each for each in parameters if not each.strip().startswith("text="))
    if name == INTERNAL_HEADER and len(parameters) > 2:
        return ";".join(parameters[:2]) + ";…"
    return value


def tone(message: DrawnMessage) -> Tone:
    """What the message means for the call."""
    if message.status is not None:
        if message.status < 200:
            return Tone.OTHER
        return Tone.SUCCESS if message.status < 300 else Tone.REFUSAL
    if message.method in {"BYE", "CANCEL"}:
        return Tone.END
    if message.method in {"INVITE", "UPDATE"}:
        return Tone.OPEN if message.to_tag is None else Tone.REFRESH
    return Tone.OTHER
