"""Whoever answers in the companion's place, and whatever an operator types: one clear line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from session_timer_companion.http.client import Client, ClientError


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything with this: its URL, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://pbx..example:8080", f"http://{'x' * 64}", "http://[fe80::ab]"]
)
def test_an_address_that_none_can_be_is_told(url: str) -> None:
    with pytest.raises(ClientError, match=r"127\.0\.0\.1:8080|--url"):
        Client(url).sessions()


@pytest.mark.parametrize("said", [{"a": 1}, [1], None, [{"name": "other"}]])
def test_json_of_another_program_is_told_from_a_companions(said: object) -> None:
    with answering(json.dumps(said).encode()) as (url, _):
        client = Client(url)
        for question in (client.sessions, lambda: client.session("x"), lambda: client.refresh("x")):
            with pytest.raises(ClientError, match="is no companion"):
                question()


def test_an_error_page_of_another_program_is_one_line() -> None:
    with answering(b"<html>\n<p>\x1b[31mnot here\n</html>\n", 404) as (url, _):
        for question in (Client(url).sessions, lambda: Client(url).session("x")):
            with pytest.raises(ClientError) as caught:
                question()
            assert "answers 404, but is no companion: another program has that port" in str(caught.value)
            assert str(caught.value).isprintable()


def test_a_call_id_that_is_not_utf_8_is_asked_for_as_ami_told_of_it() -> None:
    typed = b"a\xffb".decode("utf-8", "surrogateescape")  # as Python has it of a command line
    with answering(b"[]") as (url, asked):
        Client(url).session(typed)
        Client(url).refresh(typed)
    assert asked == ["/sessions/a%EF%BF%BDb", "/sessions/a%EF%BF%BDb/refresh"]
