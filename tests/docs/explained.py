"""``python -m tests.docs.explained``: the example of docs/how-to/explain.md, as capture, text and picture.

It also writes the page's tables of rules and of minutes, so that they are those of the code.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from session_timer_companion.cli import main as session_timer
from session_timer_companion.explain.judging.ending import SUSPECTS
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.telling.sentences import WORDS

from tests.companion.explain import scenario, writers
from tests.companion.explain.scenario import Script, bye, exchange, setup

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/explain.md"
TRACE = "docs/examples/cut-at-15-minutes.pcap"
PICTURE = ROOT / "docs/images/explained.svg"
COMMAND = f"session-timer explain {TRACE}"
_TIMEOUT = (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)


def example() -> Script:
    """Asterisk refreshes by UPDATE, which the carrier allows and does not answer."""
    timer = {"Session-Expires": "1800;refresher=uac", "Require": "timer", **scenario.SUPPORTED}
    (update, _), end = exchange("one", 903.0, 0, "UPDATE", 2, timer, {}), bye(935.0, cseq=3)
    script = Script(
        (*setup(), replace(update.with_rows(Require=None), times=_TIMEOUT), *end),
        call_id="3f9c2b71@192.0.2.20",
        caller="192.0.2.20",
        callee="198.51.100.10",
        numbers=("+493012345678", "+441632960001"),
    )
    named = [
        line.with_rows(User_Agent="Asterisk PBX 22.10.1") if line.by == 0 else line for line in script.lines
    ]
    return replace(script, lines=tuple(named))


def capture() -> bytes:
    """The example's capture."""
    return writers.pcap(writers.datagrams(example().direct()))


def printed(trace: Path) -> str:
    """What the command prints of it."""
    asked = CliRunner().invoke(session_timer, ["explain", str(trace)])
    return "\n".join(line.rstrip() for line in asked.output.splitlines())


def rules_table() -> str:
    """Every rule: its name, its level, where it stands, and what it means."""
    rows = ["| Rule | Level | Requirements | What happened |", "|---|---|---|---|"]
    for rule in Rule:
        what = WORDS[rule].what.format(who="X", other="the other end")
        rows.append(
            f"| `{rule.value}` | {rule.level} | {', '.join(rule.requirements)}; {rule.section} | {what} |"
        )
    return "\n".join(rows)


def minutes_table() -> str:
    """The usual suspect of each minute."""
    rows = ["| Cut after | Usual suspect |", "|---|---|"]
    for seconds, words in SUSPECTS.items():
        at = (
            f"{seconds} s"
            if seconds < 60
            else f"{seconds // 60} min"
            if seconds < 7200
            else f"{seconds // 3600} h"
        )
        rows.append(f"| {at} | {words} |")
    return "\n".join(rows)


def page(text: str, shown: str) -> str:
    """The page's text with its generated parts."""
    block = f"```console\n$ {COMMAND}\n{shown}\n```"
    parts = {"example": block, "rules": rules_table(), "minutes": minutes_table()}
    for name, part in parts.items():
        begin, end = f"<!-- {name}: make explained -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + part + end + rest.partition(end)[2]
    return text


def main() -> None:
    """Writes capture, picture and page."""
    trace = ROOT / TRACE
    trace.parent.mkdir(exist_ok=True)
    trace.write_bytes(capture())
    pictures = ROOT / "out/explained"
    CliRunner().invoke(session_timer, ["explain", str(trace), "--svg", str(pictures)])
    (picture,) = pictures.glob("0001-*.svg")
    PICTURE.write_text(picture.read_text())
    PAGE.write_text(page(PAGE.read_text(), printed(trace)))


if __name__ == "__main__":
    main()
