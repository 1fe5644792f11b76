"""Why HTTP cannot be served, and what of the configuration would mend it."""

from __future__ import annotations

import socket

import pytest
from session_timer_companion.http.sockets import HttpError, listening


def refusal(host: str, port: int) -> str:
    with pytest.raises(HttpError) as caught, listening(host, port):
        pass
    return str(caught.value)


def test_a_port_in_use_is_perhaps_another_companions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        told = refusal("127.0.0.1", other.getsockname()[1])
    assert "is another companion running? Set companion.http.port" in told


@pytest.mark.parametrize("host", ["192.0.2.1", ""])
def test_an_address_that_is_not_ours_is_no_other_companions(host: str) -> None:
    told = refusal(host, 8080)
    assert "another companion" not in told
    assert "companion.http.host" in told
