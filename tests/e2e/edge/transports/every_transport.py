"""An edge, an Asterisk, a companion and a peer that have every transport, beside those of the lab."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.edge.transports import native_form
from tests.lab.parts.asterisk_once import asterisk_once
from tests.lab.parts.companion_once import companion_once
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.native_edge import NATIVE
from tests.lab.parts.observed_edge import Kamailio
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import UserAgent
from tests.lab.stack import ROOT, Stack

SCRIPT = Path(__file__).with_name("script.py")
EDGE, ASTERISK, COMPANION, PEER = 22, 23, 32, 33
"""The last numbers of their addresses, of both families."""

EDGE_SERVICE = "edge-transports"
"""What the stack calls the edge's container."""

SIP, SIPS, HTTP = 5060, 5061, 8080
KEY = "a-key-of-every-transport-that-opens-nothing-else\n"

LISTEN = "listen=udp:eth0:5060\nlisten=tcp:eth0:5060\n"
"""Of the lab's kamailio.cfg."""
FIRST = 'loadmodule "ctl.so"\n'
INCLUDED = 'include_file "/opt/session-timer/kamailio/session-timer.cfg"\n'

PAGE = ROOT / "docs" / "how-to" / "kemi.md"
TLS, LISTENERS, LARGE, WEBSOCKET = re.findall(
    r"^```cfg\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
PAGES_V4, PAGES_V6, PAGES_FILES = "198.18.0.10", "2001:db8::10", "/etc/kamailio/edge."
"""What the page has in place of ours."""

SETTINGS = """
unsafe_lab_intervals: true
session_timer: {{default_expires: 12, min_se: 4, prefer_refresher: uas}}
asterisk: ["{v4}", "{v6}"]
edge: {{name: transports, door: "http://{edge}:5060", key_file: key}}
companion:
  brake: {{hangups_a_minute: 0}}
  ami: [{{name: asterisk, host: "{v4}", username: session-timer, secret_file: /run/secrets/ami}}]
peers: {peers}
"""

TRANSPORTS = """
[tcp]
type = transport
protocol = tcp
bind = 0.0.0.0:5060

[tls]
type = transport
protocol = tls
bind = 0.0.0.0:5061
cert_file = /opt/lab/made.pem
priv_key_file = /opt/lab/made.key
method = tlsv1_2
verify_server = no
verify_client = no

[udp6]
type = transport
protocol = udp
bind = [{v6}]:5060
"""
ENDPOINT = """
[over-{name}](session-timer)
type = endpoint
transport = {transport}
context = calls
disallow = all
allow = alaw,ulaw
aors = edge
outbound_proxy = {proxy}
direct_media = no
rtp_symmetric = yes
{more}

[over-{name}]
type = identify
endpoint = over-{name}
match_header = From: /sip:over-{name}@/
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Both addresses of each part."""

    stack: Stack

    def v4(self, host: int) -> str:
        return self.stack.address(host)

    def v6(self, host: int) -> str:
        return f"fd00:{self.stack.network.replace('.', ':')}::{host}"

    def prepare(self, host: int) -> str:
        """Gives a container its address of IPv6, which Docker's network does not have."""
        return f"ip -6 addr add {self.v6(host)}/64 dev eth0 nodad"

    def uri(self, host: int, over: str) -> str:
        """Where a part is reached."""
        return {
            "udp": f"sip:{self.v4(host)}",
            "tcp": f"sip:{self.v4(host)};transport=tcp",
            "tls": f"sip:{self.v4(host)}:5061;transport=tls",
            "udp6": f"sip:[{self.v6(host)}]",
        }[over]


WEBRTC = "webrtc"
"""Whose From has `over-webrtc` is a browser: its media is ICE and DTLS-SRTP."""

OWN_V6 = ("--sysctl", "net.ipv6.conf.all.disable_ipv6=0", "--cap-add", "NET_ADMIN")


@dataclass(frozen=True, slots=True)
class EveryTransport:
    """What calls are played with."""

    stack: Stack
    """Its AMI is that of the Asterisk here, and its edge is that here."""
    addresses: Addresses
    sockets: LabSockets
    edge: Kamailio
    companion: Companion

    def peer(self, over: str) -> UserAgent:
        """The peer on one transport: udp, tcp, tls, ws, or the first two with a 6 for IPv6."""
        own = self.addresses.v6 if over.endswith("6") else self.addresses.v4
        plain = over.removesuffix("6")
        return UserAgent(
            self.sockets,
            own(PEER),
            own(EDGE),
            None,
            NATIVE,
            over=plain,
            port=SIPS if plain == "tls" else SIP,
            edge_port={"tls": SIPS, "ws": HTTP}.get(plain, SIP),
            media=self.addresses.v4(PEER),
        )


def certify(*folders: Path) -> None:
    """One certificate for all: that it is anybody's in particular is not what is tested here."""
    first, *others = folders
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lab"
    line = f"{new} -keyout {first}/made.key -out {first}/made.pem"
    subprocess.run(shlex.split(line), check=True, capture_output=True)
    (first / "made.key").chmod(0o644)
    for folder in others:
        for name in ("made.key", "made.pem"):
            shutil.copy(first / name, folder)


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def pages(at: Addresses) -> tuple[str, str, str]:
    """The page's lines for TLS, for where Kamailio listens, and for WebSocket, with addresses of ours."""
    listeners = replaced(replaced(LISTENERS, PAGES_V4, at.v4(EDGE)), PAGES_V6, at.v6(EDGE))
    return replaced(TLS, PAGES_FILES, "/settings/made."), listeners + LARGE, WEBSOCKET


def _script_form(etc: Path, at: Addresses) -> None:
    """The lab's kamailio.cfg and its script, with the lines of the page."""
    lab = ROOT / "docker" / "edge"
    config = (lab / "kamailio.cfg").read_text(encoding="utf-8")
    tls, listeners, websocket = pages(at)
    config = replaced(config, LISTEN, listeners)
    config = replaced(config, FIRST, tls + FIRST)
    config = replaced(config, INCLUDED, INCLUDED.replace("/opt/session-timer", "/checkout") + websocket)
    (etc / "kamailio.cfg").write_text(config, encoding="utf-8")
    (etc / "edge").mkdir()
    shutil.copy(lab / "kamailio.py", etc / "edge")
    shutil.copy(SCRIPT, etc / "kamailio.py")
    shutil.copy(lab / "health", etc)


def _native_form(etc: Path, at: Addresses) -> None:
    """Debian's kamailio.cfg with the lines of docs/how-to/native.md and those of the page."""
    stock = at.stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
    tls, listeners, _ = pages(at)
    config = native_form.config(stock, at.v4(EDGE), at.v4(ASTERISK), tls, listeners)
    shutil.copytree(ROOT / "kamailio", etc, dirs_exist_ok=True)
    (etc / "kamailio.cfg").write_text(config, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "edge" / "health", etc)


@contextmanager
def every_transport(
    stack: Stack, folder: Path, peers: Sequence[Mapping[str, object]] = ()
) -> Iterator[EveryTransport]:
    """Start all of it; ``folder`` is empty, ``peers`` are profiles of the settings."""
    at = Addresses(stack)
    etc, settings, asterisk = folder / "etc", folder / "settings", folder / "asterisk"
    for each in (etc, settings, asterisk):
        each.mkdir()
    certify(settings, asterisk)
    (_native_form if NATIVE else _script_form)(etc, at)
    (settings / "key").write_text(KEY, encoding="utf-8")
    text = SETTINGS.format(v4=at.v4(ASTERISK), v6=at.v6(ASTERISK), edge=at.v4(EDGE), peers=json.dumps(peers))
    (settings / "session-timer.yaml").write_text(text, encoding="utf-8")
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o755 if each.is_dir() else each.stat().st_mode | 0o444)
    environment = {
        "PYTHONPATH": "/checkout/pylib:/checkout/kamailio",
        "ASTERISK_ADDRESSES": f"{at.v4(ASTERISK)} {at.v6(ASTERISK)}",
        "ASTERISK_URIS": json.dumps(
            {f"over-{over}": at.uri(ASTERISK, over) for over in ("udp", "tcp", "tls", "udp6")}
            | {f"over-{WEBRTC}": at.uri(ASTERISK, "udp")}
        ),
    }
    once = EdgeOnce(
        stack,
        etc,
        settings / "session-timer.yaml",
        environment,
        host=EDGE,
        service=EDGE_SERVICE,
        options=OWN_V6,
    )

    def endpoints(pjsip: str) -> str:
        more = [TRANSPORTS.format(v6=at.v6(ASTERISK))]
        for over in ("udp", "tcp", "tls", "udp6"):
            proxy = at.uri(EDGE, over).replace(";", "\\;") + "\\;lr"
            more.append(ENDPOINT.format(name=over, transport=over, proxy=proxy, more=""))
            if over == "udp":
                more.append(ENDPOINT.format(name=WEBRTC, transport=over, proxy=proxy, more="webrtc = yes"))
        return "\n".join((pjsip, *more))

    place = ("--network", f"{stack.project}_sip", "--ip", at.v4(PEER), *OWN_V6, "-v", f"{settings}:/made:ro")
    files = ("-e", "CERTIFICATE=/made/made.pem", "-e", "CERTIFICATE_KEY=/made/made.key")
    with ExitStack() as kept:
        kept.enter_context(once.running(at.prepare(EDGE)))
        kept.enter_context(
            asterisk_once(
                stack,
                asterisk,
                ASTERISK,
                "asterisk-transports",
                {"pjsip.conf": endpoints},
                options=OWN_V6,
                prepare=at.prepare(ASTERISK),
            )
        )
        companion = kept.enter_context(companion_once(stack, settings, COMPANION, "companion-transports"))
        sockets = LabSockets(stack, (*place, *files), at.prepare(PEER))
        kept.callback(sockets.close)
        own = replace(stack, asterisk_host=ASTERISK, edge_host=EDGE)
        kamailio = Kamailio(sockets, (at.v4(PEER), 7090), (at.v4(EDGE), 8090))
        yield EveryTransport(own, at, sockets, kamailio, companion)
