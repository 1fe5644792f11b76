"""What Asterisk says over AMI: whole messages, and list entries of which little is read."""

from __future__ import annotations

from panoramisk.message import Message


class AmiMessage(Message):  # type: ignore[misc]  # panoramisk has no types; the typed reading is what this class adds
    """An answer, a list entry or an event. Header names are looked up without regard to case."""

    @property
    def event(self) -> str:
        """The event's name; empty for an answer."""
        return self.text("event")

    @property
    def ok(self) -> bool:
        """True unless Asterisk answered with an error."""
        return bool(self.success)

    @property
    def reason(self) -> str:
        """Asterisk's words for the outcome, such as `No such channel`."""
        return self.text("message")

    def text(self, name: str) -> str:
        """The header's value, its first if there are several, or an empty string."""
        value = self.get(name, "")
        return str(value[0] if isinstance(value, list) else value)

    @classmethod
    def parsed(cls, frame: bytes) -> AmiMessage | None:
        """What a frame says; None for bytes that are neither an answer nor an event."""
        message: AmiMessage | None = cls.from_line(frame.decode("utf-8", "replace"))
        return message


class AmiEntry:
    """An entry of a list, read where it is asked: of the thirty lines that tell of a channel few are needed.

    Header names are as Asterisk writes them.
    """

    __slots__ = ("_lines",)

    def __init__(self, frame: bytes) -> None:
        self._lines = f"\r\n{frame.decode('utf-8', 'replace')}\r\n"

    def text(self, name: str) -> str:
        """The header's value, its first if there are several, or an empty string."""
        _, _, rest = self._lines.partition(f"\r\n{name}: ")
        return rest.partition("\r\n")[0]

    @property
    def ends(self) -> bool:
        """It is the last frame of its list, and no entry."""
        return self.text("Event").endswith("Complete") or self.text("EventList") in ("Complete", "cancelled")
