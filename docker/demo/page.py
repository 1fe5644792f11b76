"""The page that shows the acts: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from session_timer_companion.explain.drawing import html

from demo.checks import Check


@dataclass(frozen=True, slots=True)
class ActShown:
    """What the page shows of one act."""

    number: int
    title: str
    sentence: str
    picture: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed; an act without checks has not."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def page(acts: Iterable[ActShown]) -> str:
    """The page's text. The pictures stand in it, so that it can be sent or moved as one file."""
    acts = list(acts)
    good = sum(act.passed for act in acts)
    mark = "good" if good == len(acts) else "bad"
    return "\n".join(
        [
            html.head(
                f"Session timers: {len(acts)} acts",
                "Session timers on Kamailio and Asterisk",
                "Drawn from the capture of these very calls.",
            ),
            f'<p class="{mark}"><b>{good} of {len(acts)} acts passed</b></p>',
            *(_act(act) for act in acts),
            html.FOOT,
        ]
    )


def _act(act: ActShown) -> str:
    checks = html.table(("What", "Expected", "Seen", ""), map(_row, act.checks))
    return f"""<section>
<h2>{act.number}. {escape(act.title)}</h2>
<p>{escape(act.sentence)}</p>
{act.picture}
{checks}
</section>"""


def _row(check: Check) -> str:
    mark = '<td class="good">passed</td>' if check.passed else '<td class="bad">failed</td>'
    return f"<tr>{html.cells(check.what, check.expected, check.seen)}{mark}</tr>"
