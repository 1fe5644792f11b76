"""The commands that an operator types, each in a process of its own, against a fake Asterisk and edge."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml
from session_timer_companion.config import load
from session_timer_companion.http.server import serve
from session_timer_companion.http.sockets import listening

from tests.companion.fakes.world import KEY_TEXT, World


def written(it: World, **companion: object) -> Path:
    """A configuration file whose companion listens at a free port."""
    secret = it.path / "ami-secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    (it.path / "key").write_text(KEY_TEXT)
    data = {
        "session_timer": {},
        "asterisk": ["127.0.0.1"],
        "edge": {"door": it.edge.address, "key_file": "key"},
        "companion": {
            "ami": [
                {"name": "ast1", "host": "127.0.0.1", "port": it.asterisk.port, "secret_file": "ami-secret"}
            ],
            "http": {"port": free_port()},
            **companion,
        },
    }
    file = it.path / "operator.yaml"
    file.write_text(yaml.safe_dump(data))
    it.edge.digest = load(file, {}).shared.digest()
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def served(it: World, file: Path) -> AsyncIterator[None]:
    """The world's companion answers where `file` says."""
    assert it.companion is not None
    port = yaml.safe_load(file.read_text())["companion"]["http"]["port"]
    with listening("127.0.0.1", port) as doors:
        async with serve(it.companion, doors):
            yield


async def typed(*words: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `session-timer ...`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "session_timer_companion",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return process.returncode, out.decode(), err.decode()
