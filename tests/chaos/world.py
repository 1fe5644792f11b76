"""The stack, its calls and what can be seen of both; what a fault is done to."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.crowd import Crowd, Load
from tests.chaos.inside.account import Account
from tests.chaos.judge import Tables
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.replicated_edges import Running
from tests.lab.stack import LabError, Stack
from tests.lab.waiting import NotInTimeError, wait_until

INSIDE = Path(__file__).parent / "inside"
AMI = Path(__file__).parents[1] / "lab" / "inside" / "ami.py"
AMI_USER, AMI_SECRET = "lab", "known-to-the-lab-only"
"""Of docker/asterisk/etc/manager.conf: the lab's own user."""


@dataclass
class EdgePair:
    """Two edges of which one has the address that both serve."""

    holder: Running
    other: Running

    def swap(self) -> None:
        """The other one has the address now."""
        self.holder, self.other = self.other, self.holder


@dataclass
class World:
    """One stack with its crowd. A fault may put another companion, or another edge, in the place of one."""

    stack: Stack
    crowd: Crowd
    load: Load
    companion: Companion
    folder: Path
    """Of this run's own, for settings that a fault needs."""
    pair: EdgePair | None = None
    """Where two edges stand in for one another; else there is the lab's."""
    notes: list[str] = field(default_factory=list)
    """What faults have to tell of this round."""

    @property
    def edge_service(self) -> str:
        """What the stack calls the edge through which calls go."""
        return "edge" if self.pair is None else self.pair.holder.edge.service

    def note(self, what: str) -> None:
        self.notes.append(what)

    def companions(self) -> tuple[str, ...]:
        """Every address at which a companion may stand."""
        return tuple(self.stack.address(host) for host in (30, 32, 33, 34))

    def settings(self) -> Path:
        """A folder with the settings that the lab's companion runs by."""
        text = self.stack.exec("companion", "cat", "/run/session-timer.yaml")
        (self.folder / "session-timer.yaml").write_text(text, encoding="utf-8")
        return self.folder

    # What is there

    def channels(self) -> frozenset[str]:
        """Call-IDs of Asterisk's channels."""
        names = [
            row["Channel"] for row in self._ami([{"Action": "Status"}])[0] if row.get("Event") == "Status"
        ]
        asked = {"Action": "Getvar", "Variable": "CHANNEL(pjsip,call-id)"}
        answers = self._ami([{**asked, "Channel": name} for name in names]) if names else []
        return frozenset(answer[0].get("Value", "") for answer in answers) - {""}

    def sessions(self) -> frozenset[str]:
        """Call-IDs that the companion tracks."""
        return frozenset(self.companion.sessions())

    def records(self) -> dict[str, str]:
        """Of each Call-ID of which the edge has a record, that record."""
        program = (INSIDE / "whole_table.py").read_text(encoding="utf-8")
        said = self.stack.exec(self.edge_service, "python3", "-", "session_timer", given=program, timeout=10)
        return {key.partition(";")[0]: text for key, text in json.loads(said).items()}

    def tables(self) -> Tables:
        """What the three of them have. Raises LabError where one of them cannot be asked."""
        records = self.records()
        return Tables(self.channels(), self.sessions(), frozenset(records), self._faults(), records)

    def _faults(self) -> float:
        said = self.stack.exec(self.edge_service, "kamcmd", "stats.get_statistics", "session_timer_faults")
        return self.companion.metric("session_timer_faults_total") + float(said.rpartition("=")[2])

    def is_ready(self) -> bool:
        """The companion is in sync with Asterisk, and the edge's door replies to it."""
        status, body = self.companion.get("/readyz")
        if status != 200:
            return False
        report = json.loads(body)
        return {*report["asterisk"].values(), *report["edge"].values()} == {"ready"}

    def standing(self, accounts: list[Account]) -> frozenset[str]:
        """Live calls, those that come and go left out."""
        return frozenset(
            each.call_id
            for each in accounts
            if each.answered is not None
            and each.ended is None
            and each.silent is None
            and each.kind != "churn"
        )

    def is_whole(self, since: float) -> bool:
        """Ready, all calls in every table, and each refreshed since ``since`` as far as that is due."""
        try:
            if not self.is_ready():
                return False
            accounts = self.crowd.accounts()
            live = self.standing(accounts)
            tables = self.tables()
        except (LabError, NotInTimeError, AssertionError, ValueError):
            return False
        fresh = {each.call_id for each in accounts if (each.refreshed or 0.0) >= since}
        return live <= tables.channels & tables.sessions & tables.records & fresh

    # What is awaited

    def gather(self) -> None:
        """As many live and dead calls as the load says, all of them up and tracked."""
        live = sum(1 for _ in self.standing(self.crowd.accounts()))
        self.crowd.begin(max(0, self.load.live - live), self.load.dead)
        wanted = self.load.live + self.load.dead
        patience = 30 + wanted / 20

        wait_until(
            lambda: len(self.standing(self.crowd.accounts())),
            patience,
            f"{wanted} calls to be answered",
            holds=lambda seen: seen >= wanted,
            pause=0.5,
        )
        wait_until(
            lambda: len(self.standing(self.crowd.accounts()) - self.sessions()),
            20,
            "every call to be tracked",
            holds=lambda seen: seen == 0,
            pause=0.3,
        )

    def wait(self, seconds: float) -> None:
        """A fault lasts for a while."""
        time.sleep(seconds)

    def close(self) -> None:
        """Everybody hangs up, as far as that is still possible."""
        with suppress(LabError, NotInTimeError):
            self.crowd.hang_up()
            wait_until(lambda: not self.standing(self.crowd.accounts()), 10, "every call to be over")
        self.crowd.close()
        self.companion.close()

    def _ami(self, actions: list[dict[str, str]]) -> list[list[dict[str, str]]]:
        arguments = (self.stack.asterisk, "5038", AMI_USER, AMI_SECRET, json.dumps(actions))
        answers: list[list[dict[str, str]]] = json.loads(
            self.stack.exec("crowd", "python3", "-", *arguments, given=AMI.read_text(encoding="utf-8"))
        )
        return answers
