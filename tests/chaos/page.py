"""docs/reference/faults.md, from the results that a run has kept: `make chaos-page`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.faults.fault import Fault
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
A third of the live calls is refreshed by us with UPDATE, a third with re-INVITE, a third by their peers;
short calls come and go beside them. Of the dead ones half fall silent a third of an interval before the
fault, the others with it.

Three things are judged after each fault:

- **No live call is ended** by us, or by Asterisk in our name. Where the fault itself ends the calls,
  nothing stays behind and new ones are served.
- **No dead call stands** longer than its interval and what the fault held back: the time that the fault
  lasted, and what the last column says. {slack:.0f} s more are allowed for looking.
- **Nothing is left**: every live call has its channel, is tracked and has its record, no call that is
  over has any of them, and no exception was counted. The record of a call whose BYE nobody answered is
  [kept for an hour](edge.md#records). One that a refresh of ours began anew where the table had been lost
  goes after 96 seconds, also where a BYE has met that refresh.

*Calls* are the live ones, those that died, and their session interval. *Whole after* is the time from the
end of the fault until all of that held and every live call was refreshed again. *Past* is how long the
dead call that stood longest did so past its interval. *Without* counts live calls that went longer than
their interval without a refresh: these peers are patient, others may hang up then.

"""


LIMITS = """
## Limits that runs have shown

- A refresh that leaves Asterisk in the two or three seconds before the companion knows that the edge is
  dead is repeated by Asterisk for 32 seconds. If no edge takes it until then, Asterisk ends the call.
- So is one that leaves at the last moment of a session while the edge's door is silent: whether the edge is
  dead or only its door, nobody can tell, and without a refresh the peer would hang up. An edge that is away
  for longer than 32 seconds and what is left of the session costs that call. In the pair of a killed edge and
  a slow AMI it was away for 44 seconds, and the calls that we refresh had an interval of 12 seconds, the
  profile's own, since an earlier round had lost the table.
- A takeover with more to do than the machine has processors for costs calls:
  [what replication does not do](../how-to/failover.md#what-replication-does-not-do).
"""

SEEN = ("Calls", "Live lost", "Dead standing", "Whole after", "Past", "Without")


def keep(path: Path, rounds: Iterable[Round], seed: int) -> None:
    """Write what a run has shown so far, over what earlier ones have shown of the same faults."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = [each.told() for each in rounds]
    fresh = {tuple(each["faults"]) for each in new}
    before = json.loads(path.read_text(encoding="utf-8"))["rounds"] if path.exists() else []
    kept = [each for each in before if tuple(each["faults"]) not in fresh]
    path.write_text(json.dumps({"seed": seed, "rounds": [*kept, *new]}, indent=1) + "\n", encoding="utf-8")


def written(kept: Mapping[str, Any]) -> str:
    """The page of these results; ValueError names the faults that are not among them."""
    alone = {each["faults"][0]: each for each in kept["rounds"] if len(each["faults"]) == 1}
    if missing := [fault.name for fault in FAULTS if fault.name not in alone]:
        raise ValueError(f"not played: {', '.join(missing)}")
    head = HEAD.format(slack=SLACK)
    together = [each for each in kept["rounds"] if len(each["faults"]) > 1]
    missed = [
        each
        for each in kept["rounds"]
        if each["lost"] or each["standing"] or each["left"] or each["whole"] is None
    ]
    parts = [
        head,
        "## One by one\n\n",
        *_alone(alone),
        "\n## Together\n\n",
        *_together(together, kept["seed"]),
        *_missed(missed),
    ]
    return "".join(parts)


def _alone(rounds: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    columns = ("Fault", "What is done", *SEEN, "Held back")
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    for fault in FAULTS:
        seen = rounds[fault.name]
        yield (
            f"| {fault.name} | {fault.does} | {_calls(seen)} | {_lost(seen)} | {seen['standing']} "
            f"| {_seconds(seen['whole'])} | {_seconds(seen['overdue'])} | {_without(seen)} "
            f"| {_held(fault, seen)} |\n"
        )


def _calls(seen: Mapping[str, Any]) -> str:
    return f"{seen['live']}, {seen['dead']}, {seen['interval']} s"


def _lost(seen: Mapping[str, Any]) -> str:
    return f"{seen['lost']}" + (f"; the fault ended {seen['ended']}" if seen["ended"] else "")


def _without(seen: Mapping[str, Any]) -> str:
    return "not counted" if seen["unrefreshed"] is None else str(seen["unrefreshed"])


def _held(fault: Fault, seen: Mapping[str, Any]) -> str:
    return f"{seen['lasted']:.0f} s, and {fault.recovery:g} s: {fault.why}"


def _together(rounds: Sequence[Mapping[str, Any]], seed: int) -> Iterable[str]:
    if not rounds:
        yield "The run that this page shows has played none.\n"
        return
    yield f"Pairs are drawn by a seed ({seed}); the last row is as many at once as touch no part twice.\n\n"
    columns = ("Faults", *SEEN)
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    for seen in rounds:
        yield (
            f"| {' + '.join(seen['faults'])} | {_calls(seen)} | {_lost(seen)} | {seen['standing']} "
            f"| {_seconds(seen['whole'])} | {_seconds(seen['overdue'])} | {_without(seen)} |\n"
        )


def _missed(rounds: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    yield LIMITS
    for seen in rounds:
        whole = "" if seen["whole"] is not None else "; never whole again"
        left = f"; {seen['left']} calls that were over left something" if seen["left"] else ""
        yield (
            f"- Not met: {' + '.join(seen['faults'])} ended {seen['lost']} of {seen['live']} live calls, and "
            f"{seen['standing']} of {seen['dead']} dead ones stood too long{left}{whole}.\n"
        )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            KEPT.write_text(Path(sys.argv[1]).read_text(encoding="utf-8"), encoding="utf-8")
        PAGE.write_text(written(json.loads(KEPT.read_text(encoding="utf-8"))), encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"chaos-page: {error}")
