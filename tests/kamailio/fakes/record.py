"""Asks real Kamailios what KSR has and how it behaves, for the fake one: `make kemi-api`.

Starts the edge's image of each Debian release without a network, with `probing_script.py` in place of the
routing, and sends the probes of `probes.py` through it. Writes, for each Kamailio release,

- ``api/<release>.json``: every KSR function of the modules that the edge loads, with the types of its
  arguments and of its result, as the RPC command app_python.api_list tells them;
- ``stubs/KSR.pyi``: what all releases have alike, as types for mypy;
- ``behaviour/<release>.json``: what each call of each probe returned, and the messages that went out.
"""

from __future__ import annotations

import json
import keyword
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from tests.kamailio.fakes.probes import PROBES

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SUITES = ("bookworm", "trixie", "testing")

IN_EVERY_MESSAGE = {
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Max-Forwards",
    "Server",
    "Content-Length",
    "X-Probe",
}

# The edge's own configuration, on the only interface that a container without a network has.
START = (
    "sed 's#eth0#lo#; s#/etc/kamailio/kamailio.py#/probe/probing_script.py#' /etc/kamailio/kamailio.cfg"
    " >/run/probing.cfg && exec kamailio -DD -E -m 64 -M 8 -f /run/probing.cfg"
)


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def ask(suite: str, folder: Path) -> tuple[str, Any]:
    """The release of this suite's Kamailio, such as 6.0, and what it told."""
    (folder / "probes.json").write_text(json.dumps(PROBES))
    for program in ("probing_script.py", "probing_client.py"):
        (folder / program).write_text((HERE / program).read_text())
    name = f"kemi-{uuid.uuid4().hex[:8]}"
    mounts = {
        ROOT / "docker/edge": "/etc/kamailio:ro",
        ROOT / "kamailio": "/opt/session-timer/kamailio:ro",
        folder: "/probe",
    }
    volumes = [word for host, inside in mounts.items() for word in ("-v", f"{host}:{inside}")]
    image = f"session-timer/edge:{suite}"
    docker("run", "-d", "--name", name, "--network", "none", *volumes, image, "sh", "-c", START)
    try:
        release = docker("exec", name, "kamailio", "-v").split()[2].rpartition(".")[0]
        deadline = time.monotonic() + 20
        started = ["docker", "exec", name, "test", "-p", "/run/kamailio/rpc.fifo"]
        while subprocess.run(started, check=False, capture_output=True).returncode:
            if time.monotonic() > deadline:
                log = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=False)
                sys.exit(f"{image}: Kamailio has not started within 20 s: {log.stderr[-2000:]}")
            time.sleep(0.1)
        return release, json.loads(docker("exec", name, "python3", "/probe/probing_client.py"))
    finally:
        docker("rm", "-f", name)


def full_name(function: dict[str, str]) -> str:
    return f"{function['module']}.{function['name']}" if function["module"] else function["name"]


def api(methods: list[dict[str, dict[str, str]]]) -> str:
    """One function a line, so that releases can be compared with diff."""
    told = {
        full_name(entry["func"]): [
            [] if entry["func"]["params"] in ("none", None) else entry["func"]["params"].split(", "),
            entry["func"]["ret"],
        ]
        for entry in methods
    }
    lines = (f"{json.dumps(name)}: {json.dumps(told[name])}" for name in sorted(told))
    return "{\n" + ",\n".join(lines) + "\n}\n"


_PYTHON = {"str": "str", "int": "int", "bool": "bool", "none": "int", "xval": "Any"}
"""What the types of the list are in Python; a function without a result gives 0."""


def stub(lists: list[dict[str, Any]]) -> str:
    """The functions that every release has with the same types, as the module KSR."""
    modules: dict[str, list[str]] = {"": []}
    for full, (arguments, result) in lists[0].items():
        module, _, name = full.rpartition(".")
        alike = all(other.get(full) == [arguments, result] for other in lists[1:])
        if not alike or keyword.iskeyword(name):
            continue
        named = ", ".join(f"_{number}: {_PYTHON[kind]}" for number, kind in enumerate(arguments))
        modules.setdefault(module, []).append(f"def {name}({named}) -> {_PYTHON[result]}: ...")
    text = [
        "# Written by record.py: `make kemi-api`.",
        "# ruff: noqa: N801, N802",
        "# fmt: off",
        "from typing import Any",
        "",
        *modules.pop(""),
    ]
    for module, functions in modules.items():
        text.append(f"class _{module}:")
        text += [line for function in functions for line in ("    @staticmethod", f"    {function}")]
        text.append(f"{module}: type[_{module}]")
    return "\n".join(text) + "\n"


def behaviour(probes: dict[str, Any]) -> str:
    """One call or message a line; less the rows that every message has."""
    text = []
    for name, seen in probes.items():
        seen["forwarded"] = [own_rows(message) for message in seen["forwarded"]]
        seen["answers"] = [own_rows(message) for message in seen["answers"] if " 100 " not in message[0]]
        parts = [
            f'  "{part}": [' + ",".join(f"\n   {json.dumps(line)}" for line in seen[part]) + "]"
            for part in ("calls", "forwarded", "answers")
        ]
        text.append(f'"{name}": {{\n' + ",\n".join(parts) + "}")
    return "{\n" + ",\n".join(text) + "\n}\n"


def own_rows(message: list[str]) -> list[str]:
    return [row for row in message if row.partition(":")[0] not in IN_EVERY_MESSAGE]


def main() -> None:
    """Record every release."""
    lists = []
    for suite in SUITES:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o777)
            release, told = ask(suite, Path(folder))
        (HERE / "api" / f"{release}.json").write_text(api(told["api"]))
        lists.append(json.loads(api(told["api"])))
        (HERE / "behaviour" / f"{release}.json").write_text(behaviour(told["probes"]))
        print(f"{suite}: Kamailio {release}, {len(told['api'])} functions, {len(told['probes'])} probes")
    (HERE / "stubs" / "KSR.pyi").write_text(stub(lists))


if __name__ == "__main__":
    main()
