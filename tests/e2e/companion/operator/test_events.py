"""Asterisk sends the companion's account the events that it needs, and no other."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from session_timer_companion.tracking.tracker import EVENTS

from tests.lab.peers.refreshed_calls import TIMER
from tests.lab.stack import ROOT, Stack
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

SHIPPED = ROOT / "asterisk/manager.d/session-timer.conf"
SCRIPT = Path(__file__).with_name("heard_events.py")
UNFILTERED = "without-eventfilter"


@contextmanager
def listening(stack: Stack, username: str, heard: Path) -> Iterator[Path]:
    """A client of this account that writes what it hears, from its login on."""
    secret = stack.exec("asterisk", "cat", "/run/secrets/ami").strip()
    docker = ["docker", "exec", "-i", stack.container("companion"), "timeout", "60", "python3", "-"]
    with (
        heard.open("w") as sink,
        SCRIPT.open() as script,
        subprocess.Popen([*docker, stack.asterisk, username, secret], stdin=script, stdout=sink) as client,
    ):
        try:
            wait_until(lambda: "Response: Success" in heard.read_text(), PATIENCE, f"the login of {username}")
            yield heard
        finally:
            client.kill()


def events(heard: Path) -> Counter[str]:
    lines = heard.read_text().splitlines()
    return Counter(line.removeprefix("Event: ") for line in lines if line.startswith("Event: "))


def test_of_the_class_that_the_account_may_hear_only_what_is_needed_is_sent(
    stage: Stage, tmp_path: Path
) -> None:
    stack = stage.stack
    shipped = SHIPPED.read_text(encoding="utf-8").splitlines()
    without = [row for row in shipped if not row.startswith("eventfilter")]
    assert len(without) == len(shipped) - len(EVENTS)
    rows = "\n".join(without).replace("[session-timer]", f"[{UNFILTERED}]")
    path = "/etc/asterisk/lab-secret.conf"
    before = stack.exec("asterisk", "cat", path)
    if UNFILTERED not in before:
        secret = stack.exec("asterisk", "cat", "/run/secrets/ami").strip()
        more = f"{rows}\nsecret = {secret}\npermit = {stack.network}.0/24\n"
        stack.exec("asterisk", "sh", "-c", f"cat >{path}", given=f"{before}\n{more}")
        stack.asterisk_cli("manager reload")
    with (
        listening(stack, "session-timer", tmp_path / "ours") as ours,
        listening(stack, UNFILTERED, tmp_path / "all") as everything,
    ):
        call = stage.peer(41).call()
        call.dial(TIMER, "Session-Expires: 1800;refresher=uac")
        assert call.bye().status == 200
        for heard in (ours, everything):
            wait_until(lambda heard=heard: events(heard)["Hangup"] > 0, PATIENCE, "Hangup")  # type: ignore[misc]
        assert {"Newchannel", "Newstate", "Hangup"} < set(events(everything))
        # Of 18, 20 and 21 only the late releases sort out; of 22 all that are in use.
        if stack.asterisk_release() < (22, 1):
            assert set(events(ours)) == set(events(everything))
        else:
            assert set(events(ours)) == {"Newstate", "Hangup"}
            assert events(ours).total() < events(everything).total() / 2
