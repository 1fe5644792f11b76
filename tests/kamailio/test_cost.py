"""What a call costs: how often Python is entered, and how many calls into Kamailio it makes.

The numbers are exact. A change that raises one is seen here; one that lowers it is written down here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from tests.kamailio.fakes.edge import ASTERISK, Edge, MakeEdge, Script
from tests.kamailio.fakes.kamailio import Transaction

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac", "Allow: INVITE, UPDATE")

Counted = tuple[str, int]
"""A verb, and how many calls into Kamailio it made."""


class Counting(Script):
    """A script that notes each verb it calls."""

    counted: list[Counted]

    def _count(self, name: str, verb: Callable[[], object]) -> object:
        before = len(self._ksr.calls)
        result = verb()
        self.counted.append((name, len(self._ksr.calls) - before))
        return result


class Kemi(Counting):
    """As docs/how-to/kemi.md has it."""

    def request(self) -> None:
        if not self._count("on_request", self._timers.on_request):
            self._ksr.tm.t_relay()

    def branch(self) -> None:
        if self._ksr.routed.method in ("INVITE", "UPDATE", "BYE", "SUBSCRIBE"):
            self._count("on_branch", self._timers.on_branch)

    def reply(self) -> None:
        self._count("on_any_reply", self._timers.on_any_reply)

    def onreply(self) -> None:
        if self._ksr.routed.method in ("INVITE", "UPDATE", "BYE"):
            self._count("on_reply", self._timers.on_reply)


class Native(Counting):
    """As session-timer-native.cfg has it: what is decided there calls nothing of ours."""

    def request(self) -> None:
        message = self._ksr.routed
        if message.method in ("INVITE", "UPDATE"):
            wanted = bool(message.values("Min-SE")) or not self._is_enough(message.values("Session-Expires"))
        else:
            ours = message.source in self._ksr.tables["session_timer_ours"]
            wanted = ours and message.method not in ("ACK", "CANCEL") and "tag=" in message.value("To")
        if not (wanted and self._count("on_request", self._timers.on_request)):
            self._ksr.tm.t_relay()

    def _is_enough(self, values: Sequence[str]) -> bool:
        if not values:
            return True
        interval, enough = (
            re.match(r"[0-9]+", values[0]),
            self._ksr.tables["session_timer_ours"].get(":enough"),
        )
        assert interval is not None
        return enough is not None and int(interval[0]) >= int(enough.value)

    def branch(self) -> None:
        if self._ksr.routed.method in ("INVITE", "UPDATE"):
            self._count("on_branch", self._timers.on_branch)

    def onreply(self) -> None:
        message = self._ksr.routed
        if message.method in ("INVITE", "UPDATE") and message.code >= 200:
            self._count("on_reply", self._timers.on_reply)
        elif message.method == "BYE" and message.code == 200:
            self._ksr.tables["session_timer"].clear()

    def reply(self) -> None:
        pass


def one_call(edge: Edge, *, from_us: bool, refreshed_by_us: bool) -> None:
    """INVITE, 180, 200, ACK, UPDATE, 200, BYE of the caller, 200."""
    invite = edge.send(() if from_us else TIMER, from_us=from_us)
    edge.answer(invite, 180)
    edge.answer(invite, 200, TIMER if from_us else ())
    edge.send(method="ACK", from_us=from_us, within=True)
    refresh = edge.send(
        () if refreshed_by_us else TIMER, method="UPDATE", from_us=refreshed_by_us, within=True
    )
    edge.answer(refresh, 200, TIMER if refreshed_by_us else ())
    edge.hang_up(from_us=from_us)
    assert edge.record() is None


def cost(make_edge: MakeEdge, way: type[Counting], *, from_us: bool) -> list[Counted]:
    counted: list[Counted] = []
    edge = make_edge(script_class=type("Way", (way,), {"counted": counted}))
    edge.ksr.tick(edge.timers.on_tick)
    one_call(edge, from_us=from_us, refreshed_by_us=from_us)  # with cold memories
    counted.clear()
    edge.call_id = "call-2"
    one_call(edge, from_us=from_us, refreshed_by_us=from_us)
    return counted


def test_a_native_inbound_call_enters_python_four_times(make_edge: MakeEdge) -> None:
    counted = cost(make_edge, Native, from_us=False)
    assert counted == [("on_branch", 11), ("on_reply", 17), ("on_branch", 10), ("on_reply", 12)]


def test_a_native_outbound_call(make_edge: MakeEdge) -> None:
    counted = cost(make_edge, Native, from_us=True)
    assert counted == [
        *(("on_branch", 13), ("on_reply", 20), ("on_branch", 14), ("on_reply", 13)),
        ("on_request", 11),
    ]


@pytest.mark.parametrize(("from_us", "calls"), [(False, 88), (True, 104)])
def test_a_call_through_a_script(make_edge: MakeEdge, *, from_us: bool, calls: int) -> None:
    counted = cost(make_edge, Kemi, from_us=from_us)
    assert sum(each for _, each in counted) == calls, counted
    costs = dict.fromkeys(verb for verb, _ in counted)
    assert set(costs) == {"on_request", "on_branch", "on_any_reply", "on_reply"}


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_what_needs_no_decision_costs_two_calls(edge: Edge, method: str) -> None:
    before = len(edge.ksr.calls)
    transaction: Transaction = edge.send(method=method, source=ASTERISK, within=True)
    relay_and_script = 1
    assert transaction.branches
    assert len(edge.ksr.calls) - before - relay_and_script == 2
