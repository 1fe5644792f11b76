"""Where verdicts are gathered: each fault once, on the hop where it was seen first."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from session_timer_companion.explain.gathering.calls import Sighted
from session_timer_companion.explain.gathering.hops import CALLER, Hop, Transaction
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.judging.verdict import Party, Verdict
from session_timer_companion.explain.reading.sip import Message


def title(message: Message) -> str:
    """A message in a sentence: ``re-INVITE (CSeq 3)``, ``200 to UPDATE (CSeq 2)``."""
    if message.status is not None:
        return f"{message.status} to {message.method} (CSeq {message.cseq})"
    again = "re-" if message.method == "INVITE" and message.to_tag is not None else ""
    return f"{again}{message.method} (CSeq {message.cseq})"


@dataclass(frozen=True, slots=True)
class Place:
    """A message of a transaction on a hop."""

    hop: Hop
    each: Transaction
    one: Sighted


@dataclass(frozen=True, slots=True)
class Moment:
    """When a side of a dialog did something, or should have; ``of`` is the message that it hangs on."""

    hop: Hop
    side: int
    time: float
    of: str


@dataclass(slots=True)
class Findings:
    """The verdicts on one call so far."""

    ours: frozenset[str] = frozenset()
    """The ends that are our edge or our Asterisk."""
    ends: tuple[str, ...] = ()
    """The ends of all hops, from the caller's side to the callee's."""
    found: dict[tuple[object, ...], Verdict] = field(default_factory=dict)
    ranks: dict[tuple[object, ...], int] = field(default_factory=dict)
    """How far the end that a verdict names is from its side of the call."""
    numbers: dict[tuple[object, ...], set[int]] = field(default_factory=dict)
    """CSeq of the messages that a verdict is about."""

    def party(self, hop: Hop, side: int, software: str = "") -> Party:
        """Who stands at that side of the hop."""
        address = hop.ends[side]
        return Party(address, software, address in self.ours)

    def message(self, rule: Rule, at: Place, stood: str, due: str) -> None:
        """A message that says what it must not, or not what it must. Said again, it counts again."""
        message, hop = at.one.message, at.hop
        side = at.each.side if message.is_request else 1 - at.each.side
        key = (rule, "said", side, message.method, message.status, stood)
        numbers = self.numbers.setdefault(key, set())
        numbers.add(message.cseq)
        by, other = self.party(hop, side, message.software), self.party(hop, 1 - side)
        self._keep(key, Verdict(rule, by, at.one.time, title(message), stood, due, other, side))
        self.found[key] = replace(self.found[key], times=len(numbers))

    def happened(self, rule: Rule, at: Moment, stood: str, due: str) -> None:
        """Something that happened on a dialog, or did not, by one side of it. The first time counts."""
        by, other = self.party(at.hop, at.side), self.party(at.hop, 1 - at.side)
        key = (rule, "happened", at.side)
        # Of the hops on which it shows, the one nearest to who did it.
        near = self.ends.index(by.address) if by.address in self.ends else 0
        rank = near if at.side == CALLER else -near
        if key not in self.found or rank < self.ranks[key]:
            self.ranks[key] = rank
            self.found[key] = Verdict(rule, by, at.time, at.of, stood, due, other, at.side)

    def _keep(self, key: tuple[object, ...], verdict: Verdict) -> None:
        known = self.found.get(key)
        # Of the hops on which a fault shows, the first that it reached is the nearest to who made it.
        if known is None or verdict.at < known.at:
            self.found[key] = verdict

    def has(self, *rules: Rule) -> bool:
        """Whether one of these is among the verdicts."""
        return any(verdict.rule in rules for verdict in self.found.values())

    def verdicts(self) -> tuple[Verdict, ...]:
        """All of them, in the order of time."""
        return tuple(sorted(self.found.values(), key=lambda verdict: verdict.at))


def side_name(side: int) -> str:
    """What to call a side of a dialog."""
    return "caller" if side == CALLER else "callee"
