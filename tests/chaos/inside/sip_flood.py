"""A stranger's messages, as fast as is asked: ``sip_flood.py FROM EDGE A_SECOND SECONDS``.

Requests within dialogs that nobody has, calls to numbers that do not exist, and what is no SIP at all.
"""

import random
import socket
import sys
import time
from contextlib import suppress


def message(draw: random.Random, own: str, edge: str, number: int) -> bytes:
    kind = draw.choice(("UPDATE", "BYE", "INVITE", "OPTIONS", "noise"))
    if kind == "noise":
        return draw.randbytes(draw.randint(1, 600))
    tag = f"{draw.getrandbits(48):012x}"
    within = f";tag={tag}" if kind in ("UPDATE", "BYE") else ""
    rows = [
        f"{kind} sip:nobody-{tag}@{edge} SIP/2.0",
        f"Via: SIP/2.0/UDP {own}:5069;branch=z9hG4bK{tag}",
        "Max-Forwards: 70",
        f"From: <sip:stranger@{own}>;tag=a{tag}",
        f"To: <sip:nobody-{tag}@{edge}>{within}",
        f"Call-ID: flood-{tag}",
        f"CSeq: {number} {kind}",
        f"Contact: <sip:stranger@{own}:5069>",
        "Supported: timer",
        "Session-Expires: 90;refresher=uac",
        "Content-Length: 0",
    ]
    return ("\r\n".join(rows) + "\r\n\r\n").encode()


def flood(own: str, edge: str, rate: int, seconds: float) -> None:
    draw = random.Random(4028)  # noqa: S311  # not a secret
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((own, 5069))
        udp.setblocking(False)  # noqa: FBT003
        began = time.monotonic()
        sent = 0
        while (elapsed := time.monotonic() - began) < seconds:
            for _ in range(int(elapsed * rate) - sent):
                sent += 1
                with suppress(OSError):  # another fault drops what leaves here
                    udp.sendto(message(draw, own, edge, sent), (edge, 5060))
            try:
                while True:
                    udp.recv(65535)  # responses are nobody's
            except BlockingIOError:
                time.sleep(0.01)


if __name__ == "__main__":
    flood(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
