"""UDP in the lab's network, from the carrier's addresses, for a test that runs on the host."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.sip import NotSip, SipMessage
from tests.lab.stack import LabError, Stack
from tests.lab.waiting import NotInTimeError

Address = tuple[str, int]
_PROGRAM = Path(__file__).with_name("inside_sockets.py")


@dataclass(frozen=True, slots=True)
class Datagram:
    """What came in at one of the carrier's addresses; ``message`` is None where it is no SIP."""

    source: Address
    own: Address
    data: bytes
    message: SipMessage | None


class LabSockets:
    """Sends and keeps what comes in. A retransmission, the same octets once more, is not kept."""

    def __init__(self, stack: Stack) -> None:
        image = subprocess.check_output(
            ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("companion")], text=True
        ).strip()
        network = f"container:{stack.container('carrier')}"
        docker = ["docker", "run", "--rm", "-i", "--init", "--network", network]
        python = ["--entrypoint", "python3", image, "-u", "-c", _PROGRAM.read_text(encoding="utf-8")]
        self._process = subprocess.Popen(
            [*docker, *python],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ordering = threading.Lock()
        self._arrived = threading.Condition()
        self._inbox: list[Datagram] = []
        self._seen: set[tuple[Address, Address, bytes]] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(self, own: Address) -> None:
        """Listen at an address."""
        self._order(own, own, b"")

    def send(self, own: Address, to: Address, data: bytes) -> None:
        """Send one datagram; ``own`` is opened where it is not yet."""
        self._order(own, to, data)

    def receive(self, wanted: Callable[[Datagram], bool], what: str, timeout: float = 8) -> Datagram:
        """The first datagram that is ``wanted``, taken out of the inbox.

        ``timeout`` is seconds. Raises NotInTimeError with what the inbox holds instead.
        """
        found: list[Datagram] = []

        def look() -> bool:
            found[:] = [each for each in self._inbox if wanted(each)][:1]
            return bool(found)

        with self._arrived:
            if not self._arrived.wait_for(look, timeout):
                held = [each.message.start_line for each in self._inbox[-8:] if each.message]
                raise NotInTimeError(f"expected within {timeout:g} s: {what}; the last that came in: {held}")
            self._inbox.remove(found[0])
            return found[0]

    def close(self) -> None:
        """End the program in the lab's network."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _order(self, own: Address, to: Address, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None or self._process.poll() is not None:
            raise LabError("the sockets in the carrier's network are gone; docker run says why above")
        with self._ordering:
            stdin.write(json.dumps({"from": own, "to": to, "data": data.decode("latin-1")}) + "\n")
            stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._keep(json.loads(line))

    def _keep(self, came: dict[str, Any]) -> None:
        data = came["data"].encode("latin-1")
        source: Address = (came["from"][0], came["from"][1])
        own: Address = (came["to"][0], came["to"][1])
        with self._arrived:
            if (source, own, data) not in self._seen:
                self._seen.add((source, own, data))
                try:
                    message = SipMessage.parse(data)
                except NotSip:
                    message = None
                self._inbox.append(Datagram(source, own, data, message))
            self._arrived.notify_all()
