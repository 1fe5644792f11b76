"""What one refresh costs in each form that makes Asterisk send it: ``python -m tests.bench.refresh_forms``.

On a stack that is up, or one that it starts (`ASTERISK_SUITE` picks the release). Printed are rows for
docs/reference/asterisk-releases.md: requests and octets between edge and peer, and Asterisk's processor time,
less what the orders by AMI cost alone. Nobody else has to be quiet: processor time counts.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.parts.observed_edge import Wire
from tests.lab.peers.audio import described
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import ALLOW, Call, UserAgent
from tests.lab.sip import SipMessage
from tests.lab.stack import ROOT, Stack

LONG = 41
"""The address whose profile asks for 1,800 s: the companion is idle."""
FORMATS = "8 0 101"
TICKS = 100
"""A second of processor time, as /proc counts."""

Orders = tuple[tuple[str, str], ...]
"""Functions of a channel, each with the value that it is set to."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to make Asterisk refresh."""

    name: str
    orders: Callable[[int], Orders]
    """By the number of the refresh."""
    requests: tuple[str, ...]
    """What leaves for it."""


def _there(number: int) -> str:
    return "auto_info" if number % 2 == 0 else "rfc4733"


FORMS = (
    Form(
        "UPDATE without SDP",
        lambda _number: (("CONNECTEDLINE(tag)", secrets.token_hex(4)),),
        ("UPDATE",),
    ),
    Form(
        "re-INVITE that offers",
        lambda _number: (
            ("PJSIP_MEDIA_OFFER(audio)", "!all,alaw,none"),
            ("PJSIP_SEND_SESSION_REFRESH()", "invite"),
        ),
        ("INVITE",),
    ),
    Form(
        "re-INVITE that repeats, one change",
        lambda number: (("PJSIP_DTMF_MODE()", _there(number)),),
        ("INVITE",),
    ),
    Form(
        "re-INVITE that repeats, there and back",
        lambda _number: (("PJSIP_DTMF_MODE()", "auto_info"), ("PJSIP_DTMF_MODE()", "rfc4733")),
        ("INVITE", "INVITE"),
    ),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one refresh."""

    requests: float
    octets: float
    milliseconds: float


def processor_time(stack: Stack) -> float:
    """Seconds of processor time that Asterisk has used."""
    told = (
        stack.exec("asterisk", "sh", "-c", "cat /proc/$(pidof -s asterisk)/stat").rpartition(")")[2].split()
    )
    return (int(told[11]) + int(told[12])) / TICKS


def call_of(agent: UserAgent) -> Call:
    """A call of the peer with two codecs and telephone-event, answered."""
    call = agent.call()
    body = described(agent.address, FORMATS)
    sent = call.send("INVITE", ALLOW, "Supported: timer", "Session-Expires: 1800;refresher=uas", body=body)
    call.ack(call.final(sent, 15))
    return call


def refresh(stack: Stack, call: Call, channel: str, form: Form, number: int) -> None:
    """One refresh, answered by the peer as it was asked."""
    for function, value in form.orders(number):
        stack.ami("Setvar", Channel=channel, Variable=function, Value=value)
    for method in form.requests:
        request = call.expect(method)
        body = described(call.agent.address, FORMATS, version=2) if request.body else ""
        call.answer(request, 200, ALLOW, body=body)
        if method == "INVITE":
            call.expect("ACK")


def measure(stack: Stack, wire: Wire, agent: UserAgent, form: Form, count: int) -> Cost:
    """What so many refreshes of this form cost, by one."""
    call = call_of(agent)
    channel = stack.channels()[call.call_id]
    stack.ami("Setvar", Channel=channel, Variable="CONNECTEDLINE(num,i)", Value="1000")
    before = len(wire.packets(call.call_id))
    began = processor_time(stack)
    for number in range(count):
        refresh(stack, call, channel, form, number)
    used = processor_time(stack) - began
    packets = wire.packets(call.call_id)[before:]
    outside = [each for each in packets if agent.address in (each.source.address, each.destination.address)]
    orders = sum(len(form.orders(number)) for number in range(count))
    began = processor_time(stack)
    for _ in range(orders):
        stack.ami("Setvar", Channel=channel, Variable="MEASURED", Value="1")
    idle = processor_time(stack) - began
    call.bye()
    asked = [each for each in outside if each.message.is_request("INVITE", "UPDATE")]
    return Cost(
        requests=len(asked) / count,
        octets=sum(octets(each.message) for each in outside) / count,
        milliseconds=(used - idle) * 1000 / count,
    )


def octets(message: SipMessage) -> int:
    """The length of a message, its headers in their long form."""
    rows = [message.start_line, *(f"{name}: {value}" for name, value in message.headers), ""]
    return sum(len(row.encode()) + 2 for row in rows) + len(message.body)


def main() -> int:
    """Measure every form that this release sends, and print a row of each."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--count", type=int, default=100, help="refreshes of each form")
    count = reader.parse_args().count
    stack = Stack.from_environment()
    was_up = stack.is_up()
    stack.up()
    sockets = LabSockets(stack)
    wire = Wire(stack, sockets, ROOT / "out" / "refresh-forms.pcap")
    wire.begin()
    try:
        agent = UserAgent(sockets, stack.address(LONG), stack.edge, wire)
        release = stack.asterisk_release()
        for form in FORMS:
            if "offers" in form.name and release < (18, 0):
                continue
            cost = measure(stack, wire, agent, form, count)
            print(
                f"| {release[0]}.{release[1]} | {form.name} | {cost.requests:.0f} | {cost.octets:.0f} "
                f"| {cost.milliseconds:.1f} |",
                flush=True,
            )
    finally:
        wire.close()
        sockets.close()
        if not was_up:
            stack.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
