"""The program that speaks for a test in the lab's network, here on the loopback."""

from __future__ import annotations

import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from tests.lab.peers import inside_sockets

HOST = "127.0.0.1"


def test_a_handshake_that_is_never_begun_holds_nobody_up(tmp_path: Path) -> None:
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lab"
    line = f"{new} -keyout {tmp_path}/key -out {tmp_path}/certificate"
    subprocess.run(shlex.split(line), check=True, capture_output=True)
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    own = (HOST, port)
    environment = {
        **os.environ,
        "CERTIFICATE": f"{tmp_path}/certificate",
        "CERTIFICATE_KEY": f"{tmp_path}/key",
    }
    with subprocess.Popen(
        [sys.executable, "-u", inside_sockets.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps({"from": own, "to": own, "over": "tls", "data": ""}) + "\n")
        program.stdin.flush()
        assert json.loads(program.stdout.readline())["data"] == ""  # it listens
        context = ssl.create_default_context(cafile=f"{tmp_path}/certificate")
        context.check_hostname = False
        with (
            socket.create_connection(own),
            socket.create_connection(own, timeout=10) as second,
            context.wrap_socket(second) as secure,
        ):
            secure.sendall(b"OPTIONS sip:lab SIP/2.0\r\nContent-Length: 0\r\n\r\n")
            assert json.loads(program.stdout.readline())["data"].startswith("OPTIONS sip:lab")
        program.stdin.close()
        program.wait(10)
