"""The program that speaks for a test in the lab's network, here on the loopback."""

from __future__ import annotations

import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.peers import inside_sockets

HOST = "127.0.0.1"


@contextmanager
def program(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """It runs, with a certificate of its own in ``folder``, and is ended."""
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lab"
    line = f"{new} -keyout {folder}/key -out {folder}/certificate"
    subprocess.run(shlex.split(line), check=True, capture_output=True)
    certificate = {"CERTIFICATE": f"{folder}/certificate", "CERTIFICATE_KEY": f"{folder}/key"}
    with subprocess.Popen(
        [sys.executable, "-u", inside_sockets.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | certificate,
    ) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()
        running.wait(10)


def free(host: str = HOST) -> tuple[str, int]:
    with socket.create_server((host, 0)) as server:
        return host, server.getsockname()[1]


def order(running: subprocess.Popen[str], own: tuple[str, int], to: tuple[str, int], data: str = "") -> None:
    assert running.stdin is not None
    running.stdin.write(json.dumps({"from": own, "to": to, "over": "tls", "data": data}) + "\n")
    running.stdin.flush()


def told(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return str(json.loads(running.stdout.readline())["data"])


def test_a_handshake_that_is_never_begun_holds_nobody_up(tmp_path: Path) -> None:
    own = free()
    with program(tmp_path) as running:
        order(running, own, own)
        assert told(running) == ""  # it listens
        context = ssl.create_default_context(cafile=f"{tmp_path}/certificate")
        context.check_hostname = False
        with (
            socket.create_connection(own),
            socket.create_connection(own, timeout=10) as second,
            context.wrap_socket(second) as secure,
        ):
            secure.sendall(b"OPTIONS sip:lab SIP/2.0\r\nContent-Length: 0\r\n\r\n")
            assert told(running).startswith("OPTIONS sip:lab")


def test_what_goes_out_over_tls_while_something_comes_in_arrives_whole(tmp_path: Path) -> None:
    """OpenSSL lets one thread at a time into a connection; with two in it, it stood still or crashed."""
    one, other = free(), free("127.0.0.2")
    sent = [f"OPTIONS sip:{n} SIP/2.0\r\nX: {'x' * 3000}\r\nContent-Length: 0\r\n\r\n" for n in range(300)]
    with program(tmp_path) as running:
        order(running, one, one)
        order(running, other, other)
        assert [told(running), told(running)] == ["", ""]
        order(running, one, other, sent[0])
        came = [told(running)]  # from now on the other end has this connection, too
        for text in sent[1:]:
            order(running, one, other, text)
            order(running, other, one, text)
        came += [told(running) for _ in range(2 * len(sent) - 2)]
    assert sorted(came) == sorted([*sent, *sent[1:]])
