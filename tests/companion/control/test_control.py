"""What an operator holds back, ends or has refreshed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from session_timer_companion.control.actions import Busy
from session_timer_companion.events.hooks import Hooks

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, silence, world

OURS = Agreement(12, Side.LOCAL)
THEIRS = Agreement(12, Side.REMOTE)
LONG = Agreement(1800, Side.LOCAL)


def counted(it: World, action: str) -> float:
    assert it.companion is not None
    registry = it.companion.metrics.registry
    return registry.get_sample_value("session_timer_operator_total", {"action": action}) or 0.0


@in_virtual_time
async def test_nothing_is_sent_while_it_is_paused_and_what_was_due_comes_first(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        actions = it.companion.actions
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        assert actions.pause()
        assert not actions.pause(), "it was paused already"
        await it.until_after(it.now + 9)
        assert not it.refreshes(call)
        assert "paused" in it.companion.standing()
        resumed = it.now
        assert actions.resume()
        await it.until(lambda: it.confirmed(call) == 1)
        assert it.refreshes(call)[0].at - resumed < 0.2
        assert not actions.resume(), "nothing was held back"
        assert (counted(it, "pause"), counted(it, "resume")) == (2, 2)


@in_virtual_time
async def test_a_pause_outlasts_a_new_connection_to_asterisk(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        it.companion.actions.pause()
        it.tracker.ami.reconnect("the test says so")
        await it.until(lambda: not it.tracker.ready)
        await it.until(lambda: it.tracker.ready)
        await it.until_after(it.now + 9)
        assert not it.refreshes(call)
        it.companion.actions.resume()
        await it.until(lambda: it.confirmed(call) == 1)


@in_virtual_time
async def test_nobody_is_hung_up_while_it_is_paused(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        assert it.companion is not None
        call = it.call("call-1", THEIRS)
        await it.until(lambda: bool(it.refreshes(call)), 60)
        it.companion.actions.pause()
        await it.until_after(it.now + 120)
        assert it.alive(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_an_excluded_call_is_left_alone_and_the_others_are_not(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        actions = it.companion.actions
        alone, other = it.call("call-1", OURS), it.call("call-2", OURS)
        await it.until(lambda: it.is_tracked(alone) and it.is_tracked(other))
        tracked = it.tracked(alone)
        assert actions.exclude(it.tracker, tracked)["done"]
        assert actions.exclude(it.tracker, tracked)["reason"] == "it is excluded already"
        await it.until(lambda: it.confirmed(other) == 3)
        assert not it.refreshes(alone)
        assert it.companion.operator.holds.why(tracked.key)
        assert actions.include(it.tracker, tracked)["done"]
        await it.until(lambda: it.confirmed(alone) == 1)
        assert not actions.include(it.tracker, tracked)["done"]


@in_virtual_time
async def test_an_excluded_call_that_ends_is_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        it.companion.actions.exclude(it.tracker, it.tracked(call))
        it.asterisk.hangup(call)
        await it.until(lambda: not it.is_tracked(call))
        assert it.companion.operator.holds.excluded == {}


@in_virtual_time
async def test_a_refresh_by_hand_says_what_holds_the_call_back(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        actions = it.companion.actions
        call = it.call("call-1", LONG)
        await it.until(lambda: it.is_tracked(call))
        actions.pause()
        report = await actions.refresh(it.tracker, it.tracked(call))
        assert (report["outcome"], "paused" in report["reason"]) == ("not_sent", True)
        actions.resume()
        actions.exclude(it.tracker, it.tracked(call))
        report = await actions.refresh(it.tracker, it.tracked(call))
        assert (report["outcome"], "excluded" in report["reason"]) == ("not_sent", True)
        assert not it.refreshes(call)


@in_virtual_time
async def test_a_hang_up_on_the_operators_word_shows_in_cdr_history_and_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(Hooks, "tell", lambda _self, on, facts: told.append((on, facts)))
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1", LONG)
        await it.until(lambda: it.is_tracked(call))
        report = await it.companion.actions.hang_up(it.tracker, it.tracked(call))
        assert (report["done"], report["reason"]) == (True, "")
        await it.until(lambda: not it.is_tracked(call))
        (hang_up,) = it.asterisk.seen("Hangup")
        assert (hang_up["Channel"], hang_up["Cause"]) == (call.name, "16")
        assert any("operator" in action["Value"] for action in it.asterisk.seen("Setvar"))
        history = it.companion.operator.history
        (ended,) = history.ended()
        assert history.is_notable(ended)
        assert "hung_up_by_operator" in [event.fact.event for event in history.decoded(ended.events)]
    ((on, facts),) = told
    assert on == "hung_up"
    assert (facts["call_id"], facts["channel"], facts["asterisk"]) == ("call-1", call.name, "ast1")
    assert (facts["reason"], facts["numbers"]) == ("operator", "100 200")


@in_virtual_time
async def test_a_channel_that_has_another_call_by_now_is_not_hung_up(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1", LONG)
        await it.until(lambda: it.is_tracked(call))
        tracked = it.tracked(call)
        call.call_id, call.local_tag = "call-2", "drawn for another call"
        report = await it.companion.actions.hang_up(it.tracker, tracked)
        assert not report["done"]
        assert "another call" in report["reason"]
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_a_peers_calls_are_refreshed_at_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    peers: list[dict[str, object]] = [
        {"name": "carrier-a", "match": {"name": ["carrier-a"]}, "session_timer": {}}
    ]
    async with world(tmp_path, peers=peers) as it:
        assert it.companion is not None
        mine = [it.call(f"mine-{n}", LONG, peer="carrier-a") for n in range(6)]
        other = it.call("other", LONG)
        await it.until(lambda: len(it.tracker.by_key) == 7)
        reports = [report async for report in it.companion.actions.refresh_peer("carrier-a", 2.0)]
        assert {report["call_id"] for report in reports} == {call.call_id for call in mine}
        assert {report["outcome"] for report in reports} == {"confirmed"}
        assert not it.refreshes(other)
        times = [sent.at for sent in it.sent]
        assert 2.4 <= times[-1] - times[0] <= 2.7
        metrics = it.companion.metrics
        told = metrics.of_peer("carrier-a")
        assert told.refreshes["confirmed"] == 6  # type: ignore[index]  # its keys are texts
        assert told.response[-1][1] == 6
        assert metrics.of_peer("default").seen == 0


@in_virtual_time
async def test_whoever_leaves_stops_the_refreshes_and_another_may_ask(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        actions = it.companion.actions
        for n in range(5):
            it.call(f"call-{n}", LONG)
        await it.until(lambda: len(it.tracker.by_key) == 5)
        reports = actions.refresh_peer("default", 1.0)
        await anext(reports)
        with pytest.raises(Busy, match="default"):
            await anext(actions.refresh_peer("default", 1.0))
        await reports.aclose()
        sent = len(it.sent)
        assert sent < 3
        await asyncio.sleep(20)
        assert len(it.sent) == sent
        assert len([report async for report in actions.refresh_peer("default", 50.0)]) == 5


@in_virtual_time
async def test_what_happened_to_a_call_is_kept_whatever_the_level_of_the_log(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1", OURS)
        await it.until(lambda: it.confirmed(call) == 1)
        history = it.companion.operator.history
        events = [event.fact.event for event in history.decoded(it.tracked(call).history)]
        assert events == ["armed", "refresh_sent", "refresh_confirmed"]


@pytest.mark.parametrize("word", ["pause", "exclude"])
@in_virtual_time
async def test_what_was_decided_in_the_same_moment_is_not_sent_either(tmp_path: Path, word: str) -> None:
    """A record is being read, and another form of the refresh would follow from it."""
    async with world(tmp_path, peer=silence()) as it:
        assert it.companion is not None
        actions = it.companion.actions
        call = it.call("call-1", OURS)
        await it.until(lambda: len(it.sent) == 1)
        tracked, sent = it.tracked(call), list[int]()

        def in_between(question: dict[str, object]) -> None:
            ours = it.edge.records[tracked.key].ours
            if "records" in question and ours is not None and ours.ended is not None and not sent:
                sent.append(len(it.sent))
                if word == "pause":
                    actions.pause()
                else:
                    actions.exclude(it.tracker, tracked)

        it.edge.on_request = in_between
        await it.until(lambda: bool(sent))
        await it.until_after(it.now + 60)
        assert len(it.sent) == sent[0] == 1
        assert it.alive(call)
        if word == "pause":
            actions.resume()
        else:
            actions.include(it.tracker, tracked)
        await it.until(lambda: not it.alive(call), 60)
