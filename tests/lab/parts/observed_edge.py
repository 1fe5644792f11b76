"""What the edge did, seen from beside it: the messages on both its sides, its hash tables, its counters."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from session_timer import Asked, Outcome, Record, Side

from tests.lab.capture import CaptureReader, Packet
from tests.lab.peers.lab_sockets import Address, LabSockets
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, NotInTimeError, wait_until

_RPC = 8090


@dataclass(slots=True)
class Wire:
    """Every SIP message that passed the edge since the capture began."""

    stack: Stack
    sockets: LabSockets
    path: Path
    _packets: list[Packet] = field(default_factory=list)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _capture: ExitStack = field(default_factory=ExitStack)
    _reader: CaptureReader | None = None

    def begin(self) -> None:
        """Capture from now on; what was seen before is kept. Needed again when the edge was restarted."""
        with self._reading:
            self._end()
            self._capture.enter_context(self.stack.capture(self.path))
            self._reader = CaptureReader(self.path)

    def close(self) -> None:
        with self._reading:
            self._end()

    def _end(self) -> None:
        if self._reader is not None:
            self._packets += self._reader.poll()
            self._reader.close()
            self._reader = None
        self._capture.close()

    def packets(self, call_id: str) -> list[Packet]:
        """Those of one call up to now, retransmissions left out."""
        self._catch_up()
        return self._seen(call_id)

    def to_asterisk(self, call_id: str) -> list[SipMessage]:
        """What Asterisk was sent of this call."""
        self._catch_up()
        return self._towards(self.stack.asterisk, call_id)

    def from_asterisk(self, call_id: str) -> list[SipMessage]:
        """What Asterisk sent of this call."""
        return [p.message for p in self.packets(call_id) if p.source.address == self.stack.asterisk]

    def reached_asterisk(self, call_id: str, what: str | int, count: int = 1) -> SipMessage:
        """The ``count``-th request of this method, or answer of this status, that Asterisk was sent."""
        return self._nth(self.stack.asterisk, call_id, what, count)

    def reached(self, address: str, call_id: str, what: str | int, count: int = 1) -> SipMessage:
        """The same for any address."""
        return self._nth(address, call_id, what, count)

    def requests(self, address: str, call_id: str, method: str) -> list[SipMessage]:
        """The requests of this method that this address was sent up to now."""
        self._catch_up()
        return [each for each in self._towards(address, call_id) if each.is_request(method)]

    def wait_for_ack(self, call_id: str, cseq: int) -> None:
        """Until the edge has handed on the ACK: its processes may send what follows sooner."""
        wait_until(
            lambda: [
                each
                for each in self._seen(call_id)
                if each.message.cseq == (cseq, "ACK") and each.source.address == self.stack.edge
            ],
            PATIENCE,
            f"ACK {cseq} of {call_id} to leave the edge",
            pause=0.01,
        )

    def copies(self, address: str, answer: SipMessage, count: int) -> list[SipMessage]:
        """This answer as often as the edge has handed it on, once that is ``count`` times."""
        return wait_until(
            lambda: [
                each.message
                for each in self._all(answer.call_id)
                if each.destination.address == address
                and (each.message.status, each.message.cseq) == (answer.status, answer.cseq)
            ],
            PATIENCE,
            f"{answer.start_line} of {answer.call_id} to reach {address} {count} times",
            holds=lambda seen: len(seen) >= count,
            pause=0.03,
        )

    def _seen(self, call_id: str) -> list[Packet]:
        return [each for each in self._all(call_id) if not each.retransmission]

    def _all(self, call_id: str) -> list[Packet]:
        with self._reading:
            self._packets += self._reader.poll() if self._reader is not None else []
        return [each for each in self._packets if each.message.call_id == call_id]

    def _catch_up(self) -> None:
        """Send the edge a message and wait for the answer in the capture: then all before it is there too."""
        own = (self.stack.address(40), 7091)
        mark = secrets.token_hex(8)
        rows = [
            f"OPTIONS sip:{self.stack.edge} SIP/2.0",
            f"Via: SIP/2.0/UDP {own[0]}:{own[1]};branch=z9hG4bK{mark}",
            "Max-Forwards: 1",
            f"From: <sip:mark@{own[0]}>;tag={mark}",
            f"To: <sip:{self.stack.edge}>",
            f"Call-ID: {mark}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        ]
        self.sockets.send(own, (self.stack.edge, 5060), ("\r\n".join(rows) + "\r\n\r\n").encode())
        wait_until(
            lambda: [each for each in self._seen(mark) if each.message.status],
            PATIENCE,
            "the capture to catch up",
            pause=0.01,
        )

    def _towards(self, address: str, call_id: str) -> list[SipMessage]:
        return [p.message for p in self._seen(call_id) if p.destination.address == address]

    def _nth(self, address: str, call_id: str, what: str | int, count: int) -> SipMessage:
        def matching() -> list[SipMessage]:
            return [
                each
                for each in self._towards(address, call_id)
                if (each.status == what if isinstance(what, int) else each.is_request(what))
            ]

        found = wait_until(
            matching,
            PATIENCE,
            f"{count} of {what} to {address} in {call_id}",
            holds=lambda seen: len(seen) >= count,
            pause=0.03,
        )
        return found[count - 1]


@dataclass(slots=True)
class Kamailio:
    """The edge's own state, by JSON-RPC over its datagram socket."""

    sockets: LabSockets
    own: Address
    edge: Address
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def of(cls, sockets: LabSockets, stack: Stack) -> Kamailio:
        return cls(sockets, (stack.address(40), 7090), (stack.edge, _RPC))

    def rpc(self, method: str, *parameters: str | int) -> dict[str, Any]:
        """The answer, ``result`` or ``error`` in it."""
        # A container that has just got the address of another is found once ARP has given that one up.
        for _ in range(2):
            with suppress(NotInTimeError):
                return self._asked_once(method, parameters)
        return self._asked_once(method, parameters)

    def _asked_once(self, method: str, parameters: Sequence[str | int]) -> dict[str, Any]:
        number = next(self._ids)
        question = {"jsonrpc": "2.0", "method": method, "params": parameters, "id": number}
        self.sockets.send(self.own, self.edge, json.dumps(question).encode())
        got = self.sockets.receive(
            lambda each: each.own == self.own and _reply(each.data)["id"] == number,
            f"answer to {method}",
            timeout=4,
        )
        return _reply(got.data)

    @property
    def version(self) -> tuple[int, int]:
        """Kamailio's release: (5, 6), (6, 0) or (6, 1)."""
        name = str(self.rpc("core.version")["result"])
        major, minor = name.split()[1].split(".")[:2]
        return int(major), int(minor)

    def record_texts(self, call_id: str) -> dict[str, str]:
        """The records of one call as they stand in the table, by key."""
        slots = self.rpc("htable.dump", "session_timer")["result"]
        entries = {item["name"]: str(item["value"]) for slot in slots for item in slot["slot"]}
        return {key: value for key, value in entries.items() if key.startswith(f"{call_id};")}

    def records(self, call_id: str, count: int = 1) -> list[dict[str, str]]:
        """The fields of each record of one call; waits until there are ``count``."""
        texts = wait_until(
            lambda: self.record_texts(call_id),
            PATIENCE,
            f"{count} records of {call_id}",
            holds=lambda seen: len(seen) == count,
            pause=0.03,
        )
        return [fields(text) for text in texts.values()]

    def record(self, call_id: str, **holds: str) -> dict[str, str]:
        """The fields of the only record of a call; waits until they hold these values."""

        def look() -> dict[str, str]:
            texts = self.record_texts(call_id)
            return fields(next(iter(texts.values()))) if len(texts) == 1 else {}

        return wait_until(
            look,
            PATIENCE,
            f"the record of {call_id} with {holds}",
            holds=lambda seen: bool(seen) and all(seen.get(name) == text for name, text in holds.items()),
            pause=0.03,
        )

    def ended(self, call_id: str, side: Side, outcome: Outcome, code: int = 0) -> Asked:
        """The last request of one side within the only dialog of a call; waits until it has ended so."""

        def look() -> Asked | None:
            texts = self.record_texts(call_id)
            return Record.decode(next(iter(texts.values()))).of(side) if len(texts) == 1 else None

        def holds(seen: Asked | None) -> bool:
            return seen is not None and seen.outcome is outcome and code in (0, seen.code)

        found = wait_until(
            look,
            PATIENCE,
            f"a request of {side} in {call_id} that is {outcome} {code or ''}",
            holds=holds,
            pause=0.03,
        )
        assert found is not None
        return found

    def counter(self, name: str) -> int:
        """One of the edge's statistics."""
        (line,) = self.rpc("stats.get_statistics", f"session_timer_{name}")["result"]
        return int(str(line).partition("=")[2])


def fields(record: str) -> dict[str, str]:
    """A record's ``key=value`` pairs."""
    return dict(pair.split("=", 1) for pair in record.split(";"))


def _reply(data: bytes) -> dict[str, Any]:
    """A reply of Kamailio, which may list calls: their Call-IDs stand in it as they came, in any octets."""
    read: dict[str, Any] = json.loads(data.decode(errors="replace"), strict=False)
    return read
