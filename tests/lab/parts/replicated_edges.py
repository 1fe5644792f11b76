"""Edges of their own with the lines of docs/how-to/failover.md, on hosts whose clocks differ."""

from __future__ import annotations

import json
import runpy
import secrets
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from session_timer.record import CHANGES, CLOCK, RECORDS

from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.observed_edge import Kamailio, fields
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import PATIENCE, wait_until

PAGE = (ROOT / "docs" / "how-to" / "failover.md").read_text(encoding="utf-8")
NATIVE_PAGE = ROOT / "docs" / "how-to" / "native.md"
_make = runpy.run_path(str(ROOT / "docker" / "edge" / "native" / "make"))
added, native = _make["added"], _make["native"]

ELSEWHERE = """
import time
from session_timer_kemi import session_timers

_monotonic = time.monotonic
session_timers.clock_id = lambda: "@NAME@"
session_timers.SessionTimers.__init__.__defaults__ = (lambda: _monotonic() + @AHEAD@,)
"""
"""Put in front of an edge's script: another host. Containers have the machine's own clock."""

HOSTS = {"a": 13, "b": 14}
AHEAD = {"a": 50_000, "b": -1_000}
"""Seconds by which their monotonic clocks differ from the machine's."""
BEHIND = 49
"""The carrier's address that plays Asterisk."""
TIMER = ("Supported: timer", "Session-Expires: 7200;refresher=uac")
SETTINGS = (
    'session_timer: {{enabled: true}}\nasterisk: ["{asterisk}"]\nedge: {{name: {name}, key_file: key}}\n'
)


def blocks(page: str, *contexts: str) -> str:
    """The page's diff blocks that go into a file with these lines."""
    found = [part for part in page.split("```diff\n")[1:] if part.partition("\n")[0].strip() in contexts]
    assert len(found) == len(contexts), contexts
    return "".join(f"```diff\n{part.partition('```')[0]}```\n" for part in found)


@dataclass(frozen=True, slots=True)
class Running:
    """An edge that runs, until it is stopped."""

    name: str
    edge: EdgeOnce
    kamailio: Kamailio
    kept: ExitStack

    def entries(self, table: str) -> dict[str, str]:
        slots = self.kamailio.rpc("htable.dump", table)["result"]
        return {item["name"]: str(item["value"]) for slot in slots for item in slot["slot"]}

    def copy(self, call_id: str, timeout: float, **holds: str) -> dict[str, str]:
        """The record of a call as it stands here, once it holds these values; ``timeout`` is seconds."""

        def look() -> dict[str, str]:
            entries = self.entries(RECORDS)
            texts = [text for key, text in entries.items() if key.startswith(f"{call_id};")]
            return fields(texts[0]) if texts else {}

        return wait_until(
            look,
            timeout,
            f"{call_id} with {holds} at edge {self.name}",
            holds=lambda seen: bool(seen) and all(seen.get(name) == text for name, text in holds.items()),
            pause=0.03,
        )

    def clocks(self, *names: str) -> dict[str, float]:
        """The clocks that are listed here, once these are."""
        mark = CLOCK

        def look() -> dict[str, float]:
            listed = self.entries(CHANGES)
            return {key.removeprefix(mark): float(at) for key, at in listed.items() if key.startswith(mark)}

        return wait_until(
            look, PATIENCE, f"clocks {names} at edge {self.name}", holds=lambda seen: set(names) <= set(seen)
        )

    def kill(self) -> None:
        self.kept.close()


class Edges:
    """Makes the two edges in one of the two ways of configuring Kamailio."""

    def __init__(
        self, stack: Stack, sockets: LabSockets, folder: Path, way: str, *, shared: int | None = None
    ) -> None:
        """``shared``: the last number of an address at which both serve the lab's Asterisk; None: no such."""
        self._stack, self._sockets, self._folder, self._way = stack, sockets, folder, way
        self._shared = shared
        self._stop = ExitStack()

    def start(self, name: str) -> Running:
        edge = self._edge(name)
        kept = self._stop.enter_context(ExitStack())
        kept.enter_context(edge.running())
        own = (self._stack.address(40), 7100 + HOSTS[name])
        return Running(name, edge, Kamailio(self._sockets, own, (edge.address, 8090)), kept)

    def close(self) -> None:
        self._stop.close()

    def _edge(self, name: str) -> EdgeOnce:
        own, other = (self._stack.address(HOSTS[each]) for each in (name, "b" if name == "a" else "a"))
        page = PAGE.replace("198.18.0.10", own).replace("198.18.0.11", other)
        if self._shared is not None:
            page = page.replace("198.18.0.12", self._stack.address(self._shared))
        folder, settings = self._folder / name / "etc", self._folder / name / "settings"
        folder.mkdir(parents=True)
        settings.mkdir()
        if self._shared is None:
            asterisk = self._stack.address(BEHIND)
            text = SETTINGS.format(asterisk=asterisk, name=f"edge-{name}")
        else:
            asterisk = self._stack.asterisk
            lab = (ROOT / "docker" / "config" / "session-timer.yaml").read_text(encoding="utf-8")
            text = lab.replace("@LAB_NET@.10", self._stack.address(self._shared))
            text = text.replace("@LAB_NET@", self._stack.network)
            text = text.replace("/run/secrets/session-timer-key", "key")
        (settings / "session-timer.yaml").write_text(text, encoding="utf-8")
        shutil.copy(ROOT / "docker" / "config" / "session-timer-key", settings / "key")
        script = self._native(folder, page, own) if self._way == "native" else self._kemi(folder, page)
        elsewhere = ELSEWHERE.replace("@NAME@", f"host-{name}").replace("@AHEAD@", str(AHEAD[name]))
        whole = script.read_text(encoding="utf-8")
        script.write_text(whole.replace("\nclass ", f"\n{elsewhere}\n\nclass ", 1), encoding="utf-8")
        for package in (ROOT / "kamailio" / "session_timer_kemi", ROOT / "pylib" / "session_timer"):
            shutil.copytree(package, folder / package.name)
        shutil.copy(ROOT / "docker" / "edge" / "health", folder)
        environment = {"ASTERISK_ADDRESS": asterisk}
        edge = EdgeOnce(
            self._stack, folder, settings / "session-timer.yaml", environment, HOSTS[name], f"edge-{name}"
        )
        if self._shared is None:
            return edge
        # The RPC is at the shared address, which this edge need not have.
        return replace(edge, options=("--sysctl", "net.ipv4.ip_nonlocal_bind=1"), health="kamcmd core.uptime")

    def _kemi(self, folder: Path, page: str) -> Path:
        lab = ROOT / "docker" / "edge"
        config = (lab / "kamailio.cfg").read_text(encoding="utf-8")
        config = config.replace("/opt/session-timer/kamailio/", "")
        config = added(config, blocks(page, 'loadmodule "sl.so"'))
        if self._shared is not None:
            # The tests look into the tables of whichever edge has the address.
            config = config.replace("udp:0.0.0.0:8090", f"udp:{self._stack.address(self._shared)}:8090")
            config = added(config, blocks(page, "listen=udp:eth0:5060"))
        (folder / "kamailio.cfg").write_text(config, encoding="utf-8")
        shutil.copy(ROOT / "kamailio" / "session-timer.cfg", folder)
        script = (lab / "kamailio.py").read_text(encoding="utf-8")
        lines = blocks(page, "def ksr_request_route(self, msg: object) -> int:")
        (folder / "kamailio.py").write_text(added(script, lines), encoding="utf-8")
        return folder / "kamailio.py"

    def _native(self, folder: Path, page: str, own: str) -> Path:
        stock = self._stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
        config = native(stock, NATIVE_PAGE.read_text(encoding="utf-8").replace("198.18.0.10", own))
        config = added(config, blocks(page, 'loadmodule "sl.so"', "# per request initial checks"))
        (folder / "kamailio.cfg").write_text(config, encoding="utf-8")
        for each in (ROOT / "kamailio").glob("session-timer*"):
            shutil.copy(each, folder)
        return folder / "session-timer.py"


# A gratuitous ARP request: whoever knows the address learns where it is now, as keepalived has it.
_ANNOUNCE = """
import socket
own, broadcast = open("/sys/class/net/eth0/address").read().strip(), "ff:ff:ff:ff:ff:ff"
mac, everybody = (bytes.fromhex(each.replace(":", "")) for each in (own, broadcast))
address = socket.inet_aton({address!r})
frame = everybody + mac + bytes.fromhex("08060001080006040001") + mac + address + everybody + address
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("eth0", 0))
    wire.send(frame)
"""


def take(stack: Stack, edge: Running, host: int) -> None:
    """Give the address that ends in ``host`` to this edge, and tell everybody."""
    address = stack.address(host)
    script = f'ip address add {address}/24 dev eth0 && exec python3 -c "$1"'
    _at(stack, edge, script, "sh", _ANNOUNCE.format(address=address))


def leave(stack: Stack, edge: Running, host: int) -> None:
    """Take that address from this edge, which goes on without."""
    _at(stack, edge, f"ip address del {stack.address(host)}/24 dev eth0")


def _at(stack: Stack, edge: Running, script: str, *arguments: str) -> None:
    """Run a shell script in the edge's network, where it may change addresses."""
    inspect = ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("companion")]
    image = subprocess.check_output(inspect, text=True).strip()
    inside = ["docker", "run", "--rm", "--cap-add", "NET_ADMIN", "--network"]
    inside += [f"container:{stack.container(edge.edge.service)}", "--entrypoint", "sh", image]
    subprocess.run([*inside, "-c", script, *arguments], check=True)


# Sends one datagram and prints the first line of what comes back within some seconds, if anything does.
_SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    udp.settimeout({within!r})
    udp.sendto({data!r}, ({to!r}, 5060))
    try:
        print(udp.recv(65535).partition(b"\\r")[0].decode())
    except TimeoutError:
        print("nothing")
"""


def replicate(stack: Stack, service: str, to: str, key: str, text: str, within: float = PATIENCE) -> str:
    """Send what Kamailio sends to copy an entry, from the address of ``service``; gives the answer.

    ``within`` is how many seconds are waited for one; else it is "nothing".
    """
    body = {"action": 2, "htname": RECORDS, "cname": key, "type": 2, "strval": text, "mode": 1}
    mark, written = secrets.token_hex(6), json.dumps(body)
    rows = [
        f"KDMQ sip:htable@{to}:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP {to};branch=z9hG4bK{mark};rport",
        f"From: <sip:htable@{to}:5060>;tag={mark}",
        f"To: <sip:htable@{to}:5060>",
        f"Call-ID: {mark}",
        "CSeq: 10 KDMQ",
        "Max-Forwards: 1",
        "Content-Type: application/json",
        f"Content-Length: {len(written)}",
    ]
    data = ("\r\n".join(rows) + "\r\n\r\n" + written).encode()
    return stack.exec(service, "python3", "-", given=_SEND.format(data=data, to=to, within=within)).strip()
