"""``python -m lab.demo``: four calls on the real stack, told as they happen, then drawn and judged.

Exit status 0 if every act passed, 1 if one did not, 2 if the stack cannot run here.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from lab.acts import ACTS, Act, Call, Evidence, checks
from lab.capture import CaptureReader, Packet, read
from lab.deadline import notes
from lab.ladder import Cast, Ladder, build, stack
from lab.mermaid import mermaid
from lab.observed import ObservedCall
from lab.page import ActShown, page
from lab.stack import ROOT, SERVICES, LabError, Stack
from lab.svg import svg
from lab.telling import Telling
from lab.waiting import NotInTimeError, wait_until

OUT = ROOT / "out" / "demo"
_TICK = 0.1
_AFTERMATH = 5.0


def main() -> int:
    """Play all acts; returns the exit status."""
    telling = Telling(Console())
    lab = Stack.from_environment()
    try:
        with _stage(lab):
            return _play_all(lab, telling)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130


def _play_all(lab: Stack, telling: Telling) -> int:
    _clear(OUT)
    began = datetime.now(UTC).isoformat()
    shown = [_play(act, lab, telling) for act in ACTS]
    (OUT / "index.html").write_text(page(shown))
    good = sum(act.passed for act in shown)
    where = OUT.relative_to(ROOT)
    telling.say("")
    if good < len(shown):
        for service in SERVICES:
            (OUT / f"{service}.log").write_text(lab.logs(service, since=began))
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
    (OUT / f"act-{act.number}.mmd").write_text(mermaid(one))
    return ActShown(act.number, act.title, act.sentence, picture, tuple(found))


def _call(call: Call, lab: Stack, telling: Telling) -> Evidence:
    carrier = lab.address(call.host)
    call_id = f"{call.name}-{secrets.token_hex(4)}@{carrier}"
    path = OUT / f"{call.name}.pcap"
    began = datetime.now(UTC).isoformat()
    telling.say(f"{call.title}: Call-ID {call_id}")
    reader = CaptureReader(path)

    def own() -> list[Packet]:
        return [packet for packet in reader.poll() if packet.message.call_id == call_id]

    with telling.call(_cast(lab, call), lab.edge, carrier) as told:
        with lab.capture(path):
            run = lab.sipp(
                call.scenario, host=call.host, keys=call.keys, call_id=call_id, timeout=call.timeout
            )
            try:
                while run.running:
                    told.hear(own())
                    told.tick(time.time())
                    time.sleep(_TICK)
            finally:
                run.stop()
            # The capture goes on until Asterisk has written down that the call is over.
            cdr = _cdr(lab, call_id)
        told.hear(own())
    reader.close()
    observed = ObservedCall.of(read(path), call_id, edge=lab.edge, carrier=carrier, asterisk=lab.asterisk)
    evidence = Evidence(
        call=call,
        observed=observed,
        status=run.wait(1),
        complaint=run.complaint(),
        cdr=cdr,
        log=_lines_of(lab.logs("companion", since=began), call_id),
        still_up=call_id in lab.channels(),
        records=len(lab.records(call_id)),
    )
    _hang_up(lab, call_id)
    return evidence


def _ladder(call: Call, observed: ObservedCall, lab: Stack) -> Ladder:
    remarks = notes(observed.packets, observed.edge, observed.carrier)
    return build(call.title, observed.packets, _cast(lab, call), remarks)


def _cast(lab: Stack, call: Call) -> Cast:
    return Cast({lab.address(call.host): "carrier", lab.edge: "edge", lab.asterisk: "Asterisk"})


def _cdr(lab: Stack, call_id: str) -> dict[str, str]:
    """Asterisk's record of the call; empty if it writes none, as for a call that it never saw."""

    def look() -> dict[str, str]:
        return next((row for row in lab.cdr() if row.get("call_id") == call_id), {})

    try:
        return wait_until(look, _AFTERMATH, f"a CDR of {call_id}")
    except NotInTimeError:
        return {}


def _hang_up(lab: Stack, call_id: str) -> None:
    """After a failure Asterisk may still hold the call; the next act shall not meet it."""
    channel = lab.channels().get(call_id)
    if channel is not None:
        lab.ami("Hangup", Channel=channel)


def _lines_of(log: str, call_id: str) -> str:
    return "\n".join(line for line in log.splitlines() if call_id in line)


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
    out.mkdir(parents=True, exist_ok=True)
    for pattern in ("act-*.pcap", "act-*.svg", "act-*.mmd", "*.log", "index.html"):
        for old in out.glob(pattern):
            old.unlink()


if __name__ == "__main__":
    sys.exit(main())
