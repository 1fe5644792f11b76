"""What destinations have told us before is forgotten before each test."""

from __future__ import annotations

import pytest
from e2e.observed_edge import Kamailio


@pytest.fixture(autouse=True)
def nothing_learned(edge: Kamailio) -> None:
    edge.rpc("htable.flush", "session_timer_min_se")
