"""A session between two others expires: its record goes, and by the operator's choice BYE goes to both."""

from __future__ import annotations

from typing import Any

import pytest
from session_timer import Side

from tests.kamailio.fakes.edge import (
    ASTERISK,
    PASSING,
    Edge,
    MakeEdge,
    through,
)


@pytest.mark.requirement("PRX-8.3-01", "PRX-8.3-03")
def test_the_record_goes_when_the_session_has_expired(make_edge: MakeEdge) -> None:
    edge = through(make_edge)
    edge.call("Supported: timer")
    edge.ksr.now += 1799
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.record() is not None
    edge.ksr.now += 1
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.record() is None
    assert edge.count("expired") == 1
    assert edge.ksr.ended_dialogs == []
    assert edge.ksr.lines("info")[-1] == "session timer: call-1: expired, record dropped"


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize(("elapsed", "left"), [(0, 1800), (900.5, 900), (1799.9, 1), (1801, 1)])
def test_a_refused_refresh_does_not_postpone_the_expiration(
    make_edge: MakeEdge, *, elapsed: float, left: int
) -> None:
    edge = through(make_edge)
    edge.call("Supported: timer")
    (row,) = edge.ksr.tables["session_timer"].values()
    row.ends += 9  # a timer of Kamailio's that is late
    edge.ksr.now += elapsed
    edge.answer(edge.send(("Supported: timer",), within=True), 503)
    assert edge.refused(Side.REMOTE).code == 503
    (row,) = edge.ksr.tables["session_timer"].values()
    assert row.ends == edge.ksr.now + left


def test_nor_does_one_by_another_hosts_clock(make_edge: MakeEdge) -> None:
    """Nobody here can say how much of the session is left: the record stays as it is."""
    edge = through(make_edge)
    edge.call("Supported: timer")
    (row,) = edge.ksr.tables["session_timer"].values()
    row.value = edge.known()._replace(clock="another").encode()
    edge.ksr.now += 900
    edge.answer(edge.send(("Supported: timer",), within=True), 503)
    assert list(edge.ksr.tables["session_timer"].values()) == [row]
    assert row.ends == 1000 + 1800


def ending(make_edge: MakeEdge, **settings: Any) -> Edge:
    """An edge of an operator who chose BYE to both sides of an expired session."""
    profile = {
        "name": "passing",
        "match": {"address": [PASSING]},
        "session_timer": {"mode": "proxy", **settings},
    }
    return make_edge(
        peer=PASSING, config={"asterisk": [ASTERISK], "peers": [profile], "edge": {"bye_on_expiry": True}}
    )


def test_bye_on_expiry_where_the_operator_chose_it(make_edge: MakeEdge) -> None:
    edge = ending(make_edge)
    edge.call("Supported: timer")
    edge.ksr.now += 1800
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.ksr.ended_dialogs == ["call-1"]
    assert edge.ksr.lines("info")[-1] == "session timer: call-1: expired, BYE sent to both sides"


def test_bye_on_expiry_of_a_call_that_asterisk_placed(make_edge: MakeEdge) -> None:
    """Where it goes to shows only after the route in which dialogs begin to be followed."""
    edge = ending(make_edge)
    edge.call("Supported: timer", from_us=True)
    edge.ksr.now += 1800
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.ksr.ended_dialogs == ["call-1"]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        pytest.param({}, (), id="neither end knows timers"),
        pytest.param({"expiry": "report"}, ("Supported: timer",), id="another action was chosen"),
        pytest.param({"mode": "anchor"}, ("Supported: timer", "x: 1800"), id="the companion ends it"),
    ],
)
def test_a_record_that_goes_ends_no_call_but_an_expired_one_of_a_proxy(
    make_edge: MakeEdge, *, settings: dict[str, Any], rows: tuple[str, ...]
) -> None:
    edge = ending(make_edge, **settings)
    edge.call(*rows)
    edge.ksr.dialogs.add("call-1")  # the operator's own script may follow every dialog
    edge.ksr.now += 1800 + 3600
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.record() is None
    assert edge.ksr.ended_dialogs == []
    assert edge.ksr.lines("info")[-1] == "session timer: call-1: expired, record dropped"


def expire_early(edge: Edge, elapsed: float) -> None:
    """htable goes by the wall clock, which somebody has set forward."""
    (row,) = edge.ksr.tables["session_timer"].values()
    edge.ksr.now += elapsed
    row.ends = edge.ksr.now
    edge.ksr.expire(edge.timers.on_expired)


@pytest.mark.parametrize(("elapsed", "ended"), [(900, []), (1798, []), (1799.995, ["call-1"])])
def test_a_wall_clock_that_steps_forward_ends_no_call(
    make_edge: MakeEdge, *, elapsed: float, ended: list[str]
) -> None:
    edge = ending(make_edge)
    edge.call("Supported: timer")
    expire_early(edge, elapsed)
    assert edge.ksr.ended_dialogs == ended


def test_a_record_of_another_host_whose_age_nobody_can_tell_ends_no_call(make_edge: MakeEdge) -> None:
    """htable takes its lifetime over from that host by both hosts' wall clocks."""
    edge = ending(make_edge)
    edge.call("Supported: timer")
    (row,) = edge.ksr.tables["session_timer"].values()
    row.value = edge.known()._replace(clock="another", at=-5e6).encode()
    expire_early(edge, 1800)
    assert edge.ksr.ended_dialogs == []


def test_a_record_that_cannot_be_read_ends_no_call(make_edge: MakeEdge) -> None:
    edge = ending(make_edge)
    edge.call("Supported: timer")
    (row,) = edge.ksr.tables["session_timer"].values()
    row.value = "v=2;interval=4"
    expire_early(edge, 900)
    assert edge.ksr.ended_dialogs == []
    assert edge.count("unreadable_records") == 1
