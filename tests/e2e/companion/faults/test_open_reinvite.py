"""A re-INVITE is open when the edge dies: the dialog goes on through the edge that comes after."""

from __future__ import annotations

import pytest

from tests.lab.parts.killed_parts import restart_edge
from tests.lab.peers.refreshed_calls import BY_REINVITE, NO_UPDATE, agree, received, refresh, repeated
from tests.lab.together import Stage


@pytest.mark.requirement("UAC-7.2-15", "REF-10-02")
def test_what_asterisk_repeats_is_answered_through_the_next_edge(stage: Stage) -> None:
    """After a 100 of the edge that died Asterisk would wait for ever, and send nothing else."""
    call, _ = received(stage, BY_REINVITE, allow=NO_UPDATE)
    stage.companion.session(call.call_id)
    opened = refresh(call, "INVITE")
    restart_edge(stage)
    repeated(call)
    agree(call, opened)
    stage.edge.record(call.call_id)
    stage.companion.session(call.call_id, lambda seen: seen["due"] > 0)
    assert call.bye().status == 200
