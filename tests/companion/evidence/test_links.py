"""The chain of a hang-up, and each of its links taken away: nobody's live call ends.

The chain: the edge is on the dialog's path, our request passed it, that request timed out there or the far
side answered it 408 or 481, nothing newer has come, the channel still has the call, no media comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from session_timer import Outcome, Side
from session_timer.session import Expire
from session_timer_companion.timers.tracked_call import PendingAction
from structlog.testing import capture_logs

from tests.companion.fakes.fake_asterisk import Received
from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import SWALLOWED, Agreement, World, answers, key, silence, world

OURS = Agreement(12, Side.LOCAL)
THEIRS = Agreement(12, Side.REMOTE)
BOTH = pytest.mark.parametrize("agreement", [OURS, THEIRS], ids=["ours", "theirs"])
LONG = 120.0
"""Seconds in which ten intervals run out."""


async def stands(it: World, call: Channel, seconds: float = LONG) -> None:
    """The call is neither ended by us nor does anybody try."""
    began = it.now
    await it.until_after(began + seconds)
    assert it.alive(call)
    assert not it.asterisk.seen("Hangup")


async def talk(call: Channel) -> None:
    """The peer sends a packet each 20 ms."""
    while True:
        call.received_packets += 5
        await asyncio.sleep(0.1)


@BOTH
@in_virtual_time
async def test_the_whole_chain_ends_the_call_before_its_interval_does(
    tmp_path: Path, agreement: Agreement
) -> None:
    """So that each link below is what keeps the call, and not something else."""
    async with world(tmp_path, peer=silence()) as it:
        answered = it.now
        call = it.call("call-1", agreement)
        await it.until(lambda: not it.alive(call))
        assert it.now - answered < 13.5
        assert it.asterisk.seen("Hangup")


@in_virtual_time
async def test_a_reinvite_follows_one_that_timed_out_when_asterisk_knows_of_that(tmp_path: Path) -> None:
    """What Asterisk is told before it has read the edge's 504 it drops, and the dead call would stand."""

    def slow(it: World, channel: Channel, _refresh: Refresh) -> int | None:
        ours = it.edge.records[key(channel)].ours
        open_still = ours is not None and ours.ended is not None and it.edge.now - ours.ended < 0.3
        return SWALLOWED if open_still else None

    with capture_logs() as logged:
        async with world(tmp_path, peer=slow) as it:
            answered = it.now
            call = it.call("call-1", Agreement(30, Side.REMOTE), update=False)
            await it.until(lambda: not it.alive(call))
            assert it.now - answered < 31.5
            assert len(it.refreshes(call)) >= 2
    assert "refresh_swallowed" not in {line["event"] for line in logged}


@BOTH
@in_virtual_time
async def test_without_the_edge_on_the_path(tmp_path: Path, agreement: Agreement) -> None:
    """Requests go past it: it sees none, and its record never moves."""
    async with world(tmp_path, peer=silence(), passes=False) as it:
        call = it.call("call-1", agreement, known=False)
        it.edge.write(key(call), agreement, on_path=False)
        await stands(it, call)
        assert it.refreshes(call)


@BOTH
@in_virtual_time
async def test_without_our_request_passing(tmp_path: Path, agreement: Agreement) -> None:
    """Asterisk says Success and sends nothing, in whatever form."""
    with capture_logs() as logged:
        async with world(tmp_path, peer=answers(SWALLOWED)) as it:
            call = it.call("call-1", agreement)
            await stands(it, call)
            assert it.companion is not None
            swallowed = it.companion.metrics.registry.get_sample_value(
                "session_timer_refreshes_swallowed_total", {"peer": "default", "method": "UPDATE"}
            )
            assert swallowed
    events = {line["event"] for line in logged}
    assert {"refresh_swallowed", "route_not_armed"} <= events


@in_virtual_time
async def test_a_swallowed_refresh_is_no_fault_of_the_routes_where_others_pass(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path) as it:
            good = it.call("good", OURS)
            await it.until(lambda: it.confirmed(good) == 1)
            it.peer = lambda _world, channel, _refresh: 200 if channel is good else SWALLOWED
            bad = it.call("bad", OURS)
            await stands(it, bad, 40)
    assert "refresh_swallowed" in {line["event"] for line in logged}
    assert "route_not_armed" not in {line["event"] for line in logged}


@BOTH
@in_virtual_time
async def test_without_an_end_of_our_request(tmp_path: Path, agreement: Agreement) -> None:
    """The peer only rings, and the edge's timer does not end it: it stays open."""

    def open_(it: World, channel: Channel, _refresh: Refresh) -> int:
        it.edge.asked(key(channel))
        return 100

    async with world(tmp_path, peer=open_) as it:
        call = it.call("call-1", agreement)
        await stands(it, call)


@BOTH
@in_virtual_time
async def test_with_a_request_that_the_edge_could_not_send_on(tmp_path: Path, agreement: Agreement) -> None:
    def unroutable(it: World, channel: Channel, _refresh: Refresh) -> int:
        asyncio.get_running_loop().call_soon(it.edge.unroutable, key(channel))
        return 100

    async with world(tmp_path, peer=unroutable) as it:
        call = it.call("call-1", agreement)
        await stands(it, call)
        ours = it.edge.records[key(call)].ours
        assert ours is not None
        assert ours.outcome is Outcome.UNROUTABLE


CODES = [400, 401, 403, 404, 407, 410, 416, 480, 482, 484, 486, 487, 488, 491, 500, 502, 503, 504, 603, 604]


@pytest.mark.parametrize("code", CODES)
@in_virtual_time
async def test_with_any_refusal_but_408_and_481(tmp_path: Path, code: int) -> None:
    async with world(tmp_path, peer=answers(code)) as it:
        ours, theirs = it.call("call-1", OURS), it.call("call-2", THEIRS)
        began = it.now
        await it.until_after(began + 60)
        assert it.alive(ours)
        assert it.alive(theirs)
        assert not it.asterisk.seen("Hangup")


@BOTH
@in_virtual_time
async def test_without_a_record(tmp_path: Path, agreement: Agreement) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", agreement)
        await it.until(lambda: it.is_tracked(call))
        it.edge.records.clear()
        await stands(it, call)


@BOTH
@in_virtual_time
async def test_with_a_record_that_is_never_written_again(tmp_path: Path, agreement: Agreement) -> None:
    """The peer answers each refresh, and the edge's table takes nothing more."""
    async with world(tmp_path, peer=answers(200), passes=False) as it:
        call = it.call("call-1", agreement)
        await stands(it, call)
        assert it.refreshes(call)


@BOTH
@in_virtual_time
async def test_with_a_record_of_release_0_1_0(tmp_path: Path, agreement: Agreement) -> None:
    """It never said whether a request passed."""
    async with world(tmp_path, peer=silence(), passes=False) as it:
        call = it.call("call-1", agreement)
        await it.until(lambda: it.is_tracked(call))
        record = it.edge.records.pop(key(call))
        it.edge.texts[key(call)] = (
            f"v=1;interval=12;refresher={agreement.refresher};one_sided=0;min_se=0;supports=1;update=1;"
            f"refreshes=0;clock=edge-host;at={record.at:.3f};last=remote:1;local=asterisk-tag;peer="
        )
        await stands(it, call)


@BOTH
@in_virtual_time
async def test_with_a_record_by_a_clock_that_is_not_known(tmp_path: Path, agreement: Agreement) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", agreement)
        await it.until(lambda: it.is_tracked(call))
        it.edge.records[key(call)] = it.edge.records[key(call)]._replace(clock="a-host-that-just-booted")
        await stands(it, call)


@BOTH
@in_virtual_time
async def test_with_an_edge_that_does_not_reply(tmp_path: Path, agreement: Agreement) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", agreement)
        await it.until(lambda: it.is_tracked(call))
        it.edge.silent = True
        await stands(it, call)


@BOTH
@in_virtual_time
async def test_with_an_answer_to_a_later_form(tmp_path: Path, agreement: Agreement) -> None:
    """The path swallows UPDATE, with an offer and without, and carries re-INVITE."""

    def no_update(_world: World, _channel: Channel, refresh: Refresh) -> int | None:
        return None if refresh.method == "UPDATE" else 200

    async with world(tmp_path, peer=no_update) as it:
        call = it.call("call-1", agreement)
        await it.until(lambda: it.confirmed(call) >= 3)
        assert it.alive(call)
        # Learned: after the first time no UPDATE goes there any more.
        assert [sent.refresh.method for sent in it.refreshes(call)].count("UPDATE") == 1


@in_virtual_time
async def test_what_was_learned_of_a_peer_holds_for_its_other_calls_and_for_a_day(tmp_path: Path) -> None:
    def no_update(_world: World, _channel: Channel, refresh: Refresh) -> int | None:
        return None if refresh.method == "UPDATE" else 200

    async with world(tmp_path, peer=no_update) as it:
        first = it.call("call-1", OURS)
        await it.until(lambda: it.confirmed(first) == 1)
        second = it.call("call-2", OURS)
        await it.until(lambda: it.confirmed(second) == 1)
        assert [sent.refresh.method for sent in it.refreshes(second)] == ["INVITE"]
        elsewhere = it.call("call-3", OURS, known=False)
        it.edge.write(key(elsewhere), OURS, far="192.0.2.99")
        await it.until(lambda: it.confirmed(elsewhere) == 1)
        assert it.refreshes(elsewhere)[0].refresh.method == "UPDATE"


@BOTH
@in_virtual_time
async def test_with_media_of_the_peer(tmp_path: Path, agreement: Agreement) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", agreement)

        talking = asyncio.create_task(talk(call))
        await stands(it, call, 60)
        assert it.companion is not None
        registry = it.companion.metrics.registry
        reason = "unanswered" if agreement is OURS else "silent"
        kept = (
            "session_timer_expiries_total",
            {"peer": "default", "reason": reason, "action": "media_flows"},
        )
        assert registry.get_sample_value(*kept)
        talking.cancel()
        # Once nobody talks any more it is dead.
        await it.until(lambda: not it.alive(call), 60)


@in_virtual_time
async def test_media_counts_only_where_the_profile_says_so(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence(), policy={"media_is_evidence": False}) as it:
        call = it.call("call-1", OURS)

        talking = asyncio.create_task(talk(call))
        await it.until(lambda: not it.alive(call), 60)
        talking.cancel()


@in_virtual_time
async def test_an_observed_call_is_neither_refreshed_nor_ended(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, peer=silence(), policy={"observe": True}) as it:
            calls = [it.call("call-1", OURS), it.call("call-2", THEIRS)]
            for call in calls:
                await stands(it, call, 60)
            assert not it.sent
            assert not it.asterisk.seen("Setvar")
    assert [line["event"] for line in logged].count("would_refresh") >= 2


LAST_LOOKS: dict[str, Callable[[World, Channel], object]] = {
    "a 2xx": lambda it, call: it.edge.refresh(key(call)),
    "a request of the peer": lambda it, call: it.edge.asked(key(call), "UPDATE", Side.REMOTE),
    "the record gone": lambda it, call: it.edge.records.pop(key(call)),
    "a record off the path": lambda it, call: it.edge.write(key(call), OURS, age=9, on_path=False),
    "an edge that is silent": lambda it, _: setattr(it.edge, "silent", True),
}


@pytest.mark.parametrize("what", LAST_LOOKS)
@in_virtual_time
async def test_with_something_else_at_the_last_look(tmp_path: Path, what: str) -> None:
    """Between the verdict and the hang-up."""
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        expiry = it.tracker.driver._expiry
        end, verdicts = expiry.together, list[float]()

        async def with_something_else(due: Sequence[tuple[PendingAction, Expire]]) -> None:
            if due and not verdicts:
                verdicts.append(it.now)
                LAST_LOOKS[what](it, call)
            await end(due)

        expiry.together = with_something_else  # type: ignore[method-assign]
        await it.until(lambda: bool(verdicts), 60)
        await it.until_after(verdicts[0] + 2)
        assert it.alive(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_with_media_whose_count_begins_anew(tmp_path: Path) -> None:
    """Asterisk counts anew where the peer's source of RTP changes."""
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", OURS)
        call.received_packets = 5000
        talking = asyncio.create_task(talk(call))
        await it.until(lambda: len(it.sent) == 2)
        await it.until_after(it.now + 0.5)
        call.received_packets = 0
        await stands(it, call, 20)
        talking.cancel()


@in_virtual_time
async def test_with_media_that_asterisk_cannot_count_for_a_moment(tmp_path: Path) -> None:
    """It answers Success with an empty value where a function fails: that is not silence of the peer."""
    counted: list[float] = []

    def empty_at_the_verdict(action: Received) -> bytes | None:
        if action["Variable"] == "CHANNEL(rtcp,rxcount)":
            counted.append(0.0)
            if len(counted) == 2:
                return b"Response: Success\r\n{id}Variable: x\r\nValue: \r\n\r\n"
        return None

    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", OURS)
        it.asterisk.on_action = empty_at_the_verdict
        talking = asyncio.create_task(talk(call))
        await stands(it, call, 20)
        talking.cancel()
        assert len(counted) > 2


@in_virtual_time
async def test_a_peer_that_ignores_refreshes_it_never_agreed_to_gets_no_more(tmp_path: Path) -> None:
    """It knows no session timers. Its calls whose media Asterisk does not see must not end for that."""
    one_sided = Agreement(12, Side.LOCAL, one_sided=True)
    with capture_logs() as logged:
        async with world(tmp_path, peer=silence()) as it:
            call = it.call("call-1", one_sided)
            talking = asyncio.create_task(talk(call))
            await stands(it, call, 15)
            silent = it.call("call-2", one_sided)
            sent = len(it.sent)
            await stands(it, silent, 100)
            assert it.alive(call)
            assert len(it.sent) == sent
            agreed = it.call("call-3", OURS)
            await it.until(lambda: not it.alive(agreed), 60)
            talking.cancel()
    assert [line["event"] for line in logged].count("unasked_ignored") == 1
