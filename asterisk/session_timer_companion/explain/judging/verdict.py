"""What is found out about a call, as data. The words are elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from session_timer_companion.explain.drawing.ladder import Ladder
from session_timer_companion.explain.judging.rules import Level, Rule


@dataclass(frozen=True, slots=True)
class Party:
    """Who stands at one end of a hop."""

    address: str
    software: str = ""
    """What it calls itself (User-Agent, Server); empty if it never said."""
    ours: bool = False
    """It sent or received our internal header, so it is our edge or our Asterisk."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule, and who did not keep it. Times are seconds of the capture's clock."""

    rule: Rule
    by: Party
    at: float
    message: str
    """The message it is about, such as ``200 to INVITE, CSeq 1``."""
    stood: str
    """What stood there, or what happened."""
    due: str
    """What had to stand there, or to happen."""
    other: Party | None = None
    """The other end of that hop."""
    side: int = 0
    """0: the caller's side did it, 1: the callee's."""
    times: int = 1
    """How many messages of this call it holds for."""

    @property
    def level(self) -> Level:
        return self.rule.level


@dataclass(frozen=True, slots=True)
class Agreed:
    """One 2xx that set or ended the timer."""

    at: float
    message: str
    interval: int | None
    """Seconds; None: the timer is off."""
    refresher: Party | None
    deadline: float | None
    """When the side that waits hangs up (RFC 4028 section 10)."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """One refresh within the dialog."""

    at: float
    method: str
    by: Party
    answer: int | None
    """The final response; None: there was none."""
    after: float | None
    """Seconds from request to answer."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the call ended."""

    at: float
    by: Party | None
    how: str
    """``BYE``, a final response that refused it, or ``open``: the capture ends first."""
    reason: str = ""
    """The Reason header of the BYE."""
    lasted: float | None = None
    """Seconds from the answer to the BYE."""
    suspect: str | None = None
    """The minute's usual suspect, where no session timer ended it."""


@dataclass(frozen=True, slots=True)
class ExplainedDialog:
    """One dialog on one hop."""

    ends: tuple[Party, Party]
    """Caller's side, callee's side."""
    agreed: tuple[Agreed, ...] = ()
    refreshes: tuple[Refreshed, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """One Call-ID, judged."""

    call_id: str
    begin: float
    caller: str
    callee: str
    dialogs: tuple[ExplainedDialog, ...]
    ending: Ending
    verdicts: tuple[Verdict, ...]
    draw: Callable[[tuple[Verdict, ...]], Ladder] = field(repr=False, compare=False)
    """Draws the call with these verdicts: most of many calls nobody looks at."""
    whole: bool = True
    """False: it began before the capture, or its answer is not in it: what was agreed first is not known."""
    one_way: bool = False
    """Only one direction was captured."""
    jumped: bool = False
    """The clock jumped, or nothing was captured for a while: times were not judged."""
    cut: bool = False
    """Some of its messages were captured in part: times were not judged."""
    draw_legs: Callable[[], Ladder] | None = field(default=None, repr=False, compare=False)
    """Of the last leg of a call with several: draws all of them in one picture."""
    partners: tuple[str, ...] = ()
    """Call-IDs of the legs that belong to the same call."""

    def reached(self) -> frozenset[str]:
        """The addresses of all its ends."""
        return frozenset(end.address for dialog in self.dialogs for end in dialog.ends)

    def ladder(self) -> Ladder:
        """The call as it is drawn."""
        return self.draw(self.verdicts)

    @property
    def broken(self) -> bool:
        """Whether somebody broke a rule."""
        return any(verdict.level is Level.BROKEN for verdict in self.verdicts)
