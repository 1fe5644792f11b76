"""Sends one UDP datagram and prints what comes back: ``datagram.py HOST PORT TEXT``."""

import socket
import sys


def ask(host: str, port: int, question: str) -> str:
    """The answer to one datagram; OSError if none comes within two seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.connect((host, port))
        udp.send(question.encode())
        return udp.recv(65535).decode()


if __name__ == "__main__":
    try:
        print(ask(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
    except OSError as error:
        sys.exit(f"no answer from {sys.argv[1]}:{sys.argv[2]}: {error}")
