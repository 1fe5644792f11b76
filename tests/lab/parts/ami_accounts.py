"""Accounts of Asterisk's manager that lack something."""

from __future__ import annotations

from tests.lab.parts.companion_run import put
from tests.lab.stack import Stack


def make(stack: Stack) -> None:
    """Accounts that each lack one privilege, and are called after it; their password is the companion's."""
    secret = stack.exec("asterisk", "cat", "/run/secrets/ami").strip()
    path = "/etc/asterisk/lab-secret.conf"
    text = stack.exec("asterisk", "cat", path)
    for name, rows in {
        "without-read-call": ["read = log", "write = call,reporting"],
        "without-write-call": ["read = call", "write = log"],
    }.items():
        if f"[{name}]" not in text:
            network = ["deny = 0.0.0.0/0.0.0.0", f"permit = {stack.network}.0/24"]
            text = "\n".join([text, f"[{name}]", f"secret = {secret}", *network, *rows, ""])
    put(stack, "asterisk", path, text)
    stack.asterisk_cli("manager reload")
