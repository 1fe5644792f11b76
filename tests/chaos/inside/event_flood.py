"""Makes Asterisk tell every manager of many events at once: ``event_flood.py HOST USER SECRET COUNT``."""

import socket
import sys


def flood(host: str, user: str, secret: str, count: int) -> None:
    """Raises OSError where Asterisk refuses."""
    with socket.create_connection((host, 5038), timeout=60) as connection:
        stream = connection.makefile("rwb")
        stream.readline()  # the greeting
        stream.write(f"Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\nEvents: off\r\n\r\n".encode())
        stream.flush()
        if b"Success" not in stream.readline():
            raise OSError("login refused")
        sent = answered = 0
        while answered < count:
            # A thousand are under way, or Asterisk drops a client that does not read.
            while sent < min(count, answered + 1000):
                stream.write(b"Action: UserEvent\r\nUserEvent: chaos\r\nNumber: %d\r\n\r\n" % sent)
                sent += 1
            stream.flush()
            row = stream.readline()
            if not row:
                raise OSError("the connection was closed")
            answered += row.startswith(b"Response: Success")


if __name__ == "__main__":
    try:
        flood(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    except OSError as error:
        sys.exit(f"AMI: {error}")
