"""A call's messages as transactions and dialogs, hop by hop.

A hop is the way between two neighbours, such as carrier and edge. What a proxy passes on is seen on two hops
and may differ there. Within a dialog a request may come from another address of the same neighbour, or go
past a proxy that did not ask to stay: it then belongs to the hop with which it shares an end.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from session_timer_companion.explain.gathering.calls import Call, Sighted

REFRESHES = frozenset({"INVITE", "UPDATE"})
CALLER, CALLEE = 0, 1


@dataclass(slots=True)
class Transaction:
    """One request on one hop, and the responses to it."""

    request: Sighted
    responses: list[Sighted] = field(default_factory=list)
    side: int = CALLER
    """Whose request it is: the side that placed the call, or the other."""

    @property
    def method(self) -> str:
        return self.request.message.method

    @property
    def initial(self) -> bool:
        return self.request.message.to_tag is None

    def final(self, tag: str | None = None) -> Sighted | None:
        """The final response; of a fork that of this To tag."""
        finals = [one for one in self.responses if (one.message.status or 0) >= 200]
        success = [one for one in finals if (one.message.status or 0) < 300]
        if tag is not None:
            success = [one for one in success if one.message.to_tag == tag]
            if any((one.message.status or 0) < 300 for one in finals):
                return success[0] if success else None
        return (success or finals or [None])[0]  # type: ignore[list-item]


@dataclass(slots=True)
class Hop:
    """The way between two neighbours, and what passed there in the order of its requests."""

    ends: tuple[str, str]
    """The caller's side, the callee's side."""
    transactions: list[Transaction] = field(default_factory=list)
    acks: list[Sighted] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Dialog:
    """One dialog on one hop."""

    hop: Hop
    tags: tuple[str | None, str | None]
    """The caller's and the callee's."""
    initial: Transaction | None
    inner: list[Transaction] = field(default_factory=list)

    @property
    def answer(self) -> Sighted | None:
        """The 2xx that made it."""
        if self.initial is None:
            return None
        found = self.initial.final(self.tags[CALLEE])
        return found if found is not None and (found.message.status or 0) < 300 else None


def names(call: Call) -> dict[tuple[str, int], str]:
    """What to call each end: its address, and its port where two ends share the address."""
    pairs = {(one.source, one.destination) for one in call.messages}
    shared = {source.address for source, target in pairs if source.address == target.address}
    return {
        (end.address, end.port): str(end) if end.address in shared else end.address
        for pair in pairs
        for end in pair
    }


def hops(call: Call) -> list[Hop]:
    """The hops of a call, in the order in which it reached them."""
    called = names(call)
    callers = {
        one.message.from_tag
        for one in call.messages
        if one.message.is_request and one.message.method == "INVITE" and one.message.to_tag is None
    }
    if not callers and call.messages:
        # It began before the capture. Whoever is seen first counts as the caller.
        first = next(
            (one.message for one in call.messages if one.message.is_request), call.messages[0].message
        )
        callers = {first.from_tag}
    found: dict[frozenset[str], Hop] = {}
    open_ones: dict[tuple[str, str, str, int, str], Transaction] = {}
    for one in call.messages:
        source = called[one.source.address, one.source.port]
        target = called[one.destination.address, one.destination.port]
        if source == target:
            continue
        message = one.message
        side = CALLER if message.from_tag in callers else CALLEE
        key = (source, target, message.branch, message.cseq, message.method)
        if not message.is_request:
            answered = open_ones.get((target, source, *key[2:])) or open_ones.get(
                (target, source, "", *key[3:])
            )
            if answered is not None:
                answered.responses.append(one)
            continue
        ends = (source, target) if side == CALLER else (target, source)
        hop = _hop(found, ends, one)
        if message.method == "ACK":
            hop.acks.append(one)
            continue
        known = open_ones.get(key)
        if known is not None and message.branch:
            # The same transaction with other bytes, such as another Max-Forwards: sent again.
            known.request.times.extend(one.times)
            continue
        begun = Transaction(one, side=side)
        open_ones[key] = begun
        open_ones.setdefault((source, target, "", message.cseq, message.method), begun)
        hop.transactions.append(begun)
    # Several pairs of addresses may lead to one hop.
    each_once = {id(hop): hop for hop in found.values()}
    return [hop for hop in each_once.values() if hop.transactions or hop.acks]


def _hop(found: dict[frozenset[str], Hop], ends: tuple[str, str], one: Sighted) -> Hop:
    place = frozenset(ends)
    hop = found.get(place)
    if hop is not None:
        return hop
    message = one.message
    if message.to_tag is not None:
        for known in found.values():
            shares = set(known.ends) & set(ends)
            if shares and not _has(known, message.cseq, message.method, message.from_tag):
                known.aliases |= set(ends) - shares
                found[place] = known
                return known
    hop = found[place] = Hop(ends)
    return hop


def _has(hop: Hop, cseq: int, method: str, tag: str | None) -> bool:
    if method == "ACK":
        return any((ack.message.cseq, ack.message.from_tag) == (cseq, tag) for ack in hop.acks)
    return any(
        (each.request.message.cseq, each.method, each.request.message.from_tag) == (cseq, method, tag)
        for each in hop.transactions
    )


def passed_on(each: Transaction, to: Hop) -> Transaction | None:
    """The same request on another hop, where a proxy passed it on or from where it came."""
    wanted = each.request.message
    for other in to.transactions:
        message = other.request.message
        if (message.cseq, message.method, message.from_tag) == (wanted.cseq, wanted.method, wanted.from_tag):
            return other
    return None


def further(each: Transaction, hop: Hop, others: Iterable[Hop]) -> list[Transaction]:
    """The same request on the hops behind the one who received it on this hop."""
    behind = [other for other in others if other.ends[each.side] == hop.ends[1 - each.side]]
    return [found for other in behind if (found := passed_on(each, other)) is not None]


def dialogs(hop: Hop) -> list[Dialog]:
    """The dialogs of a hop: one for each 2xx to the INVITE, and one that began before the capture."""
    found: dict[frozenset[str | None], Dialog] = {}
    for each in hop.transactions:
        if each.method == "INVITE" and each.initial:
            for response in each.responses:
                if 200 <= (response.message.status or 0) < 300:
                    tags = (response.message.from_tag, response.message.to_tag)
                    found.setdefault(frozenset(tags), Dialog(hop, tags, each))
    for each in hop.transactions:
        if each.initial:
            continue
        message = each.request.message
        pair = (message.from_tag, message.to_tag)
        tags = pair if each.side == CALLER else (pair[1], pair[0])
        dialog = found.get(frozenset(tags))
        if dialog is None:
            if _is_early(hop, tags, each.method, found):
                continue
            dialog = found[frozenset(tags)] = Dialog(hop, tags, None)
        dialog.inner.append(each)
    return list(found.values())


def _is_early(
    hop: Hop, tags: tuple[str | None, str | None], method: str, answered: Container[frozenset[str | None]]
) -> bool:
    """Whether a request within these tags belongs to a branch of an INVITE of this hop that had no 2xx.

    A BYE may end such a branch (RFC 3261 section 15), but then another one was answered: else it is the end
    of a call whose answer is not in the capture.
    """
    asked = [each for each in hop.transactions if each.method == "INVITE" and each.initial]
    of = [each for each in asked if each.request.message.from_tag in tags]
    if (
        not of
        or method == "INVITE"
        or any({a.message.from_tag, a.message.to_tag} == set(tags) for a in hop.acks)
    ):
        return False
    if method != "BYE":
        return True
    rang = any(
        one.message.to_tag in tags and (one.message.status or 0) < 200
        for each in of
        for one in each.responses
    )
    other = any(
        frozenset((one.message.from_tag, one.message.to_tag)) in answered
        for each in of
        for one in each.responses
    )
    return rang and other
