"""A setting of tm that no function of Kamailio tells: what is read, and when an operator hears of it."""

from __future__ import annotations

import pytest
from session_timer_kemi import tm_settings

from tests.kamailio.fakes.edge import Edge


def test_an_integer_of_a_loaded_library_is_read() -> None:
    assert tm_settings.exported("libc.so.6", "opterr") == 1, "as POSIX has it (getopt)"


@pytest.mark.parametrize(
    ("library", "name"), [("tm.so", "_tm_reply_matching"), ("libc.so.6", "no_such_name")]
)
def test_what_is_not_there_is_not_known(library: str, name: str) -> None:
    assert tm_settings.exported(library, name) is None


@pytest.mark.parametrize(("value", "warnings"), [(None, 0), (0, 0), (1, 1)])
def test_the_first_tick_warns_once(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, value: int | None, warnings: int
) -> None:
    monkeypatch.setattr(tm_settings, "exported", lambda *_names: value)
    for _ in range(3):
        edge.ksr.tick(edge.timers.on_tick)
    assert len(edge.ksr.lines("warn")) == warnings
    assert edge.faults == 0
