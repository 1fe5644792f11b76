"""`session-timer doctor` as an operator types it, against a fake Asterisk and edge."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.companion.fakes.commands import served, typed, written
from tests.companion.fakes.fake_asterisk import Received
from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.world import Agreement, Side, world

OURS = Agreement(1800, Side.LOCAL)


CALL_ID = "a/b@198.18.0.40"


ENDPOINT = {
    "timers": "no",
    "send_connected_line": "yes",
    "send_pai": "true",
    "send_rpid": "false",
    "trust_id_outbound": "true",
    "connected_line_method": "update",
}


ALLOWED = ("CoreShowChannels", "Status", "Getvar", "Setvar", "Hangup", "Ping")


@dataclass
class Manager:
    """What a manager account may do and read, as Asterisk 22 was seen to tell it."""

    allowed: tuple[str, ...] = ALLOWED
    endpoints: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"carrier": ENDPOINT})

    def __call__(self, action: Received) -> bytes | None:
        if action.name == "ListCommands":
            rows = [f"{name}: What it does.  (Priv: call,all)\r\n" for name in self.allowed]
            return b"Response: Success\r\n{id}" + "".join(rows).encode() + b"\r\n"
        variable = action["Variable"]
        if action.name == "Getvar" and variable.startswith("PJSIP_ENDPOINT("):
            name, option = variable.removeprefix("PJSIP_ENDPOINT(").removesuffix(")").split(",")
            value = self.endpoints.get(name, {}).get(option, "")
            return b"Response: Success\r\n{id}" + f"Variable: {variable}\r\nValue: {value}\r\n\r\n".encode()
        return None


async def examined(file: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """The doctor's exit status and findings."""
    status, out, _ = await typed("doctor", "--config", str(file), "--json", "--listen", "0.5", *words)
    return status, json.loads(out)


def problems(found: list[dict[str, Any]]) -> list[str]:
    return [finding["what"] for finding in found if finding["level"] == "problem"]


async def test_the_doctor_finds_nothing_wrong_with_a_good_world(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.asterisk.on_action = Manager()
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        async with served(it, file):
            status, found = await examined(file)
        assert problems(found) == []
        assert status == 0
        about = {finding["about"] for finding in found}
        assert {"configuration", "Asterisk ast1", "edge edge", "companion"} <= about
        assert "Asterisk ast1, endpoint carrier" in about
        assert it.alive(call)
        assert not it.refreshes(call), "the doctor touches no call"


async def test_the_doctor_names_each_thing_that_would_not_work(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager(
            allowed=("Status", "Getvar"),
            endpoints={"carrier": {**ENDPOINT, "timers": "yes", "send_pai": "no"}},
        )
        it.call(CALL_ID, OURS, known=False)
        status, found = await examined(written(it), "--endpoint", "nowhere")
        assert status == 1
        told = problems(found)
        for part in (
            "may not Setvar",
            "may not Hangup",
            "timers=yes",
            "send_pai=no",
            CALL_ID,
            "no option of it",
        ):
            assert any(part in one for one in told), part


async def test_the_doctor_does_not_miss_the_record_of_a_call_that_has_ended_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        manager, call = Manager(), it.call(CALL_ID, OURS, known=False)

        def ends_after_the_edge_was_asked(action: Received) -> bytes | None:
            if it.alive(call) and "PJSIP_ENDPOINT" in action["Variable"]:
                it.asterisk.hangup(call)
            return manager(action)

        it.asterisk.on_action = ends_after_the_edge_was_asked
        status, found = await examined(written(it))
        assert (status, problems(found)) == (0, [])


async def test_the_doctor_sees_a_call_that_comes_and_goes_while_it_listens(tmp_path: Path) -> None:
    """Whoever places a short call meanwhile, as the doctor says, is not told that none came."""
    async with world(tmp_path, start=False) as it:
        manager, looks, calls = Manager(), [0], list[Channel]()

        def short_call(action: Received) -> bytes | None:
            if "PJSIP_ENDPOINT" in action["Variable"]:
                looks.append(0)
            if action.name == "CoreShowChannels":
                looks[-1] += 1
                if len(looks) > 1 and looks[-1] == 2:
                    calls.append(it.call(CALL_ID, OURS))
                elif calls and it.alive(calls[0]):
                    it.asterisk.hangup(calls[0])
            return manager(action)

        it.asterisk.on_action = short_call
        it.asterisk.emit = lambda *_: None  # type: ignore[method-assign]
        status, found = await examined(written(it), "--endpoint", "carrier", "--listen", "3")
        assert calls
        assert (status, problems(found)) == (1, ["channels came and went, and no event told of it"])


async def test_the_doctor_reports_no_function_that_is_loaded_while_it_listens(tmp_path: Path) -> None:
    """Asterisk listens to AMI before it has loaded its modules."""
    async with world(tmp_path, start=False) as it:
        manager = Manager()
        it.asterisk.lacks = frozenset({"CHANNEL", "CONNECTEDLINE"})

        def loads_one(action: Received) -> bytes | None:
            if "PJSIP_ENDPOINT" in action["Variable"]:
                it.asterisk.lacks = frozenset({"CONNECTEDLINE"})
            return manager(action)

        it.asterisk.on_action = loads_one
        status, found = await examined(written(it), "--endpoint", "carrier")
        assert (status, problems(found)) == (1, ["release 22.10.1 has no function CONNECTEDLINE"])


async def test_the_doctor_names_an_edge_that_does_not_answer(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager()
        await it.edge.stop()
        status, found = await examined(written(it, door_timeout=0.2))
        await it.edge.start()
        assert status == 1
        assert any("cannot be read" in one for one in problems(found))


async def test_the_doctor_names_a_refused_login_and_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.secret = "another"  # noqa: S105
        status, found = await examined(written(it))
        assert status == 1
        (told,) = problems(found)
        assert "refused the login" in told
        assert any(finding["about"].startswith("edge") and finding["level"] == "ok" for finding in found)


async def test_the_doctor_names_what_holds_the_port(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager()
        file = written(it)
        port = yaml.safe_load(file.read_text())["companion"]["http"]["port"]
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))
            other.listen()
            status, found = await examined(file)
        assert status == 1
        assert any("another program answers" in one for one in problems(found))


async def test_quiet_is_only_what_would_not_work(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.on_action = Manager()
        file = written(it)
        quiet = ("doctor", "--config", str(file), "--quiet", "--listen", "0.5")
        assert (await typed(*quiet))[:2] == (0, "")
        status, out, _ = await typed(*quiet, "--endpoint", "nowhere")
        assert status == 1
        assert out.startswith("problem  Asterisk ast1, endpoint nowhere: ")
