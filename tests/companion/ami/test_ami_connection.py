"""Reaching Asterisk, over TLS too, and coming back to it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_timer_companion.ami.client import (
    AmiAccount,
    AmiAccountError,
    AmiError,
    AmiMessage,
    AmiUnavailable,
    Backoff,
    TlsSettings,
)

from tests.companion.fakes.clients import Client, until
from tests.companion.fakes.fake_asterisk import FakeAsterisk

# Logging in


async def test_over_plain_tcp_the_secret_stays_off_the_wire(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    assert ami.up
    assert asterisk.logged_in == 1
    assert [action.name for action in asterisk.received] == ["Challenge", "Login"]
    assert not any("s3cret" in value for action in asterisk.received for value in action.headers.values())


async def test_only_the_classes_and_events_asked_for_arrive(asterisk: FakeAsterisk, client: Client) -> None:
    heard: list[str] = []
    ami = client(
        events={"Hangup", "Rename"},
        on_event=lambda event: heard.append(event.event),
        event_classes="call",
    )
    await ami.connect()
    for name, event_class in [
        ("Rename", "call"),
        ("Newexten", "call"),
        ("Rename", "system"),
        ("Hangup", "call"),
    ]:
        asterisk.emit(name, {}, event_class)
    await until(lambda: "Hangup" in heard, "the last event")
    assert heard == ["Rename", "Hangup"]
    assert asterisk.seen("Login")[0]["Events"] == "call"


async def test_without_a_callback_no_events_are_asked_for(asterisk: FakeAsterisk, client: Client) -> None:
    await client().connect()
    assert asterisk.seen("Login")[0]["Events"] == "off"


async def test_on_up_comes_before_the_first_event_and_on_down_after_the_last(
    asterisk: FakeAsterisk, client: Client
) -> None:
    story: list[str] = []
    asterisk.on_action = lambda action: (
        b"Response: Success\r\n{id}\r\nEvent: Hangup\r\nUniqueid: early\r\n\r\n"
        if action.name == "Login"
        else None
    )
    ami = client(
        events={"Hangup"},
        on_event=lambda event: story.append(event.text("Uniqueid")),
        on_up=lambda: story.append("up"),
        on_down=lambda _error: story.append("down"),
    )
    await ami.connect()
    asterisk.send(b"Event: Hangup\r\nUniqueid: 1.1\r\n\r\n")
    await until(lambda: "1.1" in story, "the event")
    asterisk.drop()
    await until(lambda: asterisk.connections == 2 and ami.up, "reconnected")
    assert story == ["up", "1.1", "down", "up"]
    await ami.aclose()
    assert story[-1] == "up"


# Finding that it cannot be reached


async def test_nobody_listens(asterisk: FakeAsterisk, client: Client) -> None:
    await asterisk.stop()
    ami = client()
    with pytest.raises(AmiUnavailable, match=r"AMI ast1 \(127\.0\.0\.1:\d+\): .*check that Asterisk runs"):
        await ami.connect()
    assert not ami.up


@pytest.mark.parametrize("host", ["a..b", "no-such-host.invalid"])
async def test_a_host_name_that_leads_nowhere(client: Client, host: str) -> None:
    with pytest.raises(AmiUnavailable, match="check that Asterisk runs"):
        await client(host=host).connect()


async def test_an_action_right_after_the_loss_says_why(asterisk: FakeAsterisk, client: Client) -> None:
    reasons: list[str] = []

    def note(_event: AmiMessage) -> None:
        asterisk.drop()

    ami = client(events={"Hangup"}, on_event=note)
    await ami.connect()
    asterisk.emit("Hangup", {})
    while not reasons:
        try:
            await ami.action("Ping")
        except AmiUnavailable as error:
            reasons.append(str(error))
    assert "connection closed by Asterisk" in reasons[0]


@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"Asterisk\r\n", b"HTTP/1.1 400 Bad Request\r\n"]
)
async def test_something_else_listens(asterisk: FakeAsterisk, client: Client, greeting: bytes) -> None:
    asterisk.greeting = greeting
    with pytest.raises(AmiUnavailable, match=r"not AMI .it says .*check host and port"):
        await client().connect()
    assert asterisk.received == []


async def test_something_listens_and_says_nothing(asterisk: FakeAsterisk, client: Client) -> None:
    asterisk.greeting = b""
    with pytest.raises(AmiUnavailable, match=r"no AMI login within 0\.05 s; check that this is the AMI port"):
        await client(connect_timeout=0.05).connect()


async def test_the_login_is_never_answered(asterisk: FakeAsterisk, client: Client) -> None:
    asterisk.silent = True
    with pytest.raises(AmiUnavailable, match=r"no AMI login within 0\.05 s"):
        await client(connect_timeout=0.05).connect()


async def test_the_connection_is_cut_at_login(asterisk: FakeAsterisk, client: Client) -> None:
    asterisk.drop_on = frozenset({"Login"})
    with pytest.raises(AmiUnavailable, match="closed by Asterisk"):
        await client().connect()


async def test_a_stream_without_end_of_message_is_given_up(asterisk: FakeAsterisk, client: Client) -> None:
    downs: list[AmiError] = []
    ami = client(on_down=downs.append)
    await ami.connect()
    asterisk.send(b"x" * (5 * 1024 * 1024))
    await until(lambda: downs, "the endless message noticed")
    assert "without the end of a message" in str(downs[0])


@pytest.mark.parametrize(
    ("key", "value"), [("host", ""), ("username", "a\r\nb"), ("secret", ""), ("port", 0), ("port", 65536)]
)
def test_an_account_that_cannot_work_is_refused(key: str, value: object) -> None:
    settings = {"name": "ast1", "host": "h", "username": "u", "secret": "s"} | {key: value}
    with pytest.raises(AmiAccountError, match=key):
        AmiAccount(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", ".", ".example"])
def test_a_tls_name_that_is_no_name(name: str) -> None:
    with pytest.raises(AmiAccountError, match=r"tls\.server_name"):
        TlsSettings(server_name=name)


def test_an_account_does_not_print_its_secret() -> None:
    assert "s3cret" not in repr(AmiAccount("ast1", "h", "u", "s3cret"))


# Coming back


async def test_start_connects_as_soon_as_asterisk_is_there(asterisk: FakeAsterisk, client: Client) -> None:
    await asterisk.stop()
    ami = client()
    ami.start()
    await until(lambda: ami.last_error is not None, "a failed attempt")
    await asterisk.start()
    await until(lambda: ami.up, "connected")
    assert asterisk.connections == 1


async def test_connect_and_start_again_change_nothing(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    ami.start()
    await ami.connect()
    await ami.action("Ping")
    assert asterisk.connections == 1


async def test_the_age_of_the_last_answer_is_known_while_up(asterisk: FakeAsterisk, client: Client) -> None:
    now = asyncio.get_running_loop().time
    ami = client(ping_interval=0.01)
    assert ami.answered_at is None
    before = now()
    await ami.connect()
    assert before <= (ami.answered_at or 0) <= now()
    later = now()
    await until(lambda: (ami.answered_at or 0) > later, "a pong later than the login")
    await asterisk.stop()
    await until(lambda: ami.answered_at is None, "no answer from a connection that is gone")


async def test_a_restart_of_asterisk_is_outlived(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    for count in (1, 2, 3):
        await asterisk.stop()
        await until(lambda: not ami.up, "down")
        await asterisk.start()
        await until(lambda: ami.up, "up again")
        assert asterisk.connections == 1 + count
        assert (await ami.action("Ping")).ok


async def test_the_waits_grow_to_the_ceiling_and_start_anew_after_a_good_connection(
    asterisk: FakeAsterisk, client: Client
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    backoff = Backoff(first=1.0, ceiling=6.0)
    ami = client(backoff=backoff, sleep=sleep, draw=lambda: 0.0, ping_interval=0.01)
    await ami.connect()
    await until(lambda: len(asterisk.seen("Ping")) >= 2, "a pong")
    await asterisk.stop()
    await until(lambda: len(waits) >= 6, "several attempts")
    await asterisk.start()
    await until(lambda: ami.up, "back")
    assert waits[:6] == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]
    pings = len(asterisk.seen("Ping"))
    await until(lambda: len(asterisk.seen("Ping")) >= pings + 2, "a pong on the new connection")
    waits.clear()
    asterisk.drop()
    await until(lambda: waits, "the next reconnect")
    assert waits[0] == 0.5


async def test_a_connection_that_dies_after_each_login_is_not_remade_in_a_hurry(
    asterisk: FakeAsterisk, client: Client
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    ami = client(
        backoff=Backoff(first=1.0, ceiling=100.0), sleep=sleep, draw=lambda: 0.0, on_up=asterisk.drop
    )
    await ami.connect()
    await until(lambda: len(waits) >= 5, "five losses")
    assert waits[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]


@given(st.integers(0, 100_000), st.floats(0, 1, exclude_max=True), st.booleans())
def test_a_wait_is_between_half_and_all_of_its_step(attempt: int, draw: float, refused: bool) -> None:
    backoff = Backoff(first=0.25, ceiling=10.0, refused=30.0)
    step = 30.0 if refused else min(10.0, 0.25 * 2.0 ** min(attempt, 10))
    assert step / 2 <= backoff.delay(attempt, draw, refused=refused) <= step


# Closing


async def test_close_ends_actions_under_way(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    asterisk.silent = True
    waiting = asyncio.ensure_future(ami.action("Ping"))
    await until(lambda: asterisk.seen("Ping"), "the ping received")
    await ami.aclose()
    with pytest.raises(AmiUnavailable, match="closed by us"):
        await waiting
    await until(lambda: not asterisk.serving, "the connection closed")
    await ami.aclose()


async def test_what_was_sent_before_close_still_arrives(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    value = "x" * 900
    sent = asyncio.gather(
        *(ami.action("Setvar", Variable="v", Value=value, timeout=30.0) for _ in range(40)),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    await ami.aclose()
    await sent
    assert len(asterisk.seen("Setvar")) == 40


async def test_close_waits_for_no_peer_that_does_not_read(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    asterisk.stop_reading()
    stuck = asyncio.ensure_future(
        ami.pipelined([("Setvar", {"Variable": "v", "Value": "x" * 1000})] * 15_000, timeout=60.0)
    )
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ami.aclose()
    with pytest.raises(AmiUnavailable):
        await stuck


# TLS


@pytest.fixture
def tls(asterisk: FakeAsterisk, certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What Asterisk's side needs; `asterisk.tls` takes it at the next start."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    asterisk.tls = context
    return context


async def again(asterisk: FakeAsterisk) -> None:
    await asterisk.stop()
    await asterisk.start()


@pytest.mark.usefixtures("tls")
async def test_tls_with_the_right_ca_and_name(
    asterisk: FakeAsterisk, client: Client, certificate: tuple[Path, Path]
) -> None:
    await again(asterisk)
    names: list[str] = []
    ami = client(
        tls=TlsSettings(ca_file=str(certificate[0]), server_name="ast1.example"),
        events={"Hangup"},
        on_event=lambda event: names.append(event.text("Channel")),
    )
    await ami.connect()
    assert (await ami.action("Ping")).text("Ping") == "Pong"
    asterisk.chunk = 1
    asterisk.emit("Hangup", {"Channel": "Zoë"})
    await until(lambda: names == ["Zoë"], "the event")
    asterisk.drop()
    await until(lambda: asterisk.connections == 2 and ami.up, "reconnected over TLS")


@pytest.mark.usefixtures("tls")
async def test_tls_verifies_by_default(
    asterisk: FakeAsterisk, client: Client, certificate: tuple[Path, Path]
) -> None:
    await again(asterisk)
    for settings in (TlsSettings(server_name="ast1.example"), TlsSettings(ca_file=str(certificate[0]))):
        with pytest.raises(AmiUnavailable, match=r"certificate not accepted: .*check tls\.ca_file"):
            await client(tls=settings).connect()
    assert asterisk.received == []


@pytest.mark.usefixtures("tls")
async def test_tls_unverified_is_an_explicit_choice(asterisk: FakeAsterisk, client: Client) -> None:
    await again(asterisk)
    ami = client(tls=TlsSettings(verify=False))
    await ami.connect()
    assert ami.up


@pytest.mark.usefixtures("tls")
async def test_tls_on_one_side_only(
    asterisk: FakeAsterisk, client: Client, certificate: tuple[Path, Path]
) -> None:
    with pytest.raises(AmiUnavailable, match=r"TLS failed: .*check that this is its TLS port"):
        await client(tls=TlsSettings(ca_file=str(certificate[0])), connect_timeout=1.0).connect()
    await again(asterisk)
    with pytest.raises(AmiUnavailable, match=r"AMI login within|closed by Asterisk"):
        await client(connect_timeout=0.2).connect()


def test_a_ca_file_that_is_missing_or_no_certificate_is_said_at_once(client: Client, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (tmp_path / "missing.pem", empty):
        with pytest.raises(AmiAccountError, match=rf"tls\.ca_file {path}: .*PEM file"):
            client(tls=TlsSettings(ca_file=str(path)))
