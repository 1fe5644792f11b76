"""Runs in the lab's network: sockets that a test on the host speaks through, one JSON object a line.

In: ``{"from": [address, port], "to": [address, port], "over": transport, "data": text}``; what is named for
the first time is opened. Out: the same form for each message that comes in, and once without text when a
socket is open. Text is the message's octets as ISO 8859-1. ``over`` is udp, tcp, tls or ws. A listener for
TLS needs CERTIFICATE and CERTIFICATE_KEY.
"""

import base64
import json
import os
import re
import select
import socket
import ssl
import sys
import threading
from collections.abc import Iterator

Address = tuple[str, int]

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*(\d+)", re.IGNORECASE)
_writing = threading.Lock()


def tell(source: Address, own: Address, over: str, data: bytes) -> None:
    line = {"from": source[:2], "to": own, "over": over, "data": data.decode("latin-1")}
    with _writing:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def listen_for_datagrams(own: Address, udp: socket.socket) -> None:
    while True:
        data, source = udp.recvfrom(65535)
        tell(source, own, "udp", data)


def messages(stream: "socket.socket | Secure") -> Iterator[bytes]:
    """The SIP messages of a stream (RFC 3261 18.3), until it ends."""
    unread = b""
    while data := stream.recv(65535):
        unread = (unread + data).lstrip(b"\r\n")  # keep-alives of RFC 5626
        while (head := unread.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(unread[:head])
            end = head + 4 + (int(length[1]) if length else 0)
            if len(unread) < end:
                break
            yield unread[:end]
            unread = unread[end:].lstrip(b"\r\n")


class WebSocket:
    """The client's end (RFC 6455, RFC 7118)."""

    def __init__(self, stream: socket.socket, host: str) -> None:
        self._stream = stream
        self._unread = b""
        key = base64.b64encode(os.urandom(16)).decode()
        rows = (
            "GET / HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Protocol: sip",
            "Sec-WebSocket-Version: 13",
        )
        stream.sendall(("\r\n".join(rows) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self._unread:
            self._unread += stream.recv(65535)
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    def sendall(self, data: bytes, kind: int = 1) -> None:
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        covered = bytes(octet ^ mask[at % 4] for at, octet in enumerate(data))
        self._stream.sendall(bytes([0x80 | kind]) + size + mask + covered)

    def messages(self) -> Iterator[bytes]:
        while True:
            kind = self._take(1)[0] & 15
            size = self._take(1)[0] & 127
            if size > 125:
                size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
            data = self._take(size)
            if kind == 8:
                return
            if kind == 9:
                self.sendall(data, 10)
            elif kind in (1, 2):
                yield data

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            data = self._stream.recv(65535)
            if not data:
                raise ConnectionError
            self._unread += data
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken


class Secure:
    """A TLS connection that one thread reads while another writes: OpenSSL allows one of them at a time.

    Where both were in it at once, the connection stood still at times, and every call on it with it.
    """

    def __init__(self, stream: ssl.SSLSocket) -> None:
        stream.settimeout(0)
        self._stream = stream
        self._one = threading.Lock()

    def recv(self, size: int) -> bytes:
        while True:
            with self._one:
                try:
                    return self._stream.recv(size)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
            self._wait(select.POLLIN)

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        with self._one:
            while left:
                try:
                    left = left[self._stream.send(left) :]
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN)
                except ssl.SSLWantWriteError:
                    self._wait(select.POLLOUT)

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._stream, event)
        poll.poll(1000)  # the other thread may have taken what came


Stream = socket.socket | Secure | WebSocket


class Streams:
    """Connections: what goes to a host goes over the one that was used with it last."""

    def __init__(self) -> None:
        self._listening: set[tuple[str, Address]] = set()
        self._open: dict[tuple[str, Address, str], Stream] = {}

    def listen(self, over: str, own: Address) -> None:
        if (over, own) in self._listening:
            return
        self._listening.add((over, own))
        if over == "ws":
            return
        family = socket.AF_INET6 if ":" in own[0] else socket.AF_INET
        server = socket.create_server(own, family=family)
        threading.Thread(target=self._accept, args=(server, over, own), daemon=True).start()

    def send(self, over: str, own: Address, to: Address, data: bytes) -> None:
        stream = self._open.get((over, own, to[0]))
        if stream is not None:
            try:
                stream.sendall(data)
            except OSError:
                pass  # it was closed meanwhile
            else:
                return
        plain = socket.create_connection(to, timeout=20, source_address=(own[0], 0))
        plain.settimeout(None)
        stream = plain
        if over == "tls":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            stream = Secure(context.wrap_socket(plain))
        elif over == "ws":
            stream = WebSocket(plain, to[0])
        self._begin(stream, over, own, to).sendall(data)

    def _accept(self, server: socket.socket, over: str, own: Address) -> None:
        while True:
            # A handshake that takes long, or fails, is nothing to the next connection.
            threading.Thread(target=self._welcome, args=(*server.accept(), over, own), daemon=True).start()

    def _welcome(self, plain: socket.socket, source: Address, over: str, own: Address) -> None:
        stream: Stream = plain
        if over == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.environ["CERTIFICATE"], os.environ["CERTIFICATE_KEY"])
            stream = Secure(context.wrap_socket(plain, server_side=True))
        self._begin(stream, over, own, source)

    def _begin(self, stream: Stream, over: str, own: Address, far: Address) -> Stream:
        self._open[over, own, far[0]] = stream
        threading.Thread(target=self._read, args=(stream, over, own, far), daemon=True).start()
        return stream

    def _read(self, stream: Stream, over: str, own: Address, far: Address) -> None:
        try:
            for message in stream.messages() if isinstance(stream, WebSocket) else messages(stream):
                tell(far, own, over, message)
        except OSError:
            pass  # it has ended
        if self._open.get((over, own, far[0])) is stream:
            del self._open[over, own, far[0]]


def serve() -> None:
    sockets: dict[Address, socket.socket] = {}
    streams = Streams()
    for line in sys.stdin:
        order = json.loads(line)
        own: Address = tuple(order["from"])
        over, to, data = order["over"], tuple(order["to"]), order["data"].encode("latin-1")
        if over != "udp":
            streams.listen(over, own)
            if data:
                streams.send(over, own, to, data)
            else:
                tell(own, own, over, b"")
            continue
        if own not in sockets:
            family = socket.AF_INET6 if ":" in own[0] else socket.AF_INET
            udp = sockets[own] = socket.socket(family, socket.SOCK_DGRAM)
            udp.bind(own)
            threading.Thread(target=listen_for_datagrams, args=(own, udp), daemon=True).start()
        if data:
            sockets[own].sendto(data, to)
        else:
            tell(own, own, over, b"")


if __name__ == "__main__":
    serve()
