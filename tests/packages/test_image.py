"""The companion's container image for operators, run as the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import wait_until
from tests.packages.install_page import ASTERISK_ADDRESS, EDGE_ADDRESS, commands

IMAGE = "session-timer/companion-service"


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_gets_in_step_with_asterisk_and_ends_at_once(stack: Stack, tmp_path: Path) -> None:
    make, run, ask = commands("In a container")
    assert make.strip() == "make companion-image"
    settings = (ROOT / "docker/packaging/etc/companion.yaml").read_text(encoding="utf-8")
    settings = re.sub(r"secret_credential: ami\b.*", "secret_file: ami", settings)
    settings = re.sub(r"key_credential: edge-key\b.*", "key_file: edge-key", settings)
    addresses = {EDGE_ADDRESS: stack.edge, ASTERISK_ADDRESS: stack.asterisk, "127.0.0.1": stack.asterisk}
    for example, real in addresses.items():
        settings = settings.replace(example, real)
    stack.down()
    stack.up()
    name = stack.container("image")
    try:
        (tmp_path / "session-timer.yaml").write_text(settings, encoding="utf-8")
        (tmp_path / "ami").write_text(stack.exec("asterisk", "cat", "/run/secrets/ami"), encoding="utf-8")
        shutil.copy(ROOT / "docker/config/session-timer-key", tmp_path / "edge-key")
        for secret in ("ami", "edge-key"):
            (tmp_path / secret).chmod(0o644)
        tmp_path.chmod(0o755)
        network = f"--network {stack.project}_sip"
        words = run.replace("\\\n", " ").replace("--network host", network).split()
        words = [word.replace("-v /etc", f"-v {tmp_path}") for word in words[1:]]
        words = [word.replace("/etc/session-timer:/", f"{tmp_path}:/") for word in words]
        words[words.index("session-timer-companion")] = name
        docker(*words)
        state = ("inspect", "-f", "{{.State.Health.Status}}", name)
        wait_until(lambda: docker(*state).strip(), 60, "the image", holds=lambda seen: seen == "healthy")
        asked = ask.replace("docker exec session-timer-companion", "").split()
        assert "0 calls" in docker("exec", name, *asked)
        assert docker("exec", name, "id", "-u").strip() == "65534"
        docker("stop", "--time", "5", name)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", name).strip() == "0"
        assert "stopping" in docker("logs", name)
    finally:
        docker("rm", "-f", "-v", name)
        stack.down()
