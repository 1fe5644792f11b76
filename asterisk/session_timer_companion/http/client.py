"""Asks the running companion over HTTP, for the commands that look at it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from session_timer_companion.api import NO_CALL, RefreshReport, ShownSession
from session_timer_companion.printable import printable

if TYPE_CHECKING:
    from session_timer_companion.config import Http

TIMEOUT = 10.0
"""Seconds for one answer; a refresh by hand may take more than half of them."""

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

    def sessions(self) -> list[ShownSession]:
        """Every tracked call."""
        return cast("list[ShownSession]", self._calls("GET", "/sessions"))

    def session(self, call_id: str) -> list[ShownSession]:
        """The calls with this Call-ID. Raises `NotFoundError` for none."""
        return cast("list[ShownSession]", self._calls("GET", _path(call_id)))

    def refresh(self, call_id: str) -> list[RefreshReport]:
        """Refresh the calls with this Call-ID now. Raises `NotFoundError` for none."""
        return cast("list[RefreshReport]", self._calls("POST", f"{_path(call_id)}/refresh"))

    def resume(self) -> bool:
        """Release the brake on hang-ups; whether it was on."""
        report = self._json("POST", "/resume")
        if not isinstance(report, dict) or "was_on" not in report:
            raise ClientError(f"{self.url} answers, but is no companion")
        return bool(report["was_on"])

    def readiness(self) -> dict[str, Any]:
        """What the companion says of itself and of what it depends on."""
        report = self._json("GET", "/readyz", accept=(200, 503))
        if not isinstance(report, dict) or "asterisk" not in report:
            raise ClientError(f"{self.url} answers, but is no companion")
        return report

    def metrics(self) -> str:
        """Its metrics in Prometheus' text format."""
        return self._ask("GET", "/metrics").decode()

    def _calls(self, method: str, path: str) -> list[dict[str, Any]]:
        told = self._json(method, path)
        if isinstance(told, list) and all(isinstance(each, dict) and "call_id" in each for each in told):
            return told
        raise ClientError(f"{self.url} answers, but is no companion")

    def _json(self, method: str, path: str, accept: tuple[int, ...] = (200,)) -> object:
        body = self._ask(method, path, accept)
        try:
            return json.loads(body)
        except ValueError:
            raise ClientError(f"{self.url}{path} does not answer in JSON: is this the companion?") from None

    def _ask(self, method: str, path: str, accept: tuple[int, ...] = (200,)) -> bytes:
        try:
            place = urlsplit(self.url)
            port = 80 if place.port is None else place.port
        except ValueError:
            place, port = urlsplit(""), 0
        if place.scheme != "http" or not place.hostname or port == 0:
            raise ClientError(f"{self.url!r} is no address of a companion: write http://127.0.0.1:8080")
        connection = http.client.HTTPConnection(place.hostname, port, timeout=self.timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ClientError(
                f"no companion answers at {self.url}: {reason}. Start it "
                "(`systemctl start session-timer-companion`), or name its address with --url"
            ) from None
        finally:
            connection.close()
        if answer.status in accept:
            return body
        said = printable(" ".join(body.decode(errors="replace").split()))
        if answer.status == 404 and said.startswith(NO_CALL):
            raise NotFoundError(said)
        raise ClientError(f"{self.url}{path} answers {answer.status}: {said[:200]}")


def _path(call_id: str) -> str:
    # Bytes of the command line that are no UTF-8: read as AMI's are.
    known = call_id.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return f"/sessions/{quote(known, safe='')}"


def address(settings: Http) -> str:
    """The URL at which a companion with these settings is asked from its own host."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
