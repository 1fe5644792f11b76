"""`bye_on_expiry` where an end has moved.

Each end gets a BYE with its tags and a CSeq that it takes. To which Contact, `dialog` decides: it follows
every INVITE, one that is refused too, and neither UPDATE nor a 2xx (docs/reference/edge.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.lab.parts.observed_edge import Kamailio
from tests.lab.peers.user_agent import Call, Peer
from tests.lab.sip import SipMessage

INTERVAL = 4
"""Seconds, of the profile passing-ended."""
TIMER = ("Supported: timer", f"Session-Expires: {INTERVAL};refresher=uac")
MOVED = "moved"
"""The user in the Contact of who has moved."""
LONGEST = 40.0
"""Seconds that a call may take."""

Ends = tuple[Call, Call]
Story = Callable[[Call, Call], None]
"""What happens between caller and callee."""


def connected(peer: Peer) -> Ends:
    """A call through the proxy, answered; both ends."""
    user = f"moving{secrets.token_hex(4)}"
    caller = peer(46).call(peer(49).reachable(user))
    caller.local = "<sip:carrier@ended.example>"
    caller.invite("Supported: timer", f"Session-Expires: {INTERVAL}")
    callee, invite = peer(49).called(user)
    callee.accept(invite, "Require: timer", *TIMER)
    caller.ack(caller.final(1))
    callee.expect("ACK")
    return caller, callee


def asked(one: Call, other: Call, method: str, code: int = 200) -> SipMessage:
    """A request of one end and the response of the other; returns the response."""
    number = one.invite(*TIMER) if method == "INVITE" else one.send(method, *TIMER)
    request = other.expect(method)
    if code == 200:
        other.accept(request, "Require: timer", *TIMER)
    else:
        other.answer(request, code)
    answer = one.final(number)
    assert answer.status == code
    if method == "INVITE" and code == 200:
        one.ack(answer)
        other.expect("ACK")
    return answer


def nobody(caller: Call, callee: Call) -> None:
    """The Contacts stay."""
    asked(caller, callee, "INVITE")
    asked(callee, caller, "UPDATE")


def moves(mover: int, method: str, code: int = 200) -> Story:
    """An end names another Contact in its own request. Where that is refused it stays (RFC 3261 14.1)."""

    def story(*ends: Call) -> None:
        ends[mover].user = MOVED
        asked(ends[mover], ends[1 - mover], method, code)

    return story


def answers_elsewhere(mover: int, method: str) -> Story:
    """An end names another Contact in its 2xx."""

    def story(*ends: Call) -> None:
        ends[mover].user = MOVED
        asked(ends[1 - mover], ends[mover], method)

    return story


STORIES: dict[str, tuple[Story, bool, int]] = {
    "nobody": (nobody, False, 0),
    "caller-moves-by-INVITE": (moves(0, "INVITE"), True, 0),
    "callee-moves-by-INVITE": (moves(1, "INVITE"), True, 1),
    "caller-moves-by-UPDATE": (moves(0, "UPDATE"), False, 0),
    "callee-moves-by-UPDATE": (moves(1, "UPDATE"), False, 1),
    "caller-moves-by-2xx-to-INVITE": (answers_elsewhere(0, "INVITE"), False, 0),
    "callee-moves-by-2xx-to-INVITE": (answers_elsewhere(1, "INVITE"), False, 1),
    "caller-moves-by-2xx-to-UPDATE": (answers_elsewhere(0, "UPDATE"), False, 0),
    "callee-moves-by-2xx-to-UPDATE": (answers_elsewhere(1, "UPDATE"), False, 1),
    "caller-is-refused": (moves(0, "INVITE", 488), True, 0),
    "callee-is-refused": (moves(1, "INVITE", 488), True, 1),
}
"""Each story, whether BYE goes to the Contact that it named, and whose that is."""


def play(peer: Peer, edge: Kamailio, name: str) -> list[str]:
    """A call with this story, and what is wrong with its end."""
    story, followed, mover = STORIES[name]
    ends = connected(peer)
    last = [next(end.cseq) for end in ends]  # a number that is left out harms nobody
    story(*ends)
    edge.record(ends[0].call_id, interval=str(INTERVAL), peer="passing-ended")
    wrong = []
    # An answer to the first BYE that comes at once frees the dialog before Kamailio has sent the second.
    byes = [end.expect("BYE", timeout=INTERVAL + 8) for end in ends]
    for at, (end, bye) in enumerate(zip(ends, byes, strict=True)):
        end.accept(bye)
        moved = followed and at == mover
        if (f"sip:{MOVED}@" in (bye.request_uri or "")) is not moved:
            wrong.append(f"BYE to {bye.request_uri} of {('caller', 'callee')[at]}")
        sent = next(ends[1 - at].cseq) - 1
        if sent > last[1 - at] and bye.cseq[0] <= sent:
            wrong.append(f"BYE has CSeq {bye.cseq[0]}, the last was {sent}")
        if (bye.to_tag, bye.from_tag) != (end.local_tag, end.remote_tag):
            wrong.append(f"BYE has the tags {bye.to_tag} and {bye.from_tag}")
    return wrong


@pytest.fixture(scope="module")
def playing(peer: Peer, edge: Kamailio) -> Iterator[dict[str, Future[list[str]]]]:
    """Every story, under way."""
    with ThreadPoolExecutor(len(STORIES)) as pool:
        yield {name: pool.submit(play, peer, edge, name) for name in STORIES}


@pytest.mark.parametrize("story", STORIES)
def test_which_bye_each_end_gets(playing: dict[str, Future[list[str]]], story: str) -> None:
    assert playing[story].result(LONGEST) == []
