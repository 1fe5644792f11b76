"""The script of a native kamailio.cfg, and scripts that leave verbs out."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from session_timer import Side

from tests.kamailio.fakes.edge import PASSING, STRICT, Edge, MakeEdge, Script
from tests.kamailio.fakes.fake_ksr import FakeKsr
from tests.kamailio.fakes.kamailio import INCLUDE

TOO_SMALL = ("Supported: timer", "Session-Expires: 100")


class WithoutOnRequest(Script):
    """A script whose author forgot the request route."""

    def request(self) -> None:
        self._ksr.tm.t_relay()


@pytest.mark.parametrize("peer", [STRICT, PASSING])
@pytest.mark.parametrize("rows", [TOO_SMALL, ("Supported: timer", "Session-Expires: soon")])
def test_without_on_request_nobody_refuses_and_the_call_goes_on(
    make_edge: MakeEdge, *, peer: str, rows: tuple[str, ...]
) -> None:
    profile = {
        "name": "p",
        "match": {"address": [PASSING]},
        "session_timer": {"mode": "proxy", "min_se": 300},
    }
    edge = make_edge(peer=peer, script_class=WithoutOnRequest)
    edge.config = {**edge.config, "peers": [*edge.config["peers"][:2], profile]}
    edge.start()
    answer = edge.call(*rows)
    assert answer.code == 200
    assert answer.all("Session-Expires") == []
    assert edge.known().dialog.agreement is None


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("rows", [("Supported: timer", "x: 600"), ("x: soon",)])
def test_without_on_request_the_internal_header_is_ours_alone(
    make_edge: MakeEdge, *, method: str, rows: tuple[str, ...]
) -> None:
    edge = make_edge(script_class=WithoutOnRequest)
    sent = edge.send((*rows, "X-Session-Timer: 5;refresher=local;v=1"), method=method).sent
    assert not [row for row in sent.all("X-Session-Timer") if row.startswith("X-Session-Timer: 5")]


def test_an_answer_to_what_was_never_seen_passes(edge: Edge) -> None:
    class WithoutBranch(Script):
        def branch(self) -> None:
            pass

    edge.script_class = WithoutBranch
    rows = ("Session-Expires: 1800;refresher=uac", "Require: timer")
    assert (
        edge.call(from_us=True, answer=rows).without(
            "From", "To", "Call-ID", "CSeq", "Contact", "Record-Route"
        )
        == rows
    )
    refused = edge.send(from_us=True)
    assert edge.sure(edge.answer(refused, 422, ("Min-SE: 3600",))).code == 422


def test_an_expired_record_whose_dialog_nobody_follows_just_goes(make_edge: MakeEdge) -> None:
    edge = make_edge(config={"session_timer": {"mode": "proxy"}, "edge": {"bye_on_expiry": True}})
    edge.call("Supported: timer")
    edge.ksr.dialogs.clear()
    edge.ksr.now += 10_000_000
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.record() is None
    assert edge.ksr.ended_dialogs == []
    assert edge.ksr.lines("info")[-1] == "session timer: call-1: expired, record dropped"


@pytest.fixture
def native(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The object that Kamailio gets of kamailio/session-timer.py."""
    monkeypatch.setenv("SESSION_TIMER_CONFIG", str(edge.path))
    path = INCLUDE.with_name("session-timer.py")
    spec = importlib.util.spec_from_file_location("native_session_timer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.mod_init()


def test_the_native_script_tells_what_became_of_a_message(edge: Edge, native: Any) -> None:
    """As session-timer-native.cfg understands it: -2 is answered, 2 is once more, 1 is go on."""
    told: list[tuple[str, int]] = []

    class ByPythonExec(Script):
        def _run(self, method: str) -> int:
            told.append((method, getattr(native, method)(object())))
            return told[-1][1]

        def request(self) -> None:
            if self._run("on_request") != -2:
                self._ksr.tm.t_relay()

        def branch(self) -> None:
            self._run("on_branch")

        def reply(self) -> None:
            self._run("on_any_reply")

        def onreply(self) -> None:
            self._run("on_reply")

        def failure(self) -> None:
            if self._run("on_failure") == 2:
                self._ksr.tm.t_relay()

    edge.script_class = ByPythonExec
    assert native.child_init(1) == 0
    edge.send(("Supported: timer", "Session-Expires: 5"))
    handled = edge.send(from_us=True)
    assert edge.answer(handled, 422, ("Min-SE: 3600",)) is None
    edge.answer(handled, 486)
    assert told == [
        ("on_request", -2),
        *(("on_request", 1), ("on_branch", 1)),
        *(("on_any_reply", 1), ("on_reply", 1), ("on_failure", 2), ("on_branch", 1)),
        *(("on_any_reply", 1), ("on_reply", 1), ("on_failure", 1)),
    ]
    edge.ksr.tick(lambda: native.on_tick(object()))
    edge.ksr.now += 10_000_000
    edge.ksr.expire(lambda: native.on_expired(object()))
    assert edge.faults == 0


def test_every_statistic_that_is_counted_is_declared(ksr: FakeKsr) -> None:
    package = Path(INCLUDE).parent / "session_timer_kemi"
    counted = {
        name
        for path in package.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        for name in line.split('"')
        if "ksr.count(" in line and name.startswith("session_timer_")
    }
    # Some are counted for each side: session_timer_..._{side}.
    expanded = {re.sub(r"\{.*\}", side, name) for name in counted for side in Side}
    assert expanded == set(ksr.counters)


def test_a_native_configuration_learns_which_interval_is_enough_for_every_profile(edge: Edge) -> None:
    def enough() -> str:
        edge.ksr.tick(edge.timers.on_tick)
        return edge.ksr.tables["session_timer_ours"][":enough"].value

    assert enough() == "300"
    edge.config = {**edge.config, "session_timer": {"min_se": 600}}
    edge.start()
    assert enough() == "600", "after a reload"
    edge.config = {"asterisk": edge.config["asterisk"]}
    edge.start()
    assert enough() == "90"
