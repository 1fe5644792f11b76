"""Connects to one Asterisk's manager and logs in, and says why where that fails."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Mapping

from session_timer_companion.ami.account import AmiAccount
from session_timer_companion.ami.connection import Wire
from session_timer_companion.ami.errors import AmiError, AmiLoginError, AmiUnavailable
from session_timer_companion.ami.requests import AmiMessage, Header, Request
from session_timer_companion.printable import system_reason


async def log_in(
    account: AmiAccount,
    tls: ssl.SSLContext | None,
    event_classes: str,
    events: frozenset[str],
    heard: Callable[[AmiMessage], None],
) -> Wire:
    """One attempt, within `account.connect_timeout` seconds; returns the connection that is logged in.

    Asterisk is asked for the events of `event_classes`; `heard` gets those whose names are in `events`.
    Raises AmiUnavailable or AmiLoginError, and then no connection is left open.
    """
    loop = asyncio.get_running_loop()
    wire: Wire | None = None
    try:
        async with asyncio.timeout(account.connect_timeout):
            name = (account.tls.server_name or account.host) if account.tls is not None else None
            _, wire = await loop.create_connection(
                lambda: Wire(account, events, heard),
                account.host,
                account.port,
                ssl=tls,
                server_hostname=name,
            )
            await wire.greeted
            await _authenticate(wire, account, event_classes)
    except BaseException as error:
        if wire is not None:
            wire.abort("gave up")
        # ValueError: a host name that cannot be one
        if isinstance(error, AmiError) or not isinstance(error, (OSError, ValueError)):
            raise
        raise AmiUnavailable(f"AMI {account.address}: {_explain(error, account)}") from error
    return wire


async def _authenticate(wire: Wire, account: AmiAccount, event_classes: str) -> None:
    login = {"Username": account.username, "Events": event_classes}
    if account.tls is None:
        # the secret itself stays off a wire that anyone may read
        challenge = await _granted(wire, account, "Challenge", {"AuthType": "MD5"})
        proof = challenge.text("challenge") + account.secret
        login["AuthType"] = "MD5"
        login["Key"] = hashlib.md5(proof.encode(), usedforsecurity=False).hexdigest()
    else:
        login["Secret"] = account.secret
    await _granted(wire, account, "Login", login)


async def _granted(wire: Wire, account: AmiAccount, name: str, headers: Mapping[str, Header]) -> AmiMessage:
    answer = await wire.ask(Request(name, headers, timeout=account.connect_timeout))
    if not answer.ok:
        raise AmiLoginError(
            name=account.name,
            host=account.host,
            port=account.port,
            username=account.username,
            reason=answer.reason or "no reason given",
        )
    return answer


def _explain(error: BaseException, account: AmiAccount) -> str:
    """Why there is no connection, and what to look at."""
    if isinstance(error, TimeoutError):
        return (
            f"no AMI login within {account.connect_timeout:g} s; check that this is the AMI port, "
            "and that tls is set here exactly if it is Asterisk's TLS port"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}; check tls.ca_file and tls.server_name"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}; check that this is its TLS port (tlsbindaddr)"
    return (
        f"{system_reason(error)}; check that Asterisk runs, and that manager.conf has enabled=yes "
        "and this bindaddr and port"
    )
