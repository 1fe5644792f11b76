"""What the pages show of commands and pages is what they print, on calls that are up."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from demo.operator import COMMANDS, TRUNK, printed, with_endpoints

from tests.lab.peers.user_agent import Call
from tests.lab.stack import ROOT, Stack
from tests.lab.together import Stage

TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
COMPANION = (ROOT / "docs/how-to/companion.md").read_text(encoding="utf-8")
MONITORING = (ROOT / "docs/how-to/monitoring.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def call(stage: Stage) -> Iterator[Call]:
    """A call of a carrier, tracked."""
    up = stage.peer(45).call()
    up.dial("Supported: timer", "Session-Expires: 90;refresher=uac")
    stage.companion.session(up.call_id)
    yield up
    up.bye()


@pytest.mark.parametrize("command", re.findall(r"^    (docker/compose exec .*)$", TUTORIAL, re.MULTILINE))
def test_the_tutorials_commands_show_a_call(stack: Stack, call: Call, command: str) -> None:
    environment = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": stack.project,
        "LAB_NET": stack.network,
        "LAB_SIP_PORT": stack.sip_port,
        "COLUMNS": "200",
    }
    # Whoever types it has a terminal.
    words = command.replace(" exec ", " exec -T ").split()
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert call.call_id in done.stdout


def test_a_record_reads_as_the_tutorial_says(stage: Stage, call: Call) -> None:
    (shown,) = re.findall(r"It reads like this: `([^`]+)`", TUTORIAL)
    (record,) = stage.edge.record_texts(call.call_id).values()
    pattern = ".*".join(re.sub(r"=\w+", r"=\\w+", part) for part in shown.split("..."))
    assert re.search(pattern, record), record


def test_readiness_reads_as_the_page_shows(stage: Stage) -> None:
    (shown,) = re.findall(r"curl -s \S+/readyz\n +(\{.*\})$", MONITORING, re.MULTILINE)
    status, body = stage.companion.get("/readyz")
    assert status == 200
    page, real = json.loads(shown), json.loads(body)
    assert page.keys() == real.keys()
    assert page["version"] == real["version"]
    assert set(page["asterisk"].values()) == set(real["asterisk"].values()) == {"ready"}
    assert page["edge"] == real["edge"] == {"edge": "ready"}
    assert set(page["role"].values()) == set(real["role"].values()) == {"leading"}
    assert page["brake"] == real["brake"] == "off"


def transcript(name: str) -> str:
    (text,) = re.findall(rf"<!-- {name} -->\n```text\n\$ [^\n]*\n(.*?)\n```", COMPANION, re.DOTALL)
    return str(text)


def heads(table: str) -> list[str]:
    """The column heads of a table: the line above the rule."""
    lines = table.splitlines()
    (rule,) = [number for number, line in enumerate(lines) if set(line.strip()) == {"─"}]
    return re.split(r"\s{2,}", lines[rule - 1].strip())


@pytest.mark.parametrize("name", ["sessions", "watch"])
@pytest.mark.usefixtures("call")
def test_tables_have_the_columns_of_the_page(stack: Stack, name: str) -> None:
    assert heads(printed(stack, COMMANDS[name])) == heads(transcript(name))


def test_a_call_is_shown_with_the_rows_of_the_page(stack: Stack, call: Call) -> None:
    def labels(text: str) -> list[str]:
        return [re.split(r"\s{2,}", line)[0] for line in text.splitlines()]

    command = COMMANDS["show"].replace(COMMANDS["show"].split()[-1], call.call_id)
    assert labels(printed(stack, command)) == labels(transcript("show"))


def test_the_doctor_says_of_an_endpoint_what_the_page_shows(stack: Stack) -> None:
    def of_endpoint(text: str) -> list[str]:
        return re.findall(r"^problem  Asterisk \S+ endpoint trunk.*\n(?: .*\n)+", text + "\n", re.MULTILINE)

    page = of_endpoint(transcript("doctor-problem"))
    assert page

    with with_endpoints(stack, TRUNK):
        assert of_endpoint(printed(stack, COMMANDS["doctor-problem"])) == page
