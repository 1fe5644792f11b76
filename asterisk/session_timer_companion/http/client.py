"""Asks the running companion over HTTP, for the commands that look at it."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from session_timer_companion.api import (
    NO_CALL,
    NO_PROFILE,
    ActionReport,
    CallHistory,
    RefreshReport,
    ShownSession,
)
from session_timer_companion.printable import printable, system_reason

if TYPE_CHECKING:
    from session_timer_companion.http.settings import Http

TIMEOUT = 10.0
"""Seconds for one answer; a refresh by hand may take more than half of them."""

_ELSEWHERE = "another program has that port. See companion.http.port, or name its address with --url"

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where it listens, not where we do


class ClientError(Exception):
    """The companion cannot be asked, or says no: what happened and what to do."""


class NotFoundError(ClientError):
    """It has nothing of that name."""


@dataclass(frozen=True, slots=True)
class Client:
    """The companion at `url`, such as ``http://127.0.0.1:8080``. Every method raises `ClientError`."""

    url: str
    timeout: float = TIMEOUT
    token: str | None = field(default=None, repr=False)
    """What it wants to see before it says or does anything."""

    def sessions(self) -> list[ShownSession]:
        """Every tracked call."""
        return cast("list[ShownSession]", self._calls("GET", "/sessions"))

    def session(self, call_id: str) -> list[ShownSession]:
        """The calls with this Call-ID. Raises `NotFoundError` for none."""
        return cast("list[ShownSession]", self._calls("GET", _path(call_id)))

    def refresh(self, call_id: str) -> list[RefreshReport]:
        """Refresh the calls with this Call-ID now. Raises `NotFoundError` for none."""
        return cast("list[RefreshReport]", self._calls("POST", f"{_path(call_id)}/refresh"))

    def log(self, call_id: str) -> list[CallHistory]:
        """What happened to the calls with this Call-ID, those that are over too. Raises `NotFoundError`."""
        return cast("list[CallHistory]", self._calls("GET", f"{_path(call_id)}/log"))

    def act(self, call_id: str, action: str) -> list[ActionReport]:
        """`hangup`, `exclude` or `resume` the calls with this Call-ID. Raises `NotFoundError` for none."""
        return cast("list[ActionReport]", self._calls("POST", f"{_path(call_id)}/{action}"))

    def hold(self, action: str) -> bool:
        """`pause` or `resume` everything; whether that changed anything."""
        told = self._json("POST", f"/{action}")
        if not isinstance(told, dict) or "changed" not in told:
            raise ClientError(f"{self.url} answers, but is no companion: {_ELSEWHERE}")
        return bool(told["changed"])

    def refresh_peer(self, peer: str, rate: float) -> Iterator[RefreshReport]:
        """Refresh the calls of a profile, `rate` a second, and give each report as it comes.

        Whoever stops asking stops the refreshes. Raises `NotFoundError` for a profile that is not known.
        """
        path = f"/peers/{quote(peer, safe='')}/refresh?rate={rate:g}"
        with self._response("POST", path) as answer:
            try:
                for line in answer:
                    yield cast("RefreshReport", json.loads(line))
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise ClientError(f"{self.url} ended the report early: {error}") from None

    def readiness(self) -> dict[str, Any]:
        """What the companion says of itself and of what it depends on."""
        report = self._json("GET", "/readyz", accept=(200, 503))
        if not isinstance(report, dict) or "asterisk" not in report:
            raise ClientError(f"{self.url} answers, but is no companion: {_ELSEWHERE}")
        return report

    def metrics(self) -> str:
        """Its metrics in Prometheus' text format."""
        return self._ask("GET", "/metrics").decode()

    def _calls(self, method: str, path: str) -> list[dict[str, Any]]:
        told = self._json(method, path)
        if isinstance(told, list) and all(isinstance(each, dict) and "call_id" in each for each in told):
            return told
        raise ClientError(f"{self.url} answers, but is no companion: {_ELSEWHERE}")

    def _json(self, method: str, path: str, accept: tuple[int, ...] = (200,)) -> object:
        body = self._ask(method, path, accept)
        try:
            return json.loads(body)
        except ValueError:
            raise ClientError(f"{self.url}{path} does not answer in JSON: {_ELSEWHERE}") from None

    def _ask(self, method: str, path: str, accept: tuple[int, ...] = (200,)) -> bytes:
        with self._response(method, path, accept) as answer:
            try:
                return answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None

    @contextlib.contextmanager
    def _response(
        self, method: str, path: str, accept: tuple[int, ...] = (200,)
    ) -> Iterator[http.client.HTTPResponse]:
        """The response with one of these statuses, its body still to be read."""
        try:
            place = urlsplit(self.url)
            port = 80 if place.port is None else place.port
        except ValueError:
            place, port = urlsplit(""), 0
        if place.scheme != "http" or not place.hostname or port == 0:
            raise ClientError(f"{self.url!r} is no address of a companion: write http://127.0.0.1:8080")
        connection = http.client.HTTPConnection(place.hostname, port, timeout=self.timeout)
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        with contextlib.closing(connection):
            try:
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                body = b"" if answer.status in accept else answer.read()
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                raise self._unreachable(error) from None
            if answer.status not in accept:
                raise self._refused(path, answer.status, body)
            yield answer

    def _unreachable(self, error: Exception) -> ClientError:
        return ClientError(
            f"no companion answers at {self.url}: {system_reason(error)}. Start it "
            "(`systemctl start session-timer-companion`), or name its address with --url"
        )

    def _refused(self, path: str, status: int, body: bytes) -> ClientError:
        said = printable(" ".join(body.decode(errors="replace").split()))
        if status == 401:
            return ClientError(
                f"{self.url} wants a token: run this as a user who may read companion.http.token_file, "
                "or name a file that has it with --token-file"
            )
        if status == 404 and said.startswith((NO_CALL, NO_PROFILE)):
            return NotFoundError(said)
        if said.startswith("<"):  # a page for a browser: the companion has none for errors
            return ClientError(f"{self.url} answers {status}, but is no companion: {_ELSEWHERE}")
        return ClientError(f"{self.url}{path} answers {status}: {said[:200]}")


def _path(call_id: str) -> str:
    # Bytes of the command line that are no UTF-8: read as AMI's are.
    known = call_id.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return f"/sessions/{quote(known, safe='')}"


def address(settings: Http) -> str:
    """The URL at which a companion with these settings is asked from its own host."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
