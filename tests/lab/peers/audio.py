"""Descriptions of audio: written as a carrier would, and read for what a refresh must not change."""

from __future__ import annotations

from dataclasses import dataclass

_MAPS = {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000"}


def described(address: str, formats: str, *, direction: str = "sendrecv", version: int = 1) -> str:
    """An offer or answer with these payload types, for instance ``8 0 101``."""
    rows = [
        "v=0",
        f"o=carrier 7 {version} IN IP4 {address}",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
        f"m=audio 6000 RTP/AVP {formats}",
        *(f"a=rtpmap:{number} {_MAPS[number]}" for number in formats.split()),
        *(["a=fmtp:101 0-16"] if "101" in formats else []),
        f"a={direction}",
    ]
    return "".join(f"{row}\r\n" for row in rows)


@dataclass(frozen=True, slots=True)
class Audio:
    """What a body says, so that two of them can be compared."""

    session: tuple[str, ...]
    """User, number and address in o=, which stay for the life of a session."""
    version: int
    """Of o=."""
    address: str
    media: str
    """m=, port and formats included."""
    attributes: frozenset[str]

    @classmethod
    def read(cls, body: bytes) -> Audio:
        rows = [row.partition("=") for row in body.decode().split("\r\n") if row]
        first = {name: value for name, _, value in reversed(rows)}
        user, number, version, *place = first["o"].split()
        return cls(
            session=(user, number, *place),
            version=int(version),
            address=first["c"],
            media=first["m"],
            attributes=frozenset(value for name, _, value in rows if name == "a"),
        )

    @property
    def unchanged(self) -> tuple[object, ...]:
        """Everything but the version."""
        return self.session, self.address, self.media, self.attributes

    @property
    def direction(self) -> str:
        (found,) = self.attributes & {"sendrecv", "sendonly", "recvonly", "inactive"}
        return found
