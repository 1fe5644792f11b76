"""An edge without shared memory: what it cannot relay, and what it must not keep for that."""

from __future__ import annotations

import pytest

from tests.kamailio.fakes.edge import CARRIER, PASSING, MakeEdge, Script

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac")


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
@pytest.mark.parametrize("from_us", [False, True])
def test_a_bye_that_cannot_be_relayed_leaves_no_record(
    make_edge: MakeEdge, *, peer: str, from_us: bool
) -> None:
    """An edge without memory makes no transaction: whoever sent the BYE is gone, whatever code it gets."""

    class NoMemory(Script):
        def request(self) -> None:
            if self._ksr.routed.method != "BYE":
                super().request()
            elif not self._timers.on_request():
                self._timers.on_unroutable()
                self._ksr.sl.send_reply(500, "Server error")

    edge = make_edge(peer=peer, script_class=NoMemory)
    edge.call(*TIMER, answer=TIMER)
    assert edge.record() is not None
    edge.send(method="BYE", from_us=from_us, within=True)
    assert edge.record() is None
    assert edge.count("unroutable") == 0, "no refresh of ours was lost"
