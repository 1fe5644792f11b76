"""``python -m demo.demo``: four calls on the real stack, told as they happen, then drawn and judged.

Exit status 0 if every act passed, 1 if one did not, 2 if the stack cannot run here.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from session_timer_companion.explain.drawing.ladder import Cast, Ladder, build, stack
from session_timer_companion.explain.drawing.svg import svg

from demo.acts import ACTS, Act, Call, Evidence, checks
from demo.deadline import notes
from demo.page import ActShown, page
from demo.play import new_call_id, play
from demo.telling import Telling
from tests.lab.capture import CaptureError
from tests.lab.observed import ObservedCall
from tests.lab.stack import ROOT, SERVICES, LabError, Stack
from tests.lab.waiting import NotInTimeError

OUT = ROOT / "out" / "demo"
_FAILURES = (LabError, NotInTimeError, CaptureError)


def main() -> int:
    """Play all acts; returns the exit status."""
    telling = Telling(Console())
    lab = Stack.from_environment()
    try:
        with _alone(OUT), _stage(lab):
            return _play_all(lab, telling)
    except _FAILURES as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130


def _play_all(lab: Stack, telling: Telling) -> int:
    _clear(OUT)
    began = datetime.now(UTC).isoformat()
    try:
        shown = [_play(act, lab, telling) for act in ACTS]
    except _FAILURES:
        _keep_logs(lab, began)
        raise
    (OUT / "index.html").write_text(page(shown))
    good = sum(act.passed for act in shown)
    where = OUT.relative_to(ROOT)
    telling.say("")
    if good < len(shown):
        _keep_logs(lab, began)
        telling.say(f"Logs and captures are kept in {where}/, the page is {where}/index.html")
    else:
        telling.say(f"Pictures: {where}/act-1.svg to act-{len(shown)}.svg; all of them: {where}/index.html")
    telling.say(f"demo: {good} of {len(shown)} acts passed")
    return 0 if good == len(shown) else 1


def _play(act: Act, lab: Stack, telling: Telling) -> ActShown:
    telling.say("")
    telling.say(f"Act {act.number}. {act.title}", "bold")
    telling.say(act.sentence, "dim")
    ladders: list[Ladder] = []
    found = []
    for call in act.calls:
        telling.say("")
        evidence = _call(call, lab, telling)
        verdict = checks(act, evidence)
        telling.verdict(verdict)
        ladders.append(_ladder(call, evidence.observed, lab))
        found += verdict
    title = f"{act.number}. {act.title}"
    one = Ladder(title, ladders[0].columns, ladders[0].rows) if len(ladders) == 1 else stack(title, ladders)
    picture = svg(one)
    (OUT / f"act-{act.number}.svg").write_text(picture)
    return ActShown(act.number, act.title, act.sentence, picture, tuple(found))


def _call(call: Call, lab: Stack, telling: Telling) -> Evidence:
    call_id = new_call_id(call, lab)
    telling.say(f"{call.title}: Call-ID {call_id}")
    with telling.call(_cast(lab, call), lab.edge, lab.address(call.host)) as told:
        return play(call, lab, OUT, call_id, told)


def _ladder(call: Call, observed: ObservedCall, lab: Stack) -> Ladder:
    remarks = notes(observed.packets, observed.edge, observed.carrier)
    return build(call.title, observed.packets, _cast(lab, call), remarks)


def _cast(lab: Stack, call: Call) -> Cast:
    return Cast({lab.address(call.host): "carrier", lab.edge: "edge", lab.asterisk: "Asterisk"})


def _keep_logs(lab: Stack, since: str) -> None:
    for service in SERVICES:
        (OUT / f"{service}.log").write_text(lab.logs(service, since=since))


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Two demos at a time would clear away each other's captures."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("another demo is running in this folder; wait for its end") from None
        yield


@contextmanager
def _stage(lab: Stack) -> Iterator[None]:
    """The stack, up. It is taken down again only if it was not up before."""
    found_running = lab.is_up()
    lab.up()
    try:
        yield
    finally:
        if not found_running:
            lab.down()


def _clear(out: Path) -> None:
    """Away with what an earlier demo left, and with nothing else."""
    for pattern in ("act-*.pcap", "act-*.svg", "*.log", "index.html"):
        for old in out.glob(pattern):
            old.unlink()


if __name__ == "__main__":
    sys.exit(main())
