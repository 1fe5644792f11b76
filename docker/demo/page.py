"""The page that shows the acts: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from demo.checks import Check

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --paper: #f4f6f9; --card: #fff; --line: #d5dbe3;
  --good: #14783c; --bad: #b3214f; --faint: #5a6673 }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe6ee; --paper: #12171e; --card: #1a212b;
  --line: #323d4a; --good: #58c98a; --bad: #ff7a9c; --faint: #98a5b3 } }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1.5rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
h1 { margin: 0 0 .3rem } h2 { margin: 3rem 0 .2rem } p { max-width: 46rem }
.good { color: var(--good) } .bad { color: var(--bad) } .faint { color: var(--faint) }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0 }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: 14px }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border: 1px solid var(--line);
  overflow-wrap: anywhere }
""".strip()


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
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Session timers: {len(acts)} acts</title>",
            f"<style>{_STYLE}</style></head><body>",
            "<h1>Session timers on Kamailio and Asterisk</h1>",
            '<p class="faint">Drawn from the capture of these very calls.</p>',
            f'<p class="{mark}"><b>{good} of {len(acts)} acts passed</b></p>',
            *(_act(act) for act in acts),
            "</body></html>\n",
        ]
    )


def _act(act: ActShown) -> str:
    rows = "\n".join(_row(check) for check in act.checks)
    return f"""<section>
<h2>{act.number}. {escape(act.title)}</h2>
<p>{escape(act.sentence)}</p>
{act.picture}
<table><thead><tr><th>What</th><th>Expected</th><th>Seen</th><th></th></tr></thead><tbody>
{rows}
</tbody></table>
</section>"""


def _row(check: Check) -> str:
    mark = '<td class="good">passed</td>' if check.passed else '<td class="bad">failed</td>'
    cells = "".join(f"<td>{escape(text)}</td>" for text in (check.what, check.expected, check.seen))
    return f"<tr>{cells}{mark}</tr>"
