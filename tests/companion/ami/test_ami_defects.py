"""What panoramisk 1.4 does wrong on its own, each shown to be gone.

Every test here was seen to fail against a bare panoramisk Manager on the same fake Asterisk.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import replace
from typing import Any

import pytest
from session_timer_companion.ami.client import (
    AmiAccount,
    AmiAccountError,
    AmiError,
    AmiHeaderError,
    AmiLoginError,
    AmiMessage,
    AmiTimeout,
    AmiUnavailable,
)

from tests.companion.fakes.clients import QUICK, Client, collect, until
from tests.companion.fakes.fake_asterisk import FakeAsterisk
from tests.companion.fakes.fake_channel import Channel


def channel(number: int = 1) -> Channel:
    return Channel(f"PJSIP/carrier-{number:08x}", f"1795340000.{number}", f"call-{number}@198.18.0.41")


async def test_a_callback_that_raises_keeps_the_connection_and_the_rest_of_the_read(
    asterisk: FakeAsterisk, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def note(event: AmiMessage) -> None:
        heard.append(event.text("Channel"))
        if len(heard) == 1:
            raise KeyError("no such session")

    faults: list[Exception] = []
    ami = client(events={"Hangup"}, on_event=note, on_fault=faults.append)
    await ami.connect()
    asterisk.send(b"".join(b"Event: Hangup\r\nChannel: PJSIP/%d\r\n\r\n" % number for number in range(3)))
    await until(lambda: len(heard) == 3, "all three events of one read")
    assert heard == ["PJSIP/0", "PJSIP/1", "PJSIP/2"]
    assert (len(faults), ami.up, asterisk.connections) == (1, True, 1)
    assert "no such session" in caplog.text


async def test_a_failing_callback_is_logged_with_its_traceback_once_a_kind(
    asterisk: FakeAsterisk, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_event: AmiMessage) -> None:
        raise KeyError("again")

    faults: list[Exception] = []
    ami = client(events={"Hangup"}, on_event=fail, on_fault=faults.append)
    await ami.connect()
    asterisk.send(b"Event: Hangup\r\n\r\n" * 500)
    await until(lambda: len(faults) == 500, "500 failures counted")
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info is not None


async def test_a_coroutine_as_callback_is_refused_because_its_failure_would_be_lost(client: Client) -> None:
    async def note(*_arguments: object) -> None: ...

    for name in ("on_event", "on_up", "on_down"):
        with pytest.raises(TypeError, match="note must be a plain function"):
            client(**{name: note})


async def test_a_failing_on_up_or_on_down_does_not_stop_the_reconnect(
    asterisk: FakeAsterisk, client: Client
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("not ready")

    faults: list[Exception] = []
    ami = client(on_up=fail, on_down=fail, on_fault=faults.append)
    await ami.connect()
    asterisk.drop()
    await until(lambda: asterisk.connections == 2 and len(faults) == 3, "back again")
    assert ami.up


async def test_a_peer_that_stops_answering_is_noticed(asterisk: FakeAsterisk, client: Client) -> None:
    downs: list[AmiError] = []
    ami = client(ping_interval=0.02, ping_timeout=0.05, connect_timeout=0.2, on_down=downs.append)
    await ami.connect()
    asterisk.silent = True
    await until(lambda: downs, "the silence noticed")
    assert "no answer to Ping within 0.05 s" in str(downs[0])
    assert not ami.up
    asterisk.silent = False
    await until(lambda: ami.up, "connected to the peer that answers again")


async def test_a_peer_that_stops_reading_is_noticed_too(asterisk: FakeAsterisk, client: Client) -> None:
    downs: list[AmiError] = []
    ami = client(ping_interval=0.02, ping_timeout=0.05, on_down=downs.append)
    await ami.connect()
    asterisk.stop_reading()
    await until(lambda: downs, "the standstill noticed")
    asterisk.read_again()
    await until(lambda: ami.up, "back")


async def test_events_alone_prove_no_answering_asterisk(asterisk: FakeAsterisk, client: Client) -> None:
    downs: list[AmiError] = []

    def note(_event: AmiMessage) -> None:
        asyncio.get_running_loop().call_later(0.005, asterisk.emit, "Hangup", {})

    ami = client(
        events={"Hangup"}, on_event=note, ping_interval=0.02, ping_timeout=0.05, on_down=downs.append
    )
    await ami.connect()
    asterisk.silent = True
    asterisk.emit("Hangup", {})
    await until(lambda: downs, "no answer for all the events")


async def test_a_ping_interval_below_a_second_is_kept_and_not_a_busy_loop(
    asterisk: FakeAsterisk, client: Client
) -> None:
    loop = asyncio.get_running_loop()
    ami = client(ping_interval=0.1)
    start = loop.time()
    await ami.connect()
    await until(lambda: len(asterisk.seen("Ping")) >= 3, "three pings")
    assert loop.time() - start >= 0.3
    assert len(asterisk.seen("Ping")) <= (loop.time() - start) / 0.1


@pytest.mark.parametrize("key", ["ping_interval", "ping_timeout", "connect_timeout", "action_timeout"])
def test_a_time_of_nothing_is_refused(key: str) -> None:
    nothing: dict[str, Any] = {key: 0}
    with pytest.raises(AmiAccountError, match=f"{key} is 0; it must be a number of seconds above 0"):
        replace(AmiAccount("ast1", "127.0.0.1", "user", "secret"), **nothing)


async def test_a_wrong_password_is_an_error_that_says_why(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client(secret="wrong")  # noqa: S106
    with pytest.raises(AmiLoginError) as caught:
        await ami.connect()
    error = caught.value
    assert (error.host, error.port, error.username) == ("127.0.0.1", asterisk.port, "session-timer")
    assert error.reason == "Authentication failed"
    assert "[session-timer] is in manager.conf" in str(error)
    assert "wrong" not in str(error)
    assert ami.last_error is error
    assert (ami.up, asterisk.connections) == (False, 1)
    assert asyncio.all_tasks() - {asyncio.current_task()} <= asterisk.serving


async def test_a_password_changed_while_connected_is_reported_and_tried_slowly(
    asterisk: FakeAsterisk, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0.001)

    ami = client(sleep=sleep, draw=lambda: 0.5)
    await ami.connect()
    asterisk.secret = "new"  # noqa: S105
    asterisk.drop()
    await until(lambda: len(waits) >= 5, "several attempts")
    assert isinstance(ami.last_error, AmiLoginError)
    assert waits[1:5] == [QUICK.refused * 0.75] * 4
    assert caplog.text.count("Authentication failed") == 1
    with pytest.raises(AmiUnavailable, match="Authentication failed"):
        await ami.action("Ping")
    asterisk.secret = "s3cret"  # noqa: S105
    await until(lambda: ami.up, "logged in with the old password again")


async def test_close_while_waiting_to_reconnect_does_not_reconnect(
    asterisk: FakeAsterisk, client: Client
) -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.sleep(seconds)

    ami = client(sleep=sleep)
    await ami.connect()
    asterisk.drop()
    await waiting.wait()
    await ami.aclose()
    assert asyncio.all_tasks() - {asyncio.current_task()} <= asterisk.serving
    assert asterisk.connections == 1
    with pytest.raises(AmiUnavailable, match="closed"):
        await ami.connect()
    with pytest.raises(AmiUnavailable, match="closed"):
        await ami.action("Ping")


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        pytest.param("Hangup", {"Channel": "x\r\n\r\nAction: Originate"}, id="a second action in a value"),
        pytest.param("Hangup", {"Channel": "x\r\nCause: 1"}, id="a second header in a value"),
        pytest.param("Hangup", {"Channel": "x\n"}, id="line feed"),
        pytest.param("Hangup", {"Channel": "x\r"}, id="carriage return"),
        pytest.param("Hangup", {"Channel": "x\0"}, id="zero"),
        pytest.param("Hangup", {"Channel": "\udc80"}, id="lone surrogate"),
        pytest.param("Hangup", {"Channel": ["x", "y\r\nAction: Originate"]}, id="in one of several values"),
        pytest.param("Hangup", {"Channel: x\r\nAction": "Originate"}, id="in a name"),
        pytest.param("Hangup", {"": "x"}, id="no name"),
        pytest.param("Hangup\r\nAction: Originate", {}, id="in the action"),
        pytest.param("Setvar", {"Value": "x" * 1016}, id="a line that Asterisk would discard"),
    ],
)
async def test_what_ami_cannot_carry_never_reaches_the_wire(
    asterisk: FakeAsterisk, client: Client, name: str, headers: dict[str, Any]
) -> None:
    ami = client()
    await ami.connect()
    logged_in = len(asterisk.received)
    with pytest.raises(AmiHeaderError) as caught:
        await ami.action(name, **headers)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(AmiHeaderError):
        await ami.pipelined([("Ping", {}), (name, headers)])
    with pytest.raises(AmiHeaderError):
        await collect(ami, name, **headers)
    await ami.action("Ping")
    assert [action.name for action in asterisk.received[logged_in:]] == ["Ping"]


async def test_the_longest_line_that_asterisk_takes_is_sent(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    asterisk.add(channel())
    value = "x" * (1024 - len("Value: \r\n"))
    answer = await ami.action("Setvar", Channel=channel().name, Variable="v", Value=value)
    assert answer.ok
    assert asterisk.channels[channel().name].variables["v"] == value


@pytest.mark.parametrize("name", ["Hangup", "Setvar", "Status"])
async def test_what_was_unanswered_at_a_disconnect_fails_and_is_never_sent_again(
    asterisk: FakeAsterisk, client: Client, name: str
) -> None:
    asterisk.drop_on = frozenset({name})
    ami = client(event_classes="system,call", events={"FullyBooted"}, on_event=lambda _event: None)
    await ami.connect()
    lost = "connection closed by Asterisk.*had no answer yet and is not sent again"
    with pytest.raises(AmiUnavailable, match=lost):
        await (
            collect(ami, name, Channel="PJSIP/1") if name == "Status" else ami.action(name, Channel="PJSIP/1")
        )
    asterisk.drop_on = frozenset()
    await until(lambda: ami.up and asterisk.connections == 2, "reconnected")
    await ami.action("Ping")
    await ami.action("Ping")
    assert len(asterisk.seen(name)) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_a_character_that_two_reads_share_survives(
    asterisk: FakeAsterisk, client: Client, size: int
) -> None:
    names: list[str] = []
    ami = client(events={"Newchannel"}, on_event=lambda event: names.append(event.text("CallerIDNum")))
    asterisk.chunk = size
    await ami.connect()
    call = channel()
    call.caller_number = "Zoë ☎ 𝄞"
    asterisk.add(call)
    await until(lambda: names, "the event")
    assert names == ["Zoë ☎ 𝄞"]
    (entry,) = await collect(ami, "Status", Variables="CHANNEL(pjsip,call-id)")
    assert entry.text("CallerIDNum") == "Zoë ☎ 𝄞"


async def test_an_action_before_connect_is_unavailable(client: Client) -> None:
    ami = client()
    for attempt in (ami.action("Ping"), collect(ami, "Status"), ami.pipelined([("Ping", {})])):
        with pytest.raises(AmiUnavailable, match="not connected yet"):
            await attempt


async def test_an_answer_that_ends_in_successfully_queued_is_complete(
    asterisk: FakeAsterisk, client: Client
) -> None:
    asterisk.on_action = lambda action: (
        b"Response: Success\r\n{id}Message: Originate successfully queued\r\n\r\n"
        if action.name == "Originate"
        else None
    )
    ami = client()
    await ami.connect()
    answer = await ami.action("Originate", Channel="Local/1@a", Async="true")
    assert (answer.ok, answer.reason) == (True, "Originate successfully queued")


async def test_a_list_that_asterisk_refuses_is_an_error_at_once(client: Client) -> None:
    ami = client()
    await ami.connect()
    with pytest.raises(AmiError, match="Asterisk refused Status: No such channel"):
        await collect(ami, "Status", Channel="PJSIP/gone")


async def test_every_action_has_a_deadline(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client(action_timeout=0.05, ping_interval=60.0)
    await ami.connect()
    asterisk.silent = True
    with pytest.raises(AmiTimeout, match=r"no answer to Setvar within 0\.05 s"):
        await ami.action("Setvar", Channel="x", Variable="y", Value="z")
    with pytest.raises(AmiTimeout, match=r"no answer to Hangup within 0\.01 s"):
        await ami.action("Hangup", Channel="x", timeout=0.01)
    with pytest.raises(AmiTimeout):
        await collect(ami, "Status")
    with pytest.raises(AmiTimeout):
        await ami.pipelined([("Ping", {}), ("Ping", {})])
    assert ami.up


async def test_an_answer_after_the_deadline_disturbs_nothing(asterisk: FakeAsterisk, client: Client) -> None:
    heard: list[AmiMessage] = []
    ami = client(events={"Status", "StatusComplete"}, on_event=heard.append)
    await ami.connect()
    asterisk.silent = True
    with pytest.raises(AmiTimeout):
        await collect(ami, "Status", timeout=0.01)
    (late,) = asterisk.seen("Status")
    asterisk.silent = False
    asterisk.send(
        f"Event: Status\r\nActionID: {late['ActionID']}\r\n\r\n"
        f"Event: StatusComplete\r\nActionID: {late['ActionID']}\r\n\r\n".encode()
    )
    assert (await ami.action("Ping")).ok
    assert heard == []


async def test_nothing_fails_unseen(asterisk: FakeAsterisk, client: Client) -> None:
    """No `exception was never retrieved`, whatever ends an action: pytest turns those into failures."""
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
    ami = client(ping_interval=60.0)
    await ami.connect()
    asterisk.silent = True
    given_up = asyncio.ensure_future(ami.action("Ping"))
    several = asyncio.ensure_future(ami.pipelined([("Ping", {})] * 3))
    await until(lambda: len(asterisk.seen("Ping")) == 4, "four pings")
    given_up.cancel()
    asterisk.drop()
    with pytest.raises(AmiUnavailable):
        await several
    with pytest.raises(asyncio.CancelledError):
        await given_up
    del given_up, several
    gc.collect()
    assert unseen == []
