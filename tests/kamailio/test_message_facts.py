"""A message is read once for its request route and its branch routes, and never taken for another one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kamailio.fakes.edge import Edge, MakeEdge, Script
from tests.kamailio.fakes.fake_ksr import FakeKsr

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac")


class Reading:
    """Counts what is read of the message in hand, by pseudo-variable."""

    def __init__(self, ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        monkeypatch.setattr(ksr, "_raw", self._counting(ksr._raw))

    def _counting(self, model: Callable[[str], str | int]) -> Callable[[str], str | int]:
        def read(name: str) -> str | int:
            self.names.append(name)
            return model(name)

        return read


def test_a_request_is_read_once_for_all_its_branches(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(edge.ksr, monkeypatch)
    handled = edge.send(TIMER, forks=3)
    assert len(handled.branches) == 3
    for name in ("$si", "$fd", "$(hdr(Session-Expires)[*])", "$(hdr(Supported)[*])"):
        assert reading.names.count(name) == 1, name


def test_another_process_message_of_the_same_number_and_length_is_another_message(
    make_edge: MakeEdge,
) -> None:
    """A failure route may run in another process than the request route did."""

    class LaterInAnotherProcess(Script):
        def failure(self) -> None:
            # What this process received last had the number and the length that the copy in hand has.
            self._ksr.routed.number = remembered.number
            self._ksr.seturi("sip:100@second.example")
            self._ksr.tm.t_relay()

    edge = make_edge(script_class=LaterInAnotherProcess)
    handled = edge.send(("Supported: replaces", "X-Padding: 1234"), from_us=True)
    edge.call_id = "call-2"
    remembered = edge.send(("Supported: path", "X-Padding: 12345678"), from_us=True).request
    assert len(remembered.text) == len(handled.request.text)
    edge.call_id = "call-1"
    edge.answer(handled, 503)
    assert handled.last.value("Supported") == "replaces, timer"
