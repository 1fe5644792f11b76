"""Runs inside the container of a real Kamailio: sends each probe through it and sees what comes out.

Both ends are here: 127.0.0.1:5061 sends the request, 127.0.0.1:5062 answers it. Prints one JSON object:
the list of KSR functions, and of every probe what was forwarded and what came back.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

FOLDER = Path("/probe")
SERVER = ("127.0.0.1", 5060)


def api() -> Any:
    """The answer to app_python.api_list. Over the FIFO: the datagram socket cuts off at 64 KiB."""
    reply = Path("/tmp/kemi_api")  # noqa: S108 - the container is ours alone
    os.mkfifo(reply, 0o666)
    question = {"jsonrpc": "2.0", "method": "app_python.api_list", "reply_name": reply.name, "id": 1}
    Path("/run/kamailio/rpc.fifo").write_text(json.dumps(question) + "\n")
    return json.loads(reply.read_text())["result"]["methods"]


def endpoint(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", port))
    bound.settimeout(1)
    return bound


def latin(rows: list[str]) -> bytes:
    return "".join(f"{row}\r\n" for row in rows).encode("latin-1")


def rows_of(message: bytes) -> list[str]:
    """Start line and rows of a message; latin-1, so that every byte can be told."""
    return message.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


def dialog_rows(name: str) -> list[str]:
    return [
        f"From: <sip:a@127.0.0.1>;tag={name}-from",
        f"Call-ID: {name}",
        "CSeq: 7 INVITE",
    ]


def received(end: socket.socket, name: str) -> tuple[bytes, Any]:
    """The next message of this probe, and where it came from; what is repeated of others is passed over."""
    while True:
        message, sender = end.recvfrom(65535)
        if f"\r\nCall-ID: {name}\r\n".encode() in message:
            return message, sender


def run(
    name: str, probe: dict[str, Any], ends: tuple[socket.socket, socket.socket], seen: dict[str, Any]
) -> None:
    """Send one probe; what goes out and comes back is added to `seen`."""
    caller, callee = ends
    request = (
        latin(
            [
                "INVITE sip:b@far.example SIP/2.0",
                f"Via: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK{name}",
                *dialog_rows(name),
                "To: <sip:b@far.example>",
                "Max-Forwards: 20",
                f"X-Probe: {name}",
                *probe["rows"],
            ]
        )
        + b"Content-Length: 0\r\n\r\n"
    )
    caller.sendto(request, SERVER)
    if "X-Answered: here" not in probe["rows"]:
        for code, answer in probe.get("answers", [[200, []]]):
            forwarded, server = received(callee, name)
            while forwarded.startswith(b"ACK "):
                forwarded, server = received(callee, name)
            seen["forwarded"].append(rows_of(forwarded))
            vias = [row for row in rows_of(forwarded) if row.lower().startswith("via:")]
            callee.sendto(
                latin(
                    [
                        f"SIP/2.0 {code} Told",
                        *vias,
                        *dialog_rows(name),
                        f"To: <sip:b@far.example>;tag={name}-to",
                    ]
                )
                + latin(answer)
                + b"Content-Length: 0\r\n\r\n",
                server,
            )
    if probe.get("silent"):
        seen["forwarded"].append(rows_of(received(callee, name)[0]))
    while not seen["answers"] or seen["answers"][-1][0].startswith("SIP/2.0 1"):
        seen["answers"].append(rows_of(received(caller, name)[0]))


def main() -> None:
    """Send every probe, print what was seen."""
    probes = json.loads((FOLDER / "probes.json").read_text())
    told: dict[str, Any] = {"api": api(), "probes": {}}
    for name, probe in probes.items():
        # Sockets of its own for each: nothing that comes late for the one before is read.
        with endpoint(5061) as caller, endpoint(5062) as callee:
            seen: dict[str, Any] = {"forwarded": [], "answers": []}
            told["probes"][name] = seen
            # What does not come within a second does not come: that is an answer too.
            with contextlib.suppress(TimeoutError):
                run(name, probe, (caller, callee), seen)
    results = [json.loads(line) for line in (FOLDER / "results.jsonl").read_text().splitlines()]
    for name, seen in told["probes"].items():
        seen["calls"] = [
            [line["route"], line["call"], line["gives"]] for line in results if line["probe"] == name
        ]
    json.dump(told, sys.stdout)


main()
