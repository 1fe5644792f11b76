"""A fake Asterisk and clients for it, closed when the test ends."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from session_timer_companion.ami.client import Ami, AmiAccount

from tests.companion.fakes.clients import QUICK, Client
from tests.companion.fakes.fake_asterisk import FakeAsterisk


@pytest_asyncio.fixture
async def asterisk() -> AsyncIterator[FakeAsterisk]:
    async with FakeAsterisk() as fake:
        yield fake


@pytest_asyncio.fixture
async def client(asterisk: FakeAsterisk) -> AsyncIterator[Client]:
    """Makes a client of `asterisk`: account settings and Ami's own arguments, all by name."""
    made: list[Ami] = []
    fields = set(AmiAccount.__dataclass_fields__)

    def make(**settings: Any) -> Ami:
        account = AmiAccount("ast1", "127.0.0.1", "session-timer", "s3cret", port=asterisk.port)
        account = replace(account, **{key: settings.pop(key) for key in fields & set(settings)})
        made.append(Ami(account, **{"backoff": QUICK, **settings}))
        return made[-1]

    yield make
    for ami in made:
        await ami.aclose()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for `ast1.example`, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "ast1.pem", folder / "ast1.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    name = ["-subj", "/CN=ast1.example", "-addext", "subjectAltName=DNS:ast1.example"]
    subprocess.run(
        [*command.split(), *name, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True
    )
    return pem, key
