"""Sockets in the lab's network, at the carrier's addresses, for a test that runs on the host."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.sip import NotSip, SipMessage
from tests.lab.stack import LabError, Stack
from tests.lab.waiting import PATIENCE, NotInTimeError

Address = tuple[str, int]
_PROGRAM = Path(__file__).with_name("inside_sockets.py")


@dataclass(frozen=True, slots=True)
class Datagram:
    """What came in at one of the carrier's addresses; ``message`` is None where it is no SIP."""

    source: Address
    own: Address
    data: bytes
    message: SipMessage | None
    over: str = "udp"
    """The transport: udp, tcp, tls or ws."""


class LabSockets:
    """Sends and keeps what comes in. A retransmission, the same octets once more, is not kept."""

    def __init__(self, stack: Stack, place: Sequence[str] = (), prepare: str = "true") -> None:
        """`place` has the options of `docker run` for a container of its own, else it is in the carrier's.

        The shell command `prepare` is run in it first.
        """
        image = subprocess.check_output(
            ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("companion")], text=True
        ).strip()
        place = place or ["--network", f"container:{stack.container('carrier')}"]
        docker = ["docker", "run", "--rm", "-i", "--init", *place, "--entrypoint", "sh", image]
        program = _PROGRAM.read_text(encoding="utf-8")
        self._process = subprocess.Popen(
            [*docker, "-c", f'{prepare}; exec python3 -u -c "$1"', "sh", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ordering = threading.Lock()
        self._arrived = threading.Condition()
        self._inbox: list[Datagram] = []
        self._opened: set[tuple[Address, str]] = set()
        self._seen: Counter[tuple[Address, Address, bytes]] = Counter()
        """Of UDP, where the same octets may come once more: how often they came."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(self, own: Address, over: str = "udp") -> None:
        """Listen at an address, from the return on."""
        self._order(own, own, b"", over)
        with self._arrived:
            if not self._arrived.wait_for(lambda: (own, over) in self._opened, 3 * PATIENCE):
                raise LabError(f"{own} cannot be opened over {over}; docker run says why above")

    def send(self, own: Address, to: Address, data: bytes, over: str = "udp") -> None:
        """Send one message; ``own`` is opened where it is not yet, and a connection where there is none."""
        self._order(own, to, data, over)

    def receive(self, wanted: Callable[[Datagram], bool], what: str, timeout: float = PATIENCE) -> Datagram:
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

    def copies(self, datagram: Datagram) -> int:
        """How often the same octets have come once more."""
        with self._arrived:
            return self._seen[datagram.source, datagram.own, datagram.data] - 1

    def close(self) -> None:
        """End the program in the lab's network."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _order(self, own: Address, to: Address, data: bytes, over: str) -> None:
        stdin = self._process.stdin
        if stdin is None or self._process.poll() is not None:
            raise LabError("the sockets in the carrier's network are gone; docker run says why above")
        with self._ordering:
            order = {"from": own, "to": to, "over": over, "data": data.decode("latin-1")}
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._keep(json.loads(line))

    def _keep(self, came: dict[str, Any]) -> None:
        data = came["data"].encode("latin-1")
        source: Address = (came["from"][0], came["from"][1])
        own: Address = (came["to"][0], came["to"][1])
        over = came["over"]
        with self._arrived:
            if not data:
                self._opened.add((own, over))
                self._arrived.notify_all()
                return
            self._seen[source, own, data] += 1
            if over != "udp" or self._seen[source, own, data] == 1:
                try:
                    message = SipMessage.parse(data)
                except NotSip:
                    message = None
                self._inbox.append(Datagram(source, own, data, message, over))
            self._arrived.notify_all()
