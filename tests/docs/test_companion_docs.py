"""The companion's reference pages, its unit, dashboard and alerts name what the code has."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import textwrap
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from demo.operator import COMMANDS, filled
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ValidationError
from session_timer import SharedKey
from session_timer.config.file import parse
from session_timer.session import Method, Reason
from session_timer.session.transitions import State
from session_timer_companion.ami.account import AmiAccount, TlsSettings
from session_timer_companion.api import RefreshOutcome
from session_timer_companion.cli import BROKEN, main
from session_timer_companion.config import Brake, CompanionSettings, EdgePlace, KeptEvents, Log
from session_timer_companion.events.hook_settings import Hook
from session_timer_companion.http.settings import Http, token_of
from session_timer_companion.metrics import ACTIONS, Metrics
from session_timer_companion.secret_files import SECRETS, STAND_IN
from session_timer_companion.section import problems_of

ROOT = Path(__file__).parents[2]
COMPANION = (ROOT / "docs/reference/companion.md").read_text()
METRICS = (ROOT / "docs/reference/metrics.md").read_text()
UNIT = (ROOT / "asterisk/systemd/session-timer-companion.service").read_text()
SECTIONS: dict[str, type[Any]] = {
    "companion": CompanionSettings,
    "companion.ami[]": AmiAccount,
    "companion.ami[].tls": TlsSettings,
    "companion.edges[]": EdgePlace,
    "companion.brake": Brake,
    "companion.http": Http,
    "companion.history": KeptEvents,
    "companion.hooks[]": Hook,
    "companion.log": Log,
}
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[ak]*/README.md")])
PAGES = [
    ROOT / "asterisk/README.md",
    ROOT / "docs/reference/companion.md",
    ROOT / "docs/how-to/companion.md",
    ROOT / "docs/how-to/install-packages.md",
    ROOT / "docs/how-to/test-with-a-provider.md",
    ROOT / "docs/how-to/freepbx.md",
]


def defaults(section: type[Any]) -> dict[str, str]:
    """Each key of a section with its default as the page writes it."""
    if issubclass(section, BaseModel):
        given = {
            name: MISSING if field.is_required() else field.get_default(call_default_factory=True)
            for name, field in section.model_fields.items()
        }
    else:
        given = {field.name: field.default for field in dataclasses.fields(section)}
        if "secret" in given:  # the password itself, wherever it is from
            given |= dict.fromkeys(SECRETS)
    return {
        name: "required"
        if default is MISSING
        else "none"
        if default is None
        else "below"
        if isinstance(default, BaseModel)
        else str(default)
        for name, default in given.items()
    }


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_and_defaults_of_each_section_are_documented(section: str) -> None:
    text = COMPANION.split(f"### `{section}`\n", 1)[1].split("\n### ", 1)[0]
    documented = {key.strip("`"): default.strip("`") for key, default, _ in rows(text)}
    actual = defaults(SECTIONS[section])
    assert documented == {
        name: value.lower() if value in ("True", "False") else value for name, value in actual.items()
    }


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_writes_under_companion_is_valid(path: Path) -> None:
    """As the companion reads it; only the programs and the passwords of the examples are not there."""
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", path.read_text(), re.DOTALL | re.MULTILINE):
        data = parse(textwrap.dedent(block), str(path))
        section = data.get("companion") if isinstance(data, dict) else None
        if section is None:
            continue
        known = {*AmiAccount.__dataclass_fields__, *SECRETS}
        assert not [account for account in section.get("ami", []) if not set(account) <= known]
        section["ami"] = [AmiAccount("ast1", "198.18.0.20", secret="secret")]  # noqa: S106  # no secret
        try:
            CompanionSettings.model_validate(section)
        except ValidationError as error:
            found = problems_of(error, CompanionSettings)
            assert [each for each in found if "is no program that can be run" not in each.reason] == []


def test_the_list_of_commands_cuts_no_sentence_short() -> None:
    listed = CliRunner().invoke(main, ["--help"], terminal_width=80).output.split("Commands:\n", 1)[1]
    assert len(listed.splitlines()) == len(main.commands)
    assert "..." not in listed


def families(registry: CollectorRegistry) -> dict[str, tuple[str, set[str]]]:
    """Of each metric as it is scraped: its type and its labels."""
    found = {}
    for collector in list(registry._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.describe() if hasattr(collector, "describe") else collector.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, labels)
    return found


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    table = METRICS.split("| Metric |", 1)[1].split("\n\n", 1)[0]
    documented = {
        name.strip("`"): (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows(table)
    }
    assert documented == families(Metrics().registry)


def test_every_value_of_a_label_is_documented() -> None:
    table = METRICS.split("| Label |", 1)[1].split("\n\n", 1)[0]
    documented = {
        label.strip("`"): set(re.findall(r"`([^`]+)`", values)) for label, values in rows(table)[:-1]
    }
    assert documented == {
        "refresher": {"local", "remote", "none"},
        "state": set(State),
        "method": {method.name for method in Method},
        "outcome": {str(outcome) for outcome in RefreshOutcome},
        "action": set(ACTIONS),
        "reason": {reason.name.lower() for reason in Reason},
    }


def test_every_command_and_option_is_documented() -> None:
    commands = set(re.findall(r"^\| `session-timer ([\w-]+)", COMPANION, re.MULTILINE))
    assert commands == set(main.commands)
    options = {
        name
        for command in main.commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    }
    assert options <= set(re.findall(r"--[a-z-]+", COMPANION))


def test_every_page_of_the_server_is_documented() -> None:
    source = (ROOT / "asterisk/session_timer_companion/http/server.py").read_text()
    served = {
        (verb.upper(), path.replace("{call_id:.+}", "<call-id>"))
        for verb, path in re.findall(r'web\.(get|post)\("([^"]+)"', source)
    }
    assert served == set(re.findall(r"^\| `(GET|POST) ([^`]+)` \|", COMPANION, re.MULTILINE))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_commands_in_the_docs_can_be_typed(path: Path) -> None:
    """Each shown `session-timer ...` is parsed by the command line itself; none is carried out."""
    shown = re.findall(
        r"^(?:    |\$ ).*?(?<![/\w-])session-timer ([a-z-]+(?: .*)?)$", path.read_text(), re.MULTILINE
    )
    assert shown
    for line in shown:
        name, *words = shlex.split(line, comments=True)
        command = main.commands.get(name)
        assert command is not None, line
        command.make_context(name, words)


def test_the_transcripts_are_those_that_the_lab_writes() -> None:
    page = (ROOT / "docs/how-to/companion.md").read_text()
    shown = dict(re.findall(r"<!-- ([a-z-]+) -->\n```text\n\$ (.*)", page))
    assert shown == COMMANDS
    assert filled(page, "doctor", "session-timer doctor", "all well").count("all well\n```\n") == 1


def test_what_the_readme_installs_is_in_the_repository() -> None:
    install = (ROOT / "asterisk/README.md").read_text().split("## Install", 1)[1].split("\n## ", 1)[0]
    copied = re.findall(r"(?<![\w/.])(?:\./)?((?:asterisk|pylib)(?:/[\w.-]+)*)", install)
    named = {path for path in copied if "/" in path or path == "pylib"}
    assert {"asterisk/manager.d/session-timer.conf", "pylib/session_timer"} <= named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def unit(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def test_the_unit_starts_the_command_and_tells_systemd_the_truth() -> None:
    (start,) = unit("ExecStart")
    program, module_option, module, name, *words = shlex.split(start)
    assert (program, module_option, module) == ("/usr/bin/python3", "-m", "session_timer_companion")
    main.commands[name].make_context(name, words)
    assert unit("Type") == ["notify"]
    (watchdog,) = unit("WatchdogSec")
    # As long as the companion lets a silent Asterisk be: see Companion.alive.
    assert float(watchdog) >= 2 * (float(defaults(AmiAccount)["ping_interval"]) + 5)
    assert unit("ExecReload") == ['/bin/sh -c "kill -HUP ${MAINPID}"']


def test_the_override_for_a_venv_starts_what_the_readme_installs() -> None:
    readme = (ROOT / "asterisk/README.md").read_text()
    (venv,) = re.findall(r"python3 -m venv (\S+)", readme)
    nothing, start = re.findall(r"^ *ExecStart=(.*)$", readme, re.MULTILINE)
    program, name, *words = shlex.split(start)
    assert (nothing, program) == ("", f"{venv}/bin/session-timer")
    assert [name, *words] == shlex.split(unit("ExecStart")[0])[3:]


def test_the_unit_starts_it_again_at_once() -> None:
    assert unit("Restart") == ["on-failure"]
    assert unit("RestartSec") == ["100ms"]


def test_the_unit_outlives_asterisk_and_hands_over_the_password() -> None:
    assert "asterisk.service" in unit("Wants")[0]
    assert "asterisk.service" in unit("After")[0]
    assert unit("Requires") == unit("BindsTo") == unit("PartOf") == []
    password, key, token = unit("LoadCredential")
    readme = (ROOT / "asterisk/README.md").read_text()
    assert f"secret_credential: {password.partition(':')[0]}" in readme
    assert f"key_credential: {key.partition(':')[0]}" in readme
    name, _, file = token.partition(":")
    page = (ROOT / "docs/how-to/companion.md").read_text()
    assert f"token_credential: {name}" in page
    assert f"> {file}" in page
    assert unit("RestartPreventExitStatus") == [f"{BROKEN} CREDENTIALS"]
    assert unit("DynamicUser") == ["yes"]


def test_a_unit_without_key_or_token_starts_and_what_stands_in_their_place_is_never_taken_for_one(
    tmp_path: Path,
) -> None:
    stand_ins = dict(line.split(":") for line in unit("SetCredential"))
    assert stand_ins == {"edge-key": STAND_IN, "http-token": STAND_IN}
    files = {line.partition(":")[0] for line in unit("LoadCredential")}
    assert stand_ins.keys() < files, "else systemd does not start it without the file"
    (tmp_path / "it").write_text(STAND_IN)
    with pytest.raises(ValueError, match="token is missing: systemd found no file for it"):
        token_of(tmp_path / "it")
    with pytest.raises(ValueError, match="the first line must be a key"):
        SharedKey.parse(STAND_IN)


def test_dashboard_and_alerts_ask_for_metrics_that_exist() -> None:
    known = set()
    for name, (kind, _) in families(Metrics().registry).items():
        known |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    dashboard = json.loads((ROOT / "asterisk/dashboards/session-timer.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = yaml.safe_load((ROOT / "asterisk/alerts/session-timer.yml").read_text())
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    asked += [rule["expr"] for rule in rules]
    edge = (ROOT / "kamailio/session-timer.cfg").read_text()
    known |= {f"kamailio_script_{name}" for name in re.findall(r'"variable", "(\w+)"', edge)}
    named = {name for expression in asked for name in re.findall(r"(?:\w+_)?session_timer_\w+", expression)}
    assert named <= known
    assert len(asked) > 10
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert f"`{rule['alert']}`" in (ROOT / "docs/how-to/monitoring.md").read_text()


def test_the_alert_of_a_companion_that_is_down_asks_for_the_job_that_the_page_names() -> None:
    alerts = (ROOT / "asterisk/alerts/session-timer.yml").read_text()
    page = (ROOT / "docs/how-to/monitoring.md").read_text()
    asked = set(re.findall(r'up\{job="([^"]+)"\}', alerts))
    assert asked
    assert asked <= set(re.findall(r"job_name: (\S+)", page))


def test_what_the_log_is_said_to_say_is_in_the_code() -> None:
    page = (ROOT / "docs/how-to/troubleshooting.md").read_text().split("## What the log says", 1)[1]
    said = [line.strip("`") for line, _ in rows(page)]
    code = "".join(
        each.read_text()
        for folder in ("asterisk/session_timer_companion", "kamailio/session_timer_kemi")
        for each in (ROOT / folder).rglob("*.py")
    )
    assert len(said) >= 10
    assert [line for line in said if f'"{line}' not in code] == []
