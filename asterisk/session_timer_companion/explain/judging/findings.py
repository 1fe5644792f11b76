"""Where verdicts are gathered: each fault once, on the hop where it was seen first."""

from __future__ import annotations

from dataclasses import dataclass, field

from session_timer_companion.explain.judging.calls import Sighted
from session_timer_companion.explain.judging.hops import CALLER, Hop, Transaction
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.judging.verdict import Party, Verdict
from session_timer_companion.explain.reading.sip import Message


def title(message: Message) -> str:
    """A message in a sentence: ``re-INVITE (CSeq 3)``, ``200 to UPDATE (CSeq 2)``."""
    if message.status is not None:
        return f"{message.status} to {message.method} (CSeq {message.cseq})"
    again = "re-" if message.method == "INVITE" and message.to_tag is not None else ""
    return f"{again}{message.method} (CSeq {message.cseq})"


@dataclass(slots=True)
class Findings:
    """The verdicts on one call so far."""

    ours: frozenset[str] = frozenset()
    """The ends that are our edge or our Asterisk."""
    found: dict[tuple[object, ...], Verdict] = field(default_factory=dict)

    def party(self, hop: Hop, side: int, software: str = "") -> Party:
        """Who stands at that side of the hop."""
        address = hop.ends[side]
        return Party(address, software, address in self.ours)

    def message(self, rule: Rule, hop: Hop, each: Transaction, one: Sighted, stood: str, due: str) -> None:
        """A message, of this transaction, that says what it must not, or not what it must."""
        side = each.side if one.message.is_request else 1 - each.side
        message = one.message
        key = (rule, message.from_tag, message.cseq, message.method, message.status, stood)
        self._keep(key, Verdict(
            rule, self.party(hop, side, message.software), one.time, title(message), stood, due,
            self.party(hop, 1 - side),
        ))  # fmt: skip

    def happened(self, rule: Rule, hop: Hop, side: int, at: float, of: str, stood: str, due: str) -> None:
        """Something that happened on a dialog, or did not, by one side of it."""
        known = next((key for key in self.found if key[:3] == (rule, "happened", side)), None)
        if known is not None and self.found[known].at <= at + 1:
            return
        self._keep(
            (rule, "happened", side),
            Verdict(rule, self.party(hop, side), at, of, stood, due, self.party(hop, 1 - side)),
        )

    def _keep(self, key: tuple[object, ...], verdict: Verdict) -> None:
        known = self.found.get(key)
        if known is None or verdict.at < known.at:
            self.found[key] = verdict

    def has(self, *rules: Rule) -> bool:
        """Whether one of these is among the verdicts."""
        return any(verdict.rule in rules for verdict in self.found.values())

    def drop(self, *rules: Rule) -> None:
        """Takes verdicts back that another one explains."""
        self.found = {key: verdict for key, verdict in self.found.items() if verdict.rule not in rules}

    def verdicts(self) -> tuple[Verdict, ...]:
        """All of them, in the order of time."""
        return tuple(sorted(self.found.values(), key=lambda verdict: verdict.at))


def side_name(side: int) -> str:
    """What to call a side of a dialog."""
    return "caller" if side == CALLER else "callee"
