"""An edge for each Kamailio release, in which no test may leave a fault that it did not cause on purpose."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

# Kamailio puts this module into its Python. Each test puts a fake of its own in its place.
sys.modules.setdefault("KSR", ModuleType("KSR"))

from session_timer_kemi import ksr as ksr_module  # noqa: E402

from tests.kamailio.fakes.edge import Edge, MakeEdge  # noqa: E402
from tests.kamailio.fakes.fake_ksr import RELEASES, FakeKsr  # noqa: E402


@pytest.fixture(params=RELEASES)
def ksr(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKsr]:
    """The KSR of one Kamailio release."""
    fake = FakeKsr(request.param)
    monkeypatch.setattr(ksr_module, "KSR", fake)
    yield fake
    if not fake.raising:
        assert fake.counters["session_timer_faults"] == 0, fake.lines("err")
        assert fake.locked == [], "other processes wait for ever"


@pytest.fixture
def make_edge(ksr: FakeKsr, tmp_path: Path) -> MakeEdge:
    """Makes an edge; whatever `Edge` takes can be given by name."""

    def make(**settings: object) -> Edge:
        return Edge(ksr, tmp_path / "session-timer.json", **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def edge(make_edge: MakeEdge) -> Edge:
    """An edge towards an ordinary carrier."""
    return make_edge()
