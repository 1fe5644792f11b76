"""What the doctor makes of the configuration and of the running companion. Facts in, findings out."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from session_timer_companion.config import Configuration
from session_timer_companion.doctor.finding import PJSIP, Finding, Level
from session_timer_companion.http.settings import is_loopback


@dataclass(frozen=True, slots=True)
class CompanionFacts:
    """What answers where the companion's HTTP is expected."""

    url: str
    running: bool = False
    foreign: bool = False
    """Something else answers there."""
    trouble: str = ""
    version: str = ""
    waiting_for: tuple[str, ...] = ()
    """What it is not ready with, and why."""
    swallowed: int = 0
    """Refreshes that Asterisk called a success, and only another form brought an answer."""
    faults: int = 0
    brake: bool = False
    """No call is hung up until somebody says so."""


def of_configuration(configuration: Configuration, path: Path) -> Iterator[Finding]:
    """What is allowed, and still would not work or should be known."""
    shared, settings = configuration.shared, configuration.settings
    about, file = "configuration", str(path)
    peers = len(shared.peers)
    yield Finding(Level.OK, about, f"{path} is valid: {peers} peer profile{'s' * (peers != 1)}")
    if configuration.edges and not shared.anchors:
        yield Finding(
            Level.PROBLEM,
            about,
            "`asterisk` lists no server",
            "the edge speaks for nobody: every call passes between ends with timers of their own, "
            "and none gets the internal header",
            "asterisk: [<address of Asterisk as Kamailio sees it>]",
            file,
        )
    for warning in shared.warnings:
        yield Finding(Level.NOTE, about, f"{warning.path}: {warning.reason}", file=file)
    if shared.policy.floor < 90:
        yield Finding(
            Level.NOTE,
            about,
            "unsafe_lab_intervals is true",
            "intervals below 90 seconds are for a lab; no peer out there accepts them (RFC 4028 section 4)",
            "remove unsafe_lab_intervals",
            file,
        )
    if settings.http.enabled and not is_loopback(settings.http.host):
        yield Finding(
            Level.NOTE,
            about,
            f"HTTP listens on {settings.http.host}",
            "whoever has the token sees calls and may hang them up, and the token is sent as it is",
            "companion: {http: {host: 127.0.0.1}}, or TLS in front of it",
            file,
        )
    for server, holder in zip(settings.ami, configuration.password_holders, strict=True):
        yield from _readable_by_all(server.name, holder)
        if server.tls is None and not is_loopback(server.host):
            yield Finding(
                Level.NOTE,
                about,
                f"AMI to {server.host} is not encrypted",
                "the password is not sent as it is, but whoever is on the way may read and change the rest",
                "tls: {ca_file: <PEM file>}   and tlsenable = yes in manager.conf",
                file,
            )


def _readable_by_all(name: str, holder: Path | None) -> Iterator[Finding]:
    if holder is None:
        return
    try:
        mode = holder.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IROTH:
        yield Finding(
            Level.NOTE,
            "configuration",
            f"every user of this host can read {holder}, which holds the AMI password of {name}",
            "that account may hang up calls",
            f"chmod o-r {holder}",
            str(holder),
        )


def of_companion(facts: CompanionFacts, version: str) -> Iterator[Finding]:
    """The companion of this host, if it runs."""
    about = "companion"
    if facts.foreign:
        yield Finding(
            Level.PROBLEM,
            about,
            f"another program answers at {facts.url}",
            "the companion cannot listen there, and does not start",
            "companion: {http: {port: <a free one>}}",
            "the configuration",
        )
        return
    if not facts.running:
        yield Finding(
            Level.NOTE,
            about,
            f"not running at {facts.url}",
            "nothing is refreshed until it is started",
            "systemctl enable --now session-timer-companion",
        )
        return
    yield Finding(Level.OK, about, f"running at {facts.url}, release {facts.version}")
    if facts.version != version:
        yield Finding(
            Level.NOTE,
            about,
            f"release {facts.version} is running, {version} is installed",
            "an upgrade takes effect at the next start",
            "systemctl restart session-timer-companion",
        )
    for part in facts.waiting_for:
        yield Finding(Level.PROBLEM, about, f"not ready: {part}", "its calls are not kept")
    if facts.brake:
        yield Finding(
            Level.PROBLEM,
            about,
            "the brake is on: there were too many hang-ups within a minute",
            "no call, or none with the peer that /readyz names, is hung up until a person has looked",
            "session-timer resume   once you know why (the log: hung_up, brake_on)",
        )
    if facts.swallowed:
        yield Finding(
            Level.PROBLEM,
            about,
            f"{facts.swallowed} refreshes since its start: Asterisk said Success, and none passed the edge",
            "the endpoint swallows UPDATE, or the edge's routes do not see requests within dialogs",
            "the endpoint's options (above); the log names each call: `refresh_swallowed`, `route_not_armed`",
            PJSIP,
        )
    if facts.faults:
        yield Finding(
            Level.PROBLEM,
            about,
            f"{facts.faults} errors in our code since its start (session_timer_faults_total)",
            "the calls went on; what was due was tried again",
            "journalctl -u session-timer-companion | grep internal_error   and report what it says",
        )
