"""What passes the edge while the calls are played: one capture, read by the threads of all calls."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.capture import CaptureReader, Packet
from tests.lab.observed import ObservedCall
from tests.lab.stack import Stack


@dataclass(slots=True)
class Line:
    """The messages at the edge, by the address of the agent that sent or got them."""

    stack: Stack
    path: Path
    _packets: list[Packet] = field(default_factory=list)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _reader: CaptureReader | None = None

    def call(self, address: str) -> ObservedCall:
        """The latest call of the agent at this address; one without messages if there is none yet."""
        with self._reading:
            if self._reader is None:
                self._reader = CaptureReader(self.path)
            self._packets += self._reader.poll()
            packets = list(self._packets)
        own = [
            each
            for each in packets
            if address in (each.source.address, each.destination.address)
            and each.message.method != "REGISTER"
        ]
        call_id = own[-1].message.call_id if own else ""
        return ObservedCall.of(
            packets if own else [],
            call_id,
            edge=self.stack.edge,
            carrier=address,
            asterisk=self.stack.asterisk,
        )

    def close(self) -> None:
        with self._reading:
            if self._reader is not None:
                self._reader.close()
