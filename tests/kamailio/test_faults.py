"""If our code fails, the call goes on."""

from __future__ import annotations

import importlib
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from session_timer_kemi import ksr as ksr_module

from tests.kamailio.fakes.edge import ASTERISK, KEY, Edge, MakeEdge, Script
from tests.kamailio.fakes.fake_ksr import FakeKsr
from tests.kamailio.fakes.kamailio import HttpRequest
from tests.kamailio.fakes.sip_message import Sent

USED = sorted(set(re.findall(r"\bKSR\.([\w.]+)\(", Path(str(ksr_module.__file__)).read_text("utf-8"))))
"""Every KSR function that the binding calls."""

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac", "Allow: UPDATE", "Require: timer")


class ByOutboundProxy(Script):
    """Sets a next hop of its own for what leaves Asterisk."""

    def request(self) -> None:
        message = self._ksr.routed
        if message.source == ASTERISK:
            message.destination_uri = "sip:203.0.113.5:5080"
        super().request()


def a_day_at_the_edge(edge: Edge) -> list[Sent | None]:
    """Calls that need every function once; returns what came out for every message that went in."""
    out: list[Sent | None] = []
    edge.ksr.tick(edge.timers.on_tick)
    door = HttpRequest("POST", "/session-timer", f"Bearer {KEY.door_token}", '{"v": 1, "changes": true}')
    with suppress(AssertionError):  # where the reply itself is what fails there is none
        edge.ksr.receive_http(edge.timers.on_http, door)
    for from_us in (False, True):
        edge.call_id = f"call-{from_us}"
        handled = edge.send((*TIMER, "X-Session-Timer: 1"), from_us=from_us)
        out += [branch.sent() for branch in handled.branches] or [None]
        if from_us:
            edge.answer(handled, 422, ("Min-SE: 2000",))
        out.append(edge.answer(handled, 200, (*TIMER, "X-Session-Timer: 1")))
        for sender in (True, False):
            again = edge.send(TIMER, method="UPDATE", from_us=sender, within=True)
            out += [again.last, edge.answer(again, 200, TIMER)]
            failed = edge.send(TIMER, from_us=sender, within=True)
            out += [failed.last, edge.answer(failed, 491)]
        silent = edge.send(TIMER, method="UPDATE", from_us=True, within=True)
        out += [silent.last, edge.time_out(silent)]
        opaque = edge.send(TIMER, from_us=from_us, within=True)
        out += [opaque.last, edge.answer(opaque, 200, ("Retry-After: soon",))]
        ambiguous = edge.send(TIMER, from_us=True, within=True)
        edge.answer(ambiguous, 183, ("X-Other: 1&X-Session-Timer: 1",))
        odd = edge.send(TIMER, from_us=from_us, within=True)
        out += [odd.last, edge.answer(odd, 200, ("x: soon",))]
        bye = edge.send(method="BYE", from_us=from_us, within=True)
        out += [bye.last, edge.answer(bye)]
    for rows in (("Supported: timer", "x: 5"), ("Supported: timer", "x: \u00ff")):
        refused = edge.send(rows)
        out.append(refused.answered or refused.last)
    return out


@pytest.mark.parametrize("name", USED)
def test_whatever_function_raises_every_message_goes_on(make_edge: MakeEdge, name: str) -> None:
    edge = make_edge(script_class=Script if name == "resetdsturi" else ByOutboundProxy)
    edge.ksr.raising[name] = RuntimeError("on purpose")
    if name == "err":
        edge.ksr.raising["pv.sets"] = RuntimeError("something to log")
    out = a_day_at_the_edge(edge)
    assert None not in out
    faults = [line for line in edge.ksr.lines("err") if "fault in our code" in line]
    if name not in edge.ksr.called:
        assert name.startswith("dialog.")
        assert faults == []
    elif name == "err":
        assert edge.faults > 0
    elif name == "statistics.update_stat":
        assert faults, "no counter, but still the line"
    else:
        assert edge.faults == len(faults) > 0
        assert all(line.endswith("goes on without us: RuntimeError('on purpose')") for line in faults)


@pytest.mark.parametrize("name", ["dialog.dlg_manage", "dialog.dlg_get", "dialog.dlg_bye"])
def test_whatever_the_dialog_module_raises(make_edge: MakeEdge, name: str) -> None:
    edge = make_edge(config={"session_timer": {"mode": "proxy"}, "edge": {"bye_on_expiry": True}})
    edge.ksr.raising[name] = RuntimeError("on purpose")
    edge.call("Supported: timer")
    edge.ksr.dialogs.add("call-1")
    edge.ksr.now += 1_000_000
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.faults == len(edge.ksr.lines("err")) == 1


def test_a_fault_names_the_call_and_what_it_was(edge: Edge) -> None:
    edge.ksr.raising["htable.sht_gete"] = KeyError("on purpose")
    edge.answer(edge.send(("Supported: timer",)))
    assert edge.ksr.lines("err") == [
        "session timer: fault in our code, the call call-1 goes on without us: KeyError('on purpose')"
    ]
    assert edge.faults == 1


def test_a_fault_is_told_even_where_nothing_can_be_read(edge: Edge) -> None:
    edge.ksr.raising["pv.gete"] = KeyError("on purpose")
    assert not edge.timers.on_failure()
    assert edge.ksr.lines("err") == [
        "session timer: fault in our code, the call whose Call-ID cannot be read goes on without us: "
        "KeyError('on purpose')"
    ]


def test_nobody_hides_that_python_is_to_end(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def end() -> None:
        raise SystemExit

    monkeypatch.setattr(edge.timers, "_any_reply", end)
    with pytest.raises(SystemExit):
        edge.timers.on_any_reply()


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch, ksr: FakeKsr) -> FakeKsr:
    """As if only the binding had been installed."""
    for module in [name for name in sys.modules if name.startswith("session_timer")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "KSR", ksr)
    return ksr


def test_without_the_library_calls_go_on_and_one_line_says_so(
    without_library: FakeKsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "session_timer", None)
    timers = importlib.import_module("session_timer_kemi").SessionTimers("/etc/kamailio/session-timer.yaml")
    assert timers.on_request() is False
    assert timers.on_failure() is False
    assert timers.on_any_reply() is False
    assert timers.after_failure() == "go on"
    for verb in (timers.on_branch, timers.on_reply, timers.on_unroutable, timers.on_tick):
        assert verb() is None
    assert timers.on_expired() is timers.on_http() is None
    (line,) = without_library.lines("err")
    assert "the Python package session_timer was not found" in line
    assert "PYTHONPATH" in line


def test_without_the_library_there_is_every_verb(
    without_library: FakeKsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = importlib.import_module("session_timer_kemi").SessionTimers
    for module in [name for name in sys.modules if name.startswith("session_timer")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "session_timer", None)
    absent = importlib.import_module("session_timer_kemi").SessionTimers
    assert absent is not present
    assert {name for name in dir(present) if name.startswith("on_")} == {
        name for name in dir(absent) if name.startswith("on_")
    }
    assert without_library.log == []


def test_another_missing_module_is_not_mistaken_for_the_library(
    without_library: FakeKsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ipaddress", None)
    with pytest.raises(ModuleNotFoundError, match="ipaddress"):
        importlib.import_module("session_timer_kemi")
    assert without_library.log == []
