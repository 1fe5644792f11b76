"""Logs in to AMI and prints the first line of each answer and event until it is killed."""

from __future__ import annotations

import socket
import sys

host, username, secret = sys.argv[1:]
with (
    socket.create_connection((host, 5038)) as ami,
    ami.makefile("r", encoding="utf-8", newline="\r\n") as lines,
):
    ami.sendall(f"Action: Login\r\nUsername: {username}\r\nSecret: {secret}\r\n\r\n".encode())
    for line in lines:
        if line.startswith(("Response: ", "Event: ")):
            print(line.strip(), flush=True)
