"""Asking Asterisk: one, many at once, and lists of any length."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from session_timer_companion.ami.client import (
    Ami,
    AmiAccount,
    AmiEntry,
    AmiHeaderError,
    AmiMessage,
    AmiTimeout,
    AmiUnavailable,
)
from session_timer_companion.ami.requests import Request

from tests.companion.fakes.clients import Client, collect, until, variables
from tests.companion.fakes.fake_asterisk import FakeAsterisk
from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time

HEADER = "X-Session-Timer"
VARIABLES = (
    "CHANNEL(pjsip,call-id),CHANNEL(pjsip,local_tag),CHANNEL(pjsip,remote_tag),CHANNEL(audionativeformat),"
    f"PJSIP_HEADER(read,{HEADER}),PJSIP_RESPONSE_HEADER(read,{HEADER})"
)
TOLD = '1800;refresher=local;allow=UPDATE;rpc="udp:198.18.0.10:8090";v=1'


def channel(number: int = 1) -> Channel:
    return Channel(
        f"PJSIP/carrier-{number:08x}",
        f"1795340000.{number}",
        f"call-{number}@198.18.0.41",
        local_tag=f"local-{number}",
        headers={HEADER: TOLD},
    )


async def test_status_with_variables_names_the_dialog(asterisk: FakeAsterisk, client: Client) -> None:
    for number in (1, 2):
        asterisk.add(channel(number))
    ami = client()
    await ami.connect()
    first, second = await collect(ami, "Status", Variables=VARIABLES)
    assert first.text("Channel") == "PJSIP/carrier-00000001"
    assert variables(second) == {
        "CHANNEL(pjsip,call-id)": "call-2@198.18.0.41",
        "CHANNEL(pjsip,local_tag)": "local-2",
        "CHANNEL(pjsip,remote_tag)": "peer-tag",
        "CHANNEL(audionativeformat)": "(alaw)",
        f"PJSIP_HEADER(read,{HEADER})": TOLD,
        f"PJSIP_RESPONSE_HEADER(read,{HEADER})": "",
    }
    (only,) = await collect(
        ami, "Status", Channel=second.text("Channel"), Variables="CHANNEL(pjsip,call-id),v"
    )
    assert variables(only) == {"CHANNEL(pjsip,call-id)": "call-2@198.18.0.41", "v": "(null)"}


async def test_an_empty_list_is_empty(client: Client) -> None:
    ami = client()
    await ami.connect()
    assert await collect(ami, "Status") == []


async def test_a_list_goes_on_past_the_deadline_while_entries_come(
    asterisk: FakeAsterisk, client: Client
) -> None:
    for number in range(40):
        asterisk.add(channel(number))
    ami = client(ping_interval=0.02, ping_timeout=0.2)
    await ami.connect()
    asterisk.chunk = 64
    loop = asyncio.get_running_loop()
    start = loop.time()
    seen: list[str] = []

    def slowly(entry: AmiEntry) -> None:
        time.sleep(0.01)
        seen.append(entry.text("Channel"))

    await ami.stream("Status", slowly, timeout=0.1)
    assert len(seen) == 40
    assert loop.time() - start > 0.4
    assert asterisk.connections == 1


async def test_a_list_that_stops_in_the_middle_times_out(asterisk: FakeAsterisk, client: Client) -> None:
    asterisk.on_action = lambda action: (
        b"Response: Success\r\n{id}EventList: start\r\n\r\nEvent: Status\r\n{id}\r\n"
        if action.name == "Status"
        else None
    )
    ami = client()
    await ami.connect()
    with pytest.raises(AmiTimeout):
        await collect(ami, "Status", timeout=0.02)


async def test_what_an_entry_callback_raises_reaches_the_asker_alone(
    asterisk: FakeAsterisk, client: Client
) -> None:
    for number in range(3):
        asterisk.add(channel(number))

    def fail(_entry: AmiEntry) -> None:
        raise LookupError("not ours")

    ami = client()
    await ami.connect()
    with pytest.raises(LookupError, match="not ours"):
        await ami.stream("Status", fail)
    assert len(await collect(ami, "Status")) == 3
    assert asterisk.connections == 1


async def test_many_actions_at_once_get_each_its_own_answer(asterisk: FakeAsterisk, client: Client) -> None:
    for number in range(500):
        asterisk.add(channel(number))
    ami = client()
    await ami.connect()
    answers = await asyncio.gather(
        *(
            ami.action("Getvar", Channel=channel(number).name, Variable="CHANNEL(pjsip,call-id)")
            for number in range(500)
        )
    )
    assert [answer.text("Value") for answer in answers] == [channel(n).call_id for n in range(500)]


async def test_values_of_many_channels_come_in_the_order_asked(
    asterisk: FakeAsterisk, client: Client
) -> None:
    for number in range(300):
        asterisk.add(channel(number))
    ami = client()
    await ami.connect()
    names = [f"PJSIP/carrier-{number:08x}" for number in range(300)]
    names[150] = "PJSIP/gone"
    asterisk.chunk = 1000  # answers are cut anywhere
    found = await ami.values(
        [(name, ("CHANNEL(pjsip,call-id)", f"PJSIP_HEADER(read,{HEADER})")) for name in names]
    )
    assert found[150] == ("", "")
    del found[150]
    assert found == [(f"call-{n}@198.18.0.41", TOLD) for n in range(300) if n != 150]
    assert await ami.values([]) == []


async def test_a_value_stays_as_it_is(asterisk: FakeAsterisk, client: Client) -> None:
    call = asterisk.add(channel())
    call.variables = {"a": "Zoë: 50%", "b": "Value: x", "c": ""}
    ami = client()
    await ami.connect()
    assert await ami.values([(call.name, ("a", "b", "c"))]) == [("Zoë: 50%", "Value: x", "")]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("PJSIP/a\r\nAction: Hangup", "v"),
        ("PJSIP/a", "v\r\n\r\nAction: Hangup"),
        ("PJSIP/a", "x" * 1100),
    ],
)
async def test_values_carry_nothing_that_ami_cannot(
    asterisk: FakeAsterisk, client: Client, name: str, function: str
) -> None:
    ami = client()
    await ami.connect()
    before = len(asterisk.received)
    with pytest.raises(AmiHeaderError):
        await ami.values([("PJSIP/b", ("v",)), (name, (function,))])
    await ami.action("Ping")
    assert [action.name for action in asterisk.received[before:]] == ["Ping"]


@in_virtual_time
async def test_values_go_on_past_the_deadline_while_answers_come_and_not_without() -> None:
    async with FakeAsterisk() as asterisk:
        asterisk.on_action = lambda action: b"" if action.name == "Getvar" else None
        ami = Ami(AmiAccount("ast1", "127.0.0.1", "session-timer", "s3cret", port=asterisk.port))
        await ami.connect()
        asking = asyncio.create_task(ami.values([("PJSIP/a", ("v",) * 4)], timeout=1.0))
        for number in range(4):
            await asyncio.sleep(0.9)
            assert not asking.done()
            tag = asterisk.seen("Getvar")[number]["ActionID"]
            asterisk.send(f"Response: Success\r\nActionID: {tag}\r\nValue: {number}\r\n\r\n".encode())
        assert await asking == [("0", "1", "2", "3")]
        with pytest.raises(AmiTimeout, match="no answer to Getvar within 1 s"):
            await ami.values([("PJSIP/a", ("v",))], timeout=1.0)
        await ami.aclose()


async def test_values_under_way_fail_with_their_connection(asterisk: FakeAsterisk, client: Client) -> None:
    ami = client()
    await ami.connect()
    asterisk.drop_on = frozenset({"Getvar"})
    with pytest.raises(AmiUnavailable):
        await ami.values([("PJSIP/a", ("v",))] * 3)


async def test_pipelined_keeps_the_order_on_the_wire_and_of_the_answers(
    asterisk: FakeAsterisk, client: Client
) -> None:
    left: list[Refresh] = []

    def peer(_channel: Channel, refresh: Refresh) -> int:
        left.append(refresh)
        return 200

    asterisk.on_refresh = peer
    call = asterisk.add(channel())
    ami = client()
    await ami.connect()
    answers = await ami.pipelined(
        [
            (
                "Setvar",
                {"Channel": call.name, "Variable": "PJSIP_MEDIA_OFFER(audio)", "Value": "!all,alaw,none"},
            ),
            (
                "Setvar",
                {"Channel": call.name, "Variable": "PJSIP_SEND_SESSION_REFRESH()", "Value": "invite"},
            ),
            ("Hangup", {"Channel": "PJSIP/gone"}),
        ]
    )
    assert [answer.reason for answer in answers] == ["Variable Set", "Variable Set", "No such channel"]
    assert left == [Refresh("INVITE", sdp=True)]


@pytest.mark.parametrize(
    ("before", "last", "left"),
    [
        pytest.param([], ("PJSIP_SEND_SESSION_REFRESH()", "invite"), [], id="equal media: swallowed"),
        pytest.param([], ("CONNECTEDLINE(tag)", "1"), [Refresh("UPDATE", sdp=False)], id="new tag"),
        pytest.param([("CONNECTEDLINE(tag)", "1")], ("CONNECTEDLINE(tag)", "1"), [], id="the same tag"),
        pytest.param([("CONNECTEDLINE(num)", "")], ("CONNECTEDLINE(tag)", "1"), [], id="no number"),
    ],
)
async def test_the_fake_refreshes_when_asterisk_does(
    asterisk: FakeAsterisk,
    client: Client,
    before: list[tuple[str, str]],
    last: tuple[str, str],
    left: list[Refresh],
) -> None:
    call = asterisk.add(channel())
    seen: list[Refresh] = []
    ami = client()
    await ami.connect()
    for variable, value in before:
        await ami.action("Setvar", Channel=call.name, Variable=variable, Value=value)

    def peer(_channel: Channel, refresh: Refresh) -> int:
        seen.append(refresh)
        return 200

    asterisk.on_refresh = peer
    answer = await ami.action("Setvar", Channel=call.name, Variable=last[0], Value=last[1])
    assert answer.reason == "Variable Set"
    assert seen == left


async def test_a_peer_that_knows_the_call_no_more_ends_it(asterisk: FakeAsterisk, client: Client) -> None:
    gone: list[str] = []
    call = asterisk.add(channel())
    asterisk.on_refresh = lambda _channel, _refresh: 481
    ami = client(events={"Hangup"}, on_event=lambda event: gone.append(event.text("Channel")))
    await ami.connect()
    await ami.action("Setvar", Channel=call.name, Variable="CONNECTEDLINE(tag)", Value="1")
    await until(lambda: gone == [call.name], "the Hangup event")


async def test_hangup_carries_its_cause(asterisk: FakeAsterisk, client: Client) -> None:
    gone: list[AmiMessage] = []
    call = asterisk.add(channel())
    ami = client(events={"Hangup"}, on_event=gone.append)
    await ami.connect()
    assert (await ami.action("Hangup", Channel=call.name, Cause=102)).ok
    await until(lambda: gone, "the Hangup event")
    assert (gone[0].text("Cause"), gone[0].text("Uniqueid")) == ("102", call.uniqueid)
    assert asterisk.channels == {}


async def test_a_peer_that_reads_late_gets_no_action_that_has_expired(
    asterisk: FakeAsterisk, client: Client
) -> None:
    total = 20_000
    ami = client(ping_interval=60.0)
    await ami.connect()
    asterisk.stop_reading()
    with pytest.raises(AmiTimeout):
        await ami.pipelined([("Setvar", {"Value": "x" * 1000})] * total, timeout=0.2)
    asterisk.read_again()
    await ami.action("Ping", timeout=10.0)
    assert 0 < len(asterisk.seen("Setvar")) < total
    assert asterisk.connections == 1


async def test_a_peer_that_reads_late_but_in_time_gets_everything_in_order(
    asterisk: FakeAsterisk, client: Client
) -> None:
    total = 10_000
    ami = client(ping_interval=60.0)
    await ami.connect()
    asterisk.stop_reading()
    asking = asyncio.ensure_future(
        ami.pipelined(
            [("Setvar", {"Variable": str(n), "Value": "x" * 990}) for n in range(total)], timeout=30.0
        )
    )
    await asyncio.sleep(0)
    asterisk.read_again()
    assert len(await asking) == total
    assert [action["Variable"] for action in asterisk.seen("Setvar")] == [str(n) for n in range(total)]


# Speed, printed for comparison and bounded only against a change of order


def timed(name: str, count: int, seconds: float) -> None:
    print(f"{name}: {count} in {seconds:.2f} s, {seconds / count * 1e6:.0f} us each (fake included)")


@pytest.mark.parametrize("count", [5_000, 10_000])
async def test_status_of_thousands_of_channels(asterisk: FakeAsterisk, client: Client, count: int) -> None:
    for number in range(count):
        asterisk.add(channel(number))
    ami = client()
    await ami.connect()
    seen: set[str] = set()
    start = time.perf_counter()
    end = await ami.stream(
        "Status",
        lambda entry: seen.add(variables(entry)["CHANNEL(pjsip,call-id)"]),
        Variables=VARIABLES,
    )
    timed("Status with 6 variables", count, time.perf_counter() - start)
    assert len(seen) == count
    assert end.text("ListItems") == str(count)


@pytest.mark.parametrize("how", ["gather", "pipelined"])
async def test_thousands_of_actions_at_once(asterisk: FakeAsterisk, client: Client, how: str) -> None:
    call = asterisk.add(channel())
    asterisk.record = False
    ami = client(action_timeout=30.0)
    await ami.connect()
    setvar: dict[str, Any] = {"Channel": call.name, "Variable": "v", "Value": "1"}
    several: Callable[[], Awaitable[list[AmiMessage]]] = {
        "gather": lambda: asyncio.gather(*(ami.action("Setvar", **setvar) for _ in range(5_000))),
        "pipelined": lambda: ami.pipelined([("Setvar", setvar)] * 5_000),
    }[how]
    start = time.perf_counter()
    answers = await several()
    timed(f"Setvar, {how}", 5_000, time.perf_counter() - start)
    assert sum(answer.ok for answer in answers) == 5_000


async def test_a_request_is_numbered_by_itself() -> None:
    first, second = (Request("Ping", {}, timeout=1.0) for _ in range(2))
    assert first.number != second.number
