"""docs/how-to/freepbx.md on Debian's own Asterisk, its files laid out as FreePBX does it."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.install_steps import blocks, typed
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import wait_until

PAGE = (ROOT / "docs/how-to/freepbx.md").read_text(encoding="utf-8")
TRUNK, ACCOUNT = blocks(PAGE, "ini")
WRITTEN_BY_FREEPBX = {
    "manager.conf": "[general]\nenabled = yes\n#include manager_additional.conf\n"
    "#include manager_custom.conf\n",
    "manager_additional.conf": "",
    "pjsip.conf": "#include pjsip.transports.conf\n#include pjsip.endpoint.conf\n"
    "#include pjsip.endpoint_custom_post.conf\n#include pjsip.aor.conf\n",
    "pjsip.transports.conf": "[0.0.0.0-udp]\ntype=transport\nprotocol=udp\nbind=0.0.0.0:5060\n",
    "pjsip.aor.conf": "[edge]\ntype=aor\ncontact=sip:198.18.0.10:5060\n",
    "pjsip.endpoint.conf": "[edge]\ntype=endpoint\ntransport=0.0.0.0-udp\ncontext=from-pstn\ndisallow=all\n"
    "allow=ulaw,alaw\naors=edge\n",
}


@pytest.fixture
def asterisk(stack: Stack) -> Iterator[str]:
    """With an empty configuration of ours, under Debian's user; gives the container's name."""
    inspect = ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("asterisk")]
    image = subprocess.check_output(inspect, text=True).strip()
    name = f"{stack.project}-freepbx-{secrets.token_hex(3)}"
    start = ["--entrypoint", "asterisk", image, "-f", "-U", "asterisk", "-G", "asterisk"]
    docker = ["docker", "run", "-d", "--name", name, "--network", "none", *start]
    subprocess.run(docker, check=True, capture_output=True)
    booted = ["docker", "exec", name, "asterisk", "-rx", "core waitfullybooted"]
    try:
        wait_until(
            lambda: subprocess.run(booted, capture_output=True, check=False).returncode == 0, 30, "Asterisk"
        )
        yield name
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], check=True, capture_output=True)


def shell(container: str, script: str, given: str = "") -> str:
    docker = ["docker", "exec", "-i", container, "bash", "-euc", script]
    done = subprocess.run(docker, input=given, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_trunk_and_account_are_as_the_page_says(asterisk: str) -> None:
    for name, text in WRITTEN_BY_FREEPBX.items():
        shell(asterisk, f"cat >/etc/asterisk/{name}", text)
    shell(asterisk, "cat >/etc/asterisk/pjsip.endpoint_custom_post.conf", TRUNK)
    shell(asterisk, "cat >/etc/asterisk/manager_custom.conf", ACCOUNT)
    (read,) = [each for each in typed(PAGE) if "manager reload" in each]
    said = shell(asterisk, read)
    for option in settings(TRUNK):
        name, _, value = option.partition("=")
        shown = {"yes": "true", "no": "false"}.get(value, value)
        found = re.search(rf"^ *{name} *: (\S+)", said, re.MULTILINE)
        assert found, said
        assert found[1] in (value, shown), option
    assert "write perm: call" in said
    assert "read perm: call" in said


def settings(text: str) -> set[str]:
    """The options of a configuration file of Asterisk's, without their spaces."""
    rows = (row.replace(" ", "") for row in text.splitlines())
    return {row for row in rows if row and row[0] not in ";["}


def test_what_is_typed_there_is_what_we_ship() -> None:
    assert settings(TRUNK) == settings((ROOT / "asterisk/pjsip/session-timer.conf").read_text())
    shipped = settings((ROOT / "asterisk/manager.d/session-timer.conf").read_text())
    ours = settings(ACCOUNT) - {"secret=a-long-random-word"}
    masks = {each.replace("/255.255.255.255", "/32") for each in ours}
    assert masks == shipped
