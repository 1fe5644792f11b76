"""Where HTTP is served: the sockets are taken before any call is touched, and served when there is time.

So a second companion beside a running one ends before it does anything. What serves them (`server.py`) takes
longer to import than all else, and is imported when every call is tracked.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator


class HttpError(Exception):
    """The address cannot be served: why, and what to do."""


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """A socket for each address of `host`, until the end of the block; whoever connects waits.

    Raises `HttpError`.
    """
    with contextlib.ExitStack() as stack:
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            doors = [
                stack.enter_context(socket.create_server(place[:2], family=family))
                for family, _, _, _, place in places
            ]
        except OSError as error:
            mend = "set companion.http.host to an address of this host"
            if error.errno == errno.EADDRINUSE:
                mend = "is another companion running? Set companion.http.port"
            raise HttpError(
                f"companion.http: cannot listen on {host}:{port}: {error.strerror}; {mend}, or enabled: false"
            ) from None
        yield doors
