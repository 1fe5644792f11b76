"""Plays one call of the carrier on the stack and gathers what there is to know of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from demo.acts import Call, Evidence
from tests.lab.capture import CaptureReader, Packet, read
from tests.lab.observed import ObservedCall
from tests.lab.stack import Stack
from tests.lab.waiting import NotInTimeError, wait_until

_TICK = 0.1
_AFTERMATH = 5.0


class Listener(Protocol):
    """Whoever wants to know what happens while it happens."""

    def hear(self, packets: Iterable[Packet]) -> None:
        """These messages of the call have just been captured."""

    def tick(self, now: float) -> None:
        """Time passes; ``now`` is the capture's clock, in seconds."""


def new_call_id(call: Call, lab: Stack) -> str:
    """A Call-ID that no other call has and that tells which call it is."""
    return f"{call.name}-{secrets.token_hex(4)}@{lab.address(call.host)}"


def play(  # noqa: PLR0913 - what a call is played with
    call: Call, lab: Stack, out: Path, call_id: str, listener: Listener | None = None, *, port: int = 5060
) -> Evidence:
    """Let the carrier make the call; returns when it is over and Asterisk has written it down.

    The capture is left in ``out``, named after the call. ``port`` is the carrier's: calls from one address
    that are played at the same time need one each.
    """
    path = out / f"{call.name}.pcap"
    carrier = lab.address(call.host)
    began = datetime.now(UTC).isoformat()
    reader = CaptureReader(path)

    def tell() -> None:
        own = [packet for packet in reader.poll() if packet.message.call_id == call_id]
        if listener is not None:
            listener.hear(own)
            listener.tick(time.time())

    with lab.capture(path):
        run = lab.sipp(
            call.scenario, host=call.host, keys=call.keys, call_id=call_id, port=port, timeout=call.timeout
        )
        try:
            while run.running:
                tell()
                time.sleep(_TICK)
        finally:
            run.stop()
        # The capture goes on until Asterisk has written down that the call is over.
        cdr = _cdr(lab, call_id)
    tell()
    reader.close()
    evidence = Evidence(
        call=call,
        observed=ObservedCall.of(read(path), call_id, edge=lab.edge, carrier=carrier, asterisk=lab.asterisk),
        status=run.wait(1),
        complaint=run.complaint(),
        cdr=cdr,
        log=_lines_of(lab.logs("companion", since=began), call_id),
        still_up=call_id in lab.channels(),
        records=len(lab.records(call_id)),
    )
    _hang_up(lab, call_id)
    return evidence


def _cdr(lab: Stack, call_id: str) -> dict[str, str]:
    """Asterisk's record of the call; empty if it writes none, as for a call that it never saw."""

    def look() -> dict[str, str]:
        return next((row for row in lab.cdr() if row.get("call_id") == call_id), {})

    try:
        return wait_until(look, _AFTERMATH, f"a CDR of {call_id}")
    except NotInTimeError:
        return {}


def _hang_up(lab: Stack, call_id: str) -> None:
    """After a failure Asterisk may still hold the call; the next one shall not meet it."""
    channel = lab.channels().get(call_id)
    if channel is not None:
        lab.ami("Hangup", Channel=channel)


def _lines_of(log: str, call_id: str) -> str:
    return "\n".join(line for line in log.splitlines() if call_id in line)
