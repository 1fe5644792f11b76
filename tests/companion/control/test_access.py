"""Who may ask for what over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from session_timer_companion.http.access import Access
from session_timer_companion.http.settings import is_loopback

from tests.companion.operator.test_config import problems, read

GOOD = """
companion:
  ami:
    - {name: ast1, host: 198.18.0.20, secret: pass-word, alone: true}
"""

TOKEN = "0123456789abcdef"  # noqa: S105  # of these tests
OPEN = Access.of(None, ("127.0.0.1", "ast.example"))
GUARDED = Access.of(TOKEN, ("0.0.0.0",))  # noqa: S104  # where it listens


def status(access: Access, method: str = "GET", path: str = "/sessions", **headers: str) -> int | None:
    refusal = access.refusal(method, path, {name.replace("_", "-"): value for name, value in headers.items()})
    return refusal.status if refusal else None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "192.0.2.7",
        "ast.example",
        "ast.example.",
    ],
)
def test_our_names_and_any_address_are_served(host: str) -> None:
    assert status(OPEN, Host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "]", "127.0.0.1.evil.example"]
)
def test_a_name_that_is_not_ours_is_refused_whatever_it_resolves_to(host: str) -> None:
    assert status(OPEN, Host=host) == 421
    assert status(GUARDED, Host=host, Authorization=f"Bearer {TOKEN}") == 421


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8080"},
        {"Origin": "https://localhost:8080", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_a_command_and_our_own_page_may_act(headers: dict[str, str]) -> None:
    assert status(OPEN, "POST", "/pause", Host="localhost:8080", **headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9090"},
        {"Origin": "http://localhost:8080", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_page_may_not_act_even_with_the_token(headers: dict[str, str]) -> None:
    assert status(OPEN, "POST", "/pause", Host="localhost:8080", **headers) == 403
    bearer = f"Bearer {TOKEN}"
    assert status(GUARDED, "POST", "/pause", Host="localhost:8080", Authorization=bearer, **headers) == 403


@pytest.mark.parametrize("path", ["/sessions", "/overview", "/metrics", "/sessions/x/log"])
@pytest.mark.parametrize(
    "given", ["", TOKEN, "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \udcff", "Bearer ümlaut"]
)
def test_without_the_token_nothing_is_seen_and_nothing_is_done(path: str, given: str) -> None:
    headers = {"Authorization": given} if given else {}
    assert status(GUARDED, "GET", path, Host="localhost", **headers) == 401
    assert status(GUARDED, "POST", path, Host="localhost", **headers) == 401


def test_with_the_token_everything_is() -> None:
    assert status(GUARDED, "POST", "/pause", Host="192.0.2.7:8080", Authorization=f"bearer {TOKEN}") is None


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_the_empty_page_and_health_need_no_token(path: str) -> None:
    assert status(GUARDED, "GET", path, Host="localhost") is None


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.0.2.1", False),
        ("ast.example", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "ast.example"])  # noqa: S104
def test_it_does_not_open_itself_to_others_without_a_token(tmp_path: Path, host: str) -> None:
    found = problems(tmp_path, f"{GOOD}  http: {{host: {host!r}}}\n")
    assert set(found) == {"companion.http"}
    assert host in found["companion.http"]
    assert "token_file" in found["companion.http"]


def test_with_a_token_it_does_and_the_token_shows_nowhere(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    configuration = read(
        tmp_path, f"{GOOD}  http: {{host: 0.0.0.0, token_file: token, hosts: [ast.example]}}\n"
    )
    assert configuration.http_token == TOKEN
    assert TOKEN not in repr(configuration)


def test_a_token_may_be_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "http").write_text(f"{TOKEN}\n")
    text = f"{GOOD}  http: {{token_credential: http}}\n"
    assert read(tmp_path, text, CREDENTIALS_DIRECTORY=str(tmp_path)).http_token == TOKEN
    assert "CREDENTIALS_DIRECTORY" in problems(tmp_path, text)["companion.http"]


@pytest.mark.parametrize("token", ["", "short", "with-an-umläut-in-it", "x" * 20 + "\x1b"])
def test_a_token_that_can_be_guessed_or_sent_by_no_header_is_refused(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    assert "companion.http" in problems(tmp_path, f"{GOOD}  http: {{token_file: token}}\n")


def test_one_place_of_the_token_is_enough(tmp_path: Path) -> None:
    found = problems(tmp_path, f"{GOOD}  http: {{token_file: a, token_credential: b}}\n")
    assert "not both" in found["companion.http"]
