"""docs/reference/faults.md, from the results that a run has kept: `make chaos-page`."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.faults.listed import FAULTS
from tests.chaos.judge import SLACK
from tests.chaos.rounds import Round
from tests.lab.stack import ROOT

PAGE = ROOT / "docs" / "reference" / "faults.md"
KEPT = Path(__file__).parent / "results.json"
"""Of the run that the page shows."""

HEAD = """\
# Faults

What happens to calls when a part fails, stands still or is lied to. Each row was seen by `make chaos`
on real Kamailio, Asterisk and companion, and `make chaos-page` has written this page from its results.

## What holds

We promise that no live call is ended, no dead call stands too long, and nothing is left behind
([what is judged](#what-is-judged)).

"""

LIMITS = """
A fault costs live calls:

- **Where an edge is dead for long, and nobody stands in.** A refresh that leaves Asterisk in the two or three
  seconds before the companion knows that the edge is dead is repeated by Asterisk for 32 seconds. If no edge
  takes it until then, Asterisk ends the call.
- **Where nothing shows that a silent edge is dead.** A firewall drops what nobody listens for there, or the
  companion was started while the edge was away: a refresh then leaves at the last moment, because the door
  alone may be silent and the peer would hang up without
  ([how they are told apart](companion.md#when-the-edge-does-not-reply)). An edge that is away for longer than
  32 seconds and what is left of the session costs that call.
- **Where an edge that is known to be dead is away for longer than five minutes and a session has ended.**
  Until then nothing is sent through it.
- **Where the machine is too small for the takeover**:
  [what replication does not do](../how-to/failover.md#what-replication-does-not-do).
- **Where so many packets are lost that every form of a refresh is.** Three of ours leave before a call
  is hung up, two where the interval has no room for more or the peer should refresh. If a fifth is lost
  each way, an UPDATE that waits 2.25 seconds, as at an interval of 30, stays without a response in 1
  case of 21 and a re-INVITE in 1 of 92: all three in 1 of 180,000 (reckoned, not seen). At 90 seconds
  and above each waits longer. With two forms, packet loss beside a full disk ended 4, 1 and 0 of 300
  live calls in three runs; with three, 0 and 0 in two.
- **Where peers have no patience.** *Without* below counts live calls that went longer than their interval
  without a refresh. The peers of these rounds wait; others hang up then.
"""

JUDGED = """
## What is judged

Of the live calls a third is refreshed by us with UPDATE, a third by us with re-INVITE, a third by their
peers. Short calls come and go beside them. Of the dead ones half fall silent a third of an interval before
the fault, the others with it. Three things must hold after each fault:

- **No live call is ended** by us, or by Asterisk in our name. Where the fault itself ends the calls,
  nothing stays behind and new ones are served.
- **No dead call stands** longer than its interval, the time that the fault lasted, and what the column
  *Late by up to* allows beside. {slack:.0f} s more are allowed for looking.
- **Nothing is left**: every live call has its channel, is tracked and has its record; no call that is
  over has any of them; and no exception was counted. The record of a call whose BYE nobody answered is
  [kept for an hour](edge.md#records). One that a refresh of ours began anew where the table had been lost
  goes after 96 seconds, also where a BYE has met that refresh.

The columns:

- *Whole after*: from the end of the fault until all of that held and every live call was refreshed again.
- *Past*: by how much the dead call that stood longest outlived its interval.
- *Without*: live calls that went longer than their interval without a refresh.

"""

SEEN = ("Live lost", "Dead standing", "Whole after", "Past", "Without")

WHY: Mapping[frozenset[str], str] = {}
"""Why calls were lost where these were played together, for as long as a run shows that."""


def keep(path: Path, rounds: Iterable[Round], seed: int) -> None:
    """Write what a run has shown so far, over what earlier ones have shown of the same faults."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = [each.told() for each in rounds]
    fresh = {frozenset(each["faults"]) for each in new}
    before = json.loads(path.read_text(encoding="utf-8"))["rounds"] if path.exists() else []
    kept = [each for each in before if frozenset(each["faults"]) not in fresh]
    path.write_text(json.dumps({"seed": seed, "rounds": [*kept, *new]}, indent=1) + "\n", encoding="utf-8")


def written(kept: Mapping[str, Any]) -> str:
    """The page of these results; ValueError names the faults that are not among them."""
    alone = {each["faults"][0]: each for each in kept["rounds"] if len(each["faults"]) == 1}
    if missing := [fault.name for fault in FAULTS if fault.name not in alone]:
        raise ValueError(f"not played: {', '.join(missing)}")
    more = [each for each in kept["rounds"] if len(each["faults"]) > 1]
    together = sorted(more, key=lambda each: len(each["faults"]))
    calls = sorted({_calls(each) for each in kept["rounds"]})
    parts = [
        HEAD,
        *_summary(list(alone.values()), together),
        LIMITS,
        JUDGED.format(slack=SLACK),
        *(f"A round has {each}.\n" for each in calls),
        "\n## One by one\n\n",
        *_alone(alone),
        "\n## Together\n\n",
        *_together(together, kept["seed"]),
    ]
    return "".join(parts)


def _summary(alone: Sequence[Mapping[str, Any]], together: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    for what, rounds in (("one by one", alone), ("together, two or more at once", together)):
        missed = [each for each in rounds if _missed(each)]
        yield f"- Faults {what}: kept in {len(rounds) - len(missed)} of {len(rounds)} rounds.\n"
        for seen in missed:
            why = WHY.get(frozenset(seen["faults"]), "")
            text = f"**Missed**: {' + '.join(seen['faults'])} {_miss(seen)}. {why}".rstrip()
            yield textwrap.fill(text, 108, initial_indent="- ", subsequent_indent="  ") + "\n"


def _missed(seen: Mapping[str, Any]) -> bool:
    return bool(seen["lost"] or seen["standing"] or seen["left"] or seen["whole"] is None)


def _miss(seen: Mapping[str, Any]) -> str:
    left = f"; of those that were over, {seen['left']} left something" if seen["left"] else ""
    whole = "" if seen["whole"] is not None else "; never whole again"
    return (
        f"ended {seen['lost']} of {seen['live']} live calls, and {seen['standing']} of {seen['dead']} "
        f"dead ones stood too long{left}{whole}"
    )


def _alone(rounds: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    columns = ("Fault", "What is done", *SEEN, "Lasted", "Late by up to")
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    for fault in FAULTS:
        seen = rounds[fault.name]
        yield (
            f"| {fault.name} | {fault.does} | {_seen(seen)} "
            f"| {seen['lasted']:.0f} s | {fault.recovery:g} s: {fault.why} |\n"
        )


def _together(rounds: Sequence[Mapping[str, Any]], seed: int) -> Iterable[str]:
    if not rounds:
        yield "The run that this page shows has played none.\n"
        return
    yield f"Pairs are drawn by a seed ({seed}); the last row is as many at once as touch no part twice.\n\n"
    columns = ("Faults", *SEEN)
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    for seen in rounds:
        yield f"| {' + '.join(seen['faults'])} | {_seen(seen)} |\n"


def _seen(seen: Mapping[str, Any]) -> str:
    """The cells of `SEEN`."""
    cells = (
        _lost(seen),
        str(seen["standing"]),
        _seconds(seen["whole"]),
        _seconds(seen["overdue"]),
        _without(seen),
    )
    return " | ".join(cells)


def _calls(seen: Mapping[str, Any]) -> str:
    return (
        f"{seen['live']} live calls, {seen['dead']} dead ones, and a session interval of {seen['interval']} s"
    )


def _lost(seen: Mapping[str, Any]) -> str:
    return f"{seen['lost']}" + (f"; the fault ended {seen['ended']}" if seen["ended"] else "")


def _without(seen: Mapping[str, Any]) -> str:
    return "not counted" if seen["unrefreshed"] is None else str(seen["unrefreshed"])


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            KEPT.write_text(Path(sys.argv[1]).read_text(encoding="utf-8"), encoding="utf-8")
        PAGE.write_text(written(json.loads(KEPT.read_text(encoding="utf-8"))), encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"chaos-page: {error}")
