"""What a type checker tells a program that uses the library."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import session_timer
from mypy import api

RIGHT = """\
from typing import assert_type
from session_timer import DialogTimer, Policy, RefreshRequest, RefreshResponse, minimum, proxy, session, uac
from session_timer import uas
from session_timer.session import Action, Session

policy = Policy(min_se=300, default_expires=1800)
request = RefreshRequest.read("INVITE", lambda header: ["timer"] if header == "Supported" else [])
assert_type(uas.answer(request, policy), minimum.Reject | uas.Accept)
assert_type(proxy.forward(request, policy), minimum.Reject | tuple[proxy.Forward, proxy.Remembered])
assert_type(uac.accept(uac.request(policy), RefreshResponse(), policy), DialogTimer)
held = session.begin(DialogTimer(), 0.0, policy)
assert_type(session.due(held, 1.0), tuple[Session, Action | None])
match session.due(held, 1.0)[1]:
    case session.Send(method):
        assert_type(method, session.Method)
    case session.Ask() | session.Expire() | None:
        pass
"""

WRONG = """\
from session_timer import DialogTimer, Policy, Side, session, uas

Policy(min_se="300")
Policy().min_se = 300
session.begin(DialogTimer(), 0.0, Policy(), True)
uas.answer("INVITE", Policy())
uas.answer(None, Policy()).dialog
Side.BOTH
"""


def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> list[int]:
    """The lines of `program` that a strict check complains about."""
    monkeypatch.setenv("MYPYPATH", str(Path(session_timer.__file__).parents[1]))
    file = tmp_path / "program.py"
    file.write_text(program)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = (
        "--strict",
        "--no-error-summary",
        "--config-file=",
        f"--cache-dir={tmp_path}",
        f"--python-version={version}",
    )
    found, trouble, _ = api.run([*options, str(file)])
    assert trouble == ""
    return sorted({int(line) for line in re.findall(r"program\.py:(\d+): error", found)})


def test_what_is_right_is_seen_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(tmp_path, monkeypatch, RIGHT) == []


def test_what_is_wrong_is_seen_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(tmp_path, monkeypatch, WRONG) == list(range(3, 9))
