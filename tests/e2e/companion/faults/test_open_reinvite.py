"""A re-INVITE is open when the edge dies: the dialog goes on through the edge that comes after."""

from __future__ import annotations

import pytest

from tests.lab.parts.killed_parts import kill, start, start_edge
from tests.lab.peers.refreshed_calls import BY_REINVITE, INTERVAL, NO_UPDATE, received, refresh
from tests.lab.together import Stage

REPEATED = 20
"""Seconds: Asterisk repeats an INVITE after 0.5, 1, 2, 4 and 8."""


@pytest.mark.requirement("UAC-7.2-15", "REF-10-02")
def test_what_asterisk_repeats_is_answered_through_the_next_edge(stage: Stage) -> None:
    """After a 100 of the edge that died Asterisk would wait for ever, and send nothing else.

    The next edge knows no terms: it is a proposal now, and no copy of what the peer got. At this interval it
    waits for two seconds, so the peer answers before anything else is looked at.
    """
    call, _ = received(stage, BY_REINVITE, allow=NO_UPDATE)
    stage.companion.session(call.call_id)
    opened = refresh(call, "INVITE")
    kill(stage.stack, "edge")
    start(stage.stack, "edge")
    again = call.expect("INVITE", timeout=REPEATED)
    assert (again.cseq, again.rows("Session-Expires")) == (opened.cseq, (str(INTERVAL),))
    call.accept(again, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
    assert call.expect("ACK").cseq[0] == opened.cseq[0]
    start_edge(stage)
    stage.edge.record(call.call_id, refresher="local")
    stage.companion.session(call.call_id, lambda seen: seen["due"] > 0)
    assert call.bye().status == 200
