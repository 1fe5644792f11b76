"""Runs in the carrier's network: UDP sockets that a test on the host speaks through, one JSON object a line.

In: ``{"from": [address, port], "to": [address, port], "data": text}``; the socket is opened when first named.
Out: the same form for each datagram that comes in. Text is the datagram's octets as ISO 8859-1.
"""

import json
import socket
import sys
import threading

Address = tuple[str, int]


def listen(own: Address, udp: socket.socket) -> None:
    while True:
        data, source = udp.recvfrom(65535)
        line = {"from": source, "to": own, "data": data.decode("latin-1")}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def serve() -> None:
    sockets: dict[Address, socket.socket] = {}
    for line in sys.stdin:
        order = json.loads(line)
        own: Address = tuple(order["from"])
        if own not in sockets:
            udp = sockets[own] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(own)
            threading.Thread(target=listen, args=(own, udp), daemon=True).start()
        if order["data"]:
            sockets[own].sendto(order["data"].encode("latin-1"), tuple(order["to"]))


if __name__ == "__main__":
    serve()
