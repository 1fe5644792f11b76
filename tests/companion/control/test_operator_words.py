"""The commands with which an operator holds back, ends, refreshes and looks back."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from session_timer_companion import __version__
from session_timer_companion.http.client import Client

from tests.companion.fakes.commands import free_port, served, typed, written
from tests.companion.fakes.world import Agreement, Side, answers, world

OURS = Agreement(1800, Side.LOCAL)
CALL_ID = "call-1@198.18.0.40"


async def test_a_call_is_looked_back_at_after_its_end(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        async with served(it, file):
            it.asterisk.hangup(call)
            await it.until(lambda: not it.is_tracked(call))
            status, out, _ = await typed("log", CALL_ID, "--config", str(file))
            assert status == 0
            assert "is over for" in out
            assert [
                word
                for line in out.splitlines()[1:]
                for word in line.split()
                if "_" in word or word == "armed"
            ] == [
                "armed",
                "call_untracked",
            ]
            status, out, _ = await typed("log", CALL_ID, "--json", "--config", str(file))
            assert json.loads(out)[0]["call_id"] == CALL_ID
            status, _, err = await typed("log", "nobody", "--config", str(file))
            assert status == 1
            assert "nobody" in err


async def test_everything_or_one_call_is_held_back_and_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        where = ("--config", str(file))
        async with served(it, file):
            assert (await typed("pause", *where))[:2] == (0, "paused: nothing is sent, nobody is hung up\n")
            assert it.companion.operator.holds.paused
            assert (await typed("resume", *where))[:2] == (0, "it goes on\n")
            assert (await typed("resume", *where))[:2] == (0, "nothing was held back\n")
            assert (await typed("exclude", CALL_ID, *where))[:2] == (0, f"{call.name}: excluded\n")
            status, out, _ = await typed("exclude", CALL_ID, *where)
            assert (status, "already" in out) == (1, True)
            status, out, _ = await typed("show", CALL_ID, *where)
            assert "an operator has excluded this call" in out
            assert (await typed("resume", CALL_ID, *where))[:2] == (0, f"{call.name}: goes on\n")
            assert not it.companion.operator.holds.excluded


async def test_whoever_holds_back_at_a_standby_is_told_that_the_leader_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        it.tracker.driver.leading = False
        it.edge.leads["ast1"] = ("another-host:8080", it.edge.now + 1e6)
        file = written(it)
        async with served(it, file):
            for words in (["pause"], ["exclude", CALL_ID]):
                status, _, err = await typed(*words, "--config", str(file))
                assert status == 0
                assert "another companion leads for Asterisk ast1" in err


async def test_a_hang_up_asks_first(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call(CALL_ID, OURS)
        await it.until(lambda: it.is_tracked(call))
        file = written(it)
        async with served(it, file):
            status, out, _ = await typed("hangup", CALL_ID, "--config", str(file))
            assert status == 1, "nobody said yes"
            assert f"{call.name}  100 200" in out
            assert it.alive(call)
            status, out, _ = await typed("hangup", CALL_ID, "--yes", "--config", str(file))
            assert (status, out.splitlines()[-1]) == (0, f"{call.name}: hung up")
            assert not it.alive(call)


async def test_a_peers_calls_are_refreshed_with_a_line_for_each(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for n in range(3):
            it.call(f"call-{n}", OURS)
        await it.until(lambda: len(it.tracker.by_key) == 3)
        file = written(it)
        words = ("refresh", "--peer", "default", "--rate", "50", "--config", str(file))
        async with served(it, file):
            status, out, _ = await typed(*words)
            assert (status, out.count("UPDATE: confirmed after")) == (0, 3)
            it.peer = answers(488)
            status, out, _ = await typed(*words, "--json")
            assert (status, len(out.splitlines())) == (1, 3)
            assert {json.loads(line)["outcome"] for line in out.splitlines()} == {"refused"}
            status, _, err = await typed("refresh", "--peer", "nobody", "--config", str(file))
            assert (status, "no profile is called nobody" in err) == (1, True)
            for wrong in (("refresh",), ("refresh", CALL_ID, "--peer", "default")):
                status, _, err = await typed(*wrong, "--config", str(file))
                assert status == 2
                assert "--peer" in err


async def test_commands_bring_the_token_of_the_configuration_or_of_a_file(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        token = tmp_path / "http-token"
        token.write_text("a-token-of-these-tests\n")
        file = written(it, http={"port": free_port(), "token_file": "http-token"})
        it.companion.configuration = it.companion.configuration.__class__(
            it.companion.configuration.shared,
            it.companion.configuration.settings,
            http_token="a-token-of-these-tests",  # noqa: S106
        )
        async with served(it, file):
            assert (await typed("sessions", "--config", str(file)))[0] == 0
            port = yaml.safe_load(file.read_text())["companion"]["http"]["port"]
            url = ("--url", f"http://127.0.0.1:{port}")
            status, _, err = await typed("sessions", *url)
            assert (status, "--token-file" in err) == (1, True)
            assert (await typed("sessions", *url, "--token-file", str(token)))[0] == 0
            _, out, _ = await typed("doctor", "--config", str(file), "--listen", "0.5")
            assert f"companion: running at http://127.0.0.1:{port}" in out
            token.write_text("short")
            status, _, err = await typed("sessions", *url, "--token-file", str(token))
            assert status == 1
            assert "16" in err


def test_a_client_shows_its_token_nowhere() -> None:
    assert "secret" not in repr(Client("http://127.0.0.1:1", token="secret-of-this-test"))  # noqa: S106


async def test_the_version_is_that_of_the_package() -> None:
    assert (await typed("--version"))[1] == f"session-timer, version {__version__}\n"
