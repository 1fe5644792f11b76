"""What an operator sees: ``python -m demo.operator`` writes it into docs/how-to/companion.md from the stack.

Calls of four carriers are up; the companion's commands run in its container, and what they print goes between
the marks of the page, as it came.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator

from tests.lab.sipp import SippRun
from tests.lab.stack import ROOT, LabError, Stack
from tests.lab.waiting import wait_until

PAGE = ROOT / "docs" / "how-to" / "companion.md"
RUN = ("python3", "-m", "session_timer_companion")
CALL = "carrier-call-2"
COMMANDS = {
    "doctor": "session-timer doctor",
    "doctor-problem": "session-timer doctor --quiet --endpoint trunk",
    "sessions": "session-timer sessions",
    "show": f"session-timer show {CALL}",
    "refresh": f"session-timer refresh {CALL}",
    "log": f"session-timer log {CALL}",
    "watch": "session-timer watch --once",
}

TRUNK = "[trunk]\ntype = endpoint\ncontext = calls\n"
"""An endpoint as Asterisk's defaults make it."""

_PJSIP = "/etc/asterisk/pjsip.conf"

_KEYS: dict[str, str | int] = {"to": "1000", "ask": "", "allow": ", UPDATE", "count": 99, "hold": 1000}
_CALLS = (
    ("uac-answers-update", 41, {**_KEYS, "interval": 1800}),
    ("uac-answers-update", 45, {**_KEYS, "interval": 90, "ask": ";refresher=uas"}),
    ("uac-answers-reinvite", 43, {**_KEYS, "interval": 12, "ask": ";refresher=uas"}),
    ("uac-refreshes", 44, {**_KEYS, "interval": 12, "ask": ";refresher=uac", "period": 6000}),
)


def main() -> None:
    """Rewrite the page."""
    stack = Stack.from_environment()
    was_up = stack.is_up()
    stack.up()
    runs: list[SippRun] = []
    try:
        for number, (scenario, host, keys) in enumerate(_CALLS, start=1):
            call_id = f"carrier-call-{number}"
            runs.append(stack.sipp(scenario, host=host, keys=keys, call_id=call_id, timeout=120))
        wait_until(lambda: _refreshed(stack), 40, "four calls, one of them refreshed")
        text = PAGE.read_text()
        with with_endpoints(stack, TRUNK):
            for name, command in COMMANDS.items():
                text = filled(text, name, command, printed(stack, command))
        PAGE.write_text(text)
    finally:
        for run in runs:
            run.stop()
        if not was_up:
            stack.down()
    print(f"{PAGE.relative_to(ROOT)}: {len(COMMANDS)} transcripts")


def filled(page: str, name: str, command: str, said: str) -> str:
    """The page with the transcript of that name in its place. Raises LabError where it has no such place."""
    pattern = rf"(<!-- {name} -->\n)(?:```text\n.*?\n```\n)?"
    if not re.search(pattern, page):
        raise LabError(f"{PAGE.name} has no line <!-- {name} -->")
    block = f"```text\n$ {command}\n{said}\n```\n"
    return re.sub(pattern, lambda found: found[1] + block, page, count=1, flags=re.DOTALL)


@contextlib.contextmanager
def with_endpoints(stack: Stack, text: str) -> Iterator[None]:
    """More sections in Asterisk's pjsip.conf, for a while."""
    before = stack.exec("asterisk", "cat", _PJSIP)
    try:
        stack.exec("asterisk", "tee", _PJSIP, given=before + text)
        stack.asterisk_cli("module reload res_pjsip.so")
        yield
    finally:
        stack.exec("asterisk", "tee", _PJSIP, given=before)
        stack.asterisk_cli("module reload res_pjsip.so")


def _refreshed(stack: Stack) -> bool:
    with contextlib.suppress(LabError):
        said = stack.exec("companion", *RUN, "sessions")
        return "4 calls" in said and "refreshed" in said
    return False


def printed(stack: Stack, command: str) -> str:
    """What a command prints; its exit status may be 1, which is how it tells of a problem."""
    words = command.split()[1:]
    done = subprocess.run(
        ["docker", "exec", stack.container("companion"), *RUN, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "\n".join(row.rstrip() for row in f"{done.stdout}{done.stderr}".splitlines()).strip("\n")
    # The reader's addresses are those of the default stack.
    return said.replace(stack.network, "198.18.0") + (
        f"\n$ echo $?\n{done.returncode}" if "doctor" in command else ""
    )


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"demo.operator: {error}")
