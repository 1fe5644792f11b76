"""The edge restarts alone and its table is lost, or it stays away: live calls go on, with their records."""

from __future__ import annotations

import time

import pytest

from tests.lab.parts.killed_parts import kill, restart_edge, start_edge
from tests.lab.peers.live_peer import LivePeer
from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_THEM,
    BY_UPDATE,
    INTERVAL,
    NO_UPDATE,
    TIMER,
    received,
)
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

THEIRS = "60;refresher=uac"
LONG = 40
"""Seconds, the interval of calls that nobody has to refresh before the edge is up again."""


@pytest.mark.requirement("UAC-7.2-15", "DEF-2-03", "REF-10-02")
def test_live_calls_have_their_records_again(stage: Stage) -> None:
    by_update, _ = received(stage, BY_UPDATE, f"{LONG};refresher=uas")
    by_reinvite, _ = received(stage, BY_REINVITE, f"{LONG};refresher=uas", allow=NO_UPDATE)
    theirs, _ = received(stage, BY_THEM, THEIRS)
    calls = (by_update, by_reinvite, theirs)
    for call in calls:
        stage.companion.session(call.call_id)
    restart_edge(stage)
    for call in calls:
        assert stage.edge.record_texts(call.call_id) == {}
    answer = theirs.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}")
    assert answer.rows("Session-Expires") == (THEIRS,)
    for call, method in ((by_update, "UPDATE"), (by_reinvite, "INVITE")):
        # Nobody knows any more what was agreed: this is a proposal, by the peer's profile.
        request = call.expect(method, timeout=LONG)
        assert request.rows("Session-Expires") == (str(INTERVAL),)
        call.accept(request, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
        if method == "INVITE":
            call.expect("ACK")
    for call, refresher in ((by_update, "local"), (by_reinvite, "local"), (theirs, "remote")):
        stage.edge.record(call.call_id, refresher=refresher, refreshes="0")
        stage.companion.session(
            call.call_id,
            lambda seen, refresher=refresher: seen["refresher"] == refresher and seen["due"] > 0,  # type: ignore[misc]
        )
    for call in calls:
        assert call.bye().status == 200
    assert stage.companion.metric("session_timer_faults_total") == 0


@pytest.mark.requirement("REF-10-02")
def test_nothing_is_sent_while_the_edge_is_away_for_longer_than_a_session(stage: Stage) -> None:
    """Asterisk repeats what it is told to send for 32 seconds, and then ends the call."""
    began = time.monotonic()
    calls = (received(stage, BY_UPDATE)[0], received(stage, BY_REINVITE, allow=NO_UPDATE)[0])
    for call in calls:
        stage.companion.session(call.call_id)
    kill(stage.stack, "edge")
    wait_until(
        lambda: time.monotonic() > began + INTERVAL + 2, INTERVAL + 5, "the session interval to be over"
    )
    standing = stage.companion.sessions()
    assert [standing[call.call_id]["state"] for call in calls] == ["ours", "ours"], "no refresh is under way"
    wait_until(
        lambda: all("refresh_held" in stage.companion.log(call.call_id) for call in calls),
        PATIENCE,
        "a line for each call that its refresh waits",
    )
    start_edge(stage)
    peers = [LivePeer(call) for call in calls]
    for peer in peers:
        peer.begin()
    for peer in peers:
        peer.is_refreshed(INTERVAL / 2)
        stage.companion.session(peer.call.call_id, lambda seen: seen["due"] > 0)
        peer.end()
        assert peer.call.bye().status == 200
    assert stage.companion.metric("session_timer_faults_total") == 0
