"""A user agent that is baresip, driven by its control port: one call. It knows no session timers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/opt/stacks")
import agent_arguments

SETTINGS = """
sip_listen {local}:5060
audio_player aubridge,one
audio_source aubridge,one
audio_alert aubridge,one
ctrl_tcp_listen 127.0.0.1:4444
module_path /usr/lib/baresip/modules
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
"""


def order(connection: socket.socket, command: str, parameters: str = "") -> None:
    """One command to the control port, which speaks JSON in netstrings."""
    text = json.dumps({"command": command, "params": parameters, "token": "1"})
    connection.sendall(f"{len(text)}:{text},".encode())


def connect() -> socket.socket:
    """The control port, as soon as baresip listens there."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", 4444))
        except ConnectionRefusedError:
            time.sleep(0.05)


def main() -> None:
    wanted = agent_arguments.read()
    folder = Path("/tmp/baresip")  # noqa: S108 - inside a container of its own
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(SETTINGS.format(local=wanted.local), encoding="utf-8")
    (folder / "accounts").write_text(
        f"<sip:baresip@{wanted.local}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1\n", encoding="utf-8"
    )
    (folder / "contacts").write_text("", encoding="utf-8")
    agent = subprocess.Popen(["/usr/bin/baresip", "-f", str(folder)], stdin=subprocess.PIPE)  # noqa: S603
    connection = connect()
    print("ready", flush=True)
    if wanted.call:
        order(connection, "dial", f"sip:{wanted.call}@{wanted.edge}")
    if wanted.hold_after:
        time.sleep(wanted.hold_after)
        print("hold", flush=True)
        order(connection, "hold")
    agent.wait()


if __name__ == "__main__":
    main()
