"""A re-INVITE is open when the edge dies: the dialog goes on through the edge that comes after."""

from __future__ import annotations

import pytest

from tests.lab.parts.killed_parts import restart_edge
from tests.lab.peers.refreshed_calls import BY_REINVITE, NO_UPDATE, agree, received, refresh
from tests.lab.together import Stage

LONGEST = 32
"""Seconds for which Asterisk repeats an INVITE (RFC 3261 Timer B), after which it would end the call."""


@pytest.mark.requirement("UAC-7.2-15", "REF-10-02")
def test_the_next_edge_has_a_re_invite_that_is_answered(stage: Stage) -> None:
    """After a 100 of the edge that died Asterisk would wait for ever, and send nothing else.

    It is another re-INVITE where nobody has the address for some seconds: to send there is an error then,
    and Asterisk's transaction is over.
    """
    call, _ = received(stage, BY_REINVITE, allow=NO_UPDATE)
    stage.companion.session(call.call_id)
    opened = refresh(call, "INVITE")
    restart_edge(stage)
    again = call.expect("INVITE", timeout=LONGEST)
    while again.rows("Via")[0] == opened.rows("Via")[0]:
        again = call.expect("INVITE", timeout=LONGEST)  # that one is of the edge that died
    assert again.cseq[0] in (opened.cseq[0], opened.cseq[0] + 1)
    agree(call, again)
    stage.edge.record(call.call_id)
    assert call.bye().status == 200
