"""The container stack: started and stopped by compose, asked and driven by ``docker exec``."""

from __future__ import annotations

import csv
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.sipp import SippRun, command
from tests.lab.waiting import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("edge", "asterisk", "companion", "carrier")
_INSIDE = Path(__file__).parent / "inside"
_RPC_PORT = 8090
_AMI_PORT = 5038
# Of docker/asterisk/etc/manager.conf: the lab's own user, good for nothing outside it.
_AMI_USER, _AMI_SECRET = "lab", "known-to-the-lab-only"
CDR = "/var/log/asterisk/cdr-custom/calls.csv"
# The order of docker/asterisk/etc/cdr_custom.conf.
_CDR_COLUMNS = (
    "start", "answer", "end", "billsec", "src", "dst",
    "channel", "disposition", "call_id", "cause", "userfield",
)  # fmt: skip


class LabError(RuntimeError):
    """The lab cannot do what it was asked; the message says what, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of containers, told apart from others by its project name and its network.

    ``network`` is the first three numbers of its addresses.
    """

    project: str = "session-timer"
    network: str = "198.18.0"
    sip_port: str = "5060"
    asterisk_host: int = 20
    """The last number of the address of the Asterisk that is asked by AMI."""
    edge_host: int = 10
    """The last number of the address of the edge that calls pass."""

    @classmethod
    def from_environment(cls) -> Stack:
        """The stack that the variables of docker/compose name, with their defaults."""
        return cls(
            os.environ.get("COMPOSE_PROJECT_NAME") or "session-timer",
            os.environ.get("LAB_NET") or "198.18.0",
            os.environ.get("LAB_SIP_PORT") or "5060",
        )

    @property
    def edge(self) -> str:
        """The address of Kamailio."""
        return self.address(self.edge_host)

    @property
    def asterisk(self) -> str:
        """The address of Asterisk."""
        return self.address(self.asterisk_host)

    def address(self, host: int) -> str:
        """An address of the lab's network: 10 edge, 20 Asterisk, 30 companion, 40 to 49 carrier."""
        return f"{self.network}.{host}"

    def up(self) -> None:
        """Start what is not up yet and wait until all is healthy; progress goes to the terminal."""
        self._docker_answers()
        done = subprocess.run([ROOT / "docker" / "up"], env=self._environment(), check=False)
        if done.returncode:
            raise LabError(f"the stack {self.project} did not start (docker/up says why above)")

    def is_up(self) -> bool:
        """Whether the edge of this stack runs already. Raises LabError if Docker does not answer."""
        self._docker_answers()
        name = f"name=^/?{self.container('edge')}$"
        return bool(self._run(["docker", "ps", "--quiet", "--filter", name], timeout=20).strip())

    def down(self) -> None:
        """Stop the stack and remove its containers, whatever else is in its network, and that."""
        self._run([str(ROOT / "docker" / "down")], timeout=120)

    def compose(self, *arguments: str) -> str:
        """Run one compose command and return what it printed. Raises LabError with its complaint."""
        return self._run([str(ROOT / "docker" / "compose"), *arguments], timeout=300)

    def exec(self, service: str, *arguments: str, given: str = "", timeout: float = 3 * PATIENCE) -> str:
        """Run a program in a container, ``given`` on its standard input; returns what it printed.

        ``timeout`` is seconds. Raises LabError with the program's complaint if it fails.
        """
        docker = ["docker", "exec", "-i", self.container(service), *arguments]
        return self._run(docker, given=given, timeout=timeout)

    def container(self, service: str) -> str:
        """The container's name."""
        return f"{self.project}-{service}"

    def logs(self, service: str, since: str | None = None) -> str:
        """What a service has written; ``since`` is a time in RFC 3339."""
        return "".join(self.log_lines(service, since))

    def log_lines(self, service: str, since: str | None = None) -> Iterator[str]:
        """The same line by line, each with its end, for a log that is too large to hold."""
        window = [] if since is None else ["--since", since]
        with subprocess.Popen(
            ["docker", "logs", *window, self.container(service)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as written:
            assert written.stdout is not None
            yield from written.stdout

    def logged(self, service: str, *words: str, since: str | None = None) -> str:
        """The one line of a service that has all these words; Docker may show it later than the wire does.

        ``since`` is as in `logs`. Raises NotInTimeError if there is none, ValueError if there are more.
        """
        (line,) = wait_until(
            lambda: [
                each.rstrip("\n")
                for each in self.log_lines(service, since)
                if all(word in each for word in words)
            ],
            PATIENCE,
            f"a line of {service} with {words}",
        )
        return line

    @contextmanager
    def capture(self, path: Path, service: str = "edge", packets: str = "udp") -> Iterator[Path]:
        """Capture a service's packets of one kind into ``path``, readable while it grows.

        ``packets`` is an expression of tcpdump's.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        mark = f"/tmp/capture-{secrets.token_hex(4)}.pid"  # noqa: S108 - inside a container of our own
        # Whole packets of a size that occurs, and room for many: else a burst of calls is captured with gaps.
        script = f"echo $$ >{mark}; exec tcpdump -i any -U --immediate-mode -s 9000 -B 16384 -w - '{packets}'"
        with (
            path.open("wb") as sink,
            subprocess.Popen(
                ["docker", "exec", self.container(service), "sh", "-c", script],
                stdout=sink,
                stderr=subprocess.PIPE,
                text=True,
            ) as tcpdump,
        ):
            try:
                # The file's header is written when tcpdump listens.
                wait_until(
                    lambda: path.stat().st_size >= 24 or tcpdump.poll() is not None,
                    PATIENCE,
                    f"tcpdump to listen in {self.container(service)}",
                )
                if tcpdump.poll() is not None:
                    raise LabError(
                        f"tcpdump in {self.container(service)}: {_last_line(tcpdump.communicate()[1])}"
                    )
                yield path
            finally:
                if tcpdump.poll() is None:
                    self.exec(service, "sh", "-c", f"kill $(cat {mark})")
                tcpdump.communicate(timeout=PATIENCE)

    def sipp(
        self,
        scenario: str,
        *,
        host: int,
        keys: Mapping[str, str | int],
        call_id: str | None = None,
        port: int = 5060,
        timeout: int = 60,
        calls: int = 1,
        rate: int = 10,
    ) -> SippRun:
        """Start a scenario of docker/carrier/scenarios at one of the carrier's addresses.

        ``host`` picks the address, and with it the peer's profile at the edge; ``timeout`` in seconds is
        when SIPp gives up. A scenario that begins ``uac`` calls the edge, with ``call_id``; one that
        begins ``uas`` waits for a call. Of several ``calls``, ``rate`` begin each second, and their
        ``call_id`` has SIPp's ``%u`` in it. Returns when SIPp has its port.
        """
        name = f"{scenario}-{host}-{port}"
        inner = command(
            f"/repo/docker/carrier/scenarios/{scenario}.xml",
            source=self.address(host),
            port=port,
            target=f"{self.edge}:5060" if scenario.startswith("uac") else None,
            keys=keys,
            call_id=call_id,
            timeout=timeout,
            calls=calls,
            rate=rate,
            error_file=f"/tmp/{name}.err",  # noqa: S108 - inside a container of our own
        )
        run = SippRun.start(self.container("carrier"), name, inner)
        wait_until(
            lambda: not run.running or self._listens(self.address(host), port),
            PATIENCE,
            f"SIPp ({scenario}) at {self.address(host)}:{port}",
        )
        return run

    def rpc(self, method: str, *parameters: str | int) -> Any:
        """Kamailio's answer to a JSON-RPC command. Raises LabError with its complaint."""
        question = json.dumps({"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1})
        answer = json.loads(self._inside("edge", "datagram.py", self.edge, str(_RPC_PORT), question))
        if "error" in answer:
            raise LabError(f"Kamailio, {method} {parameters}: {answer['error']['message']}")
        return answer["result"]

    def htable(self, table: str) -> dict[str, str | int]:
        """The entries of one of Kamailio's htables, by key."""
        slots = self.rpc("htable.dump", table)
        return {item["name"]: item["value"] for slot in slots for item in slot["slot"]}

    def records(self, call_id: str) -> dict[str, str | int]:
        """The edge's session timer records of one call, by key."""
        entries = self.htable("session_timer")
        return {key: value for key, value in entries.items() if key.startswith(f"{call_id};")}

    def ami(self, action: str, **fields: str) -> list[dict[str, str]]:
        """The messages with which Asterisk answers one AMI action, a list's events included."""
        return self._ami([{"Action": action, **fields}])[0]

    def set_variables(self, channel: str, *orders: tuple[str, str]) -> None:
        """Set these of a channel's variables, or of the functions that are set as such, in this order."""
        actions = [
            {"Action": "Setvar", "Channel": channel, "Variable": name, "Value": to} for name, to in orders
        ]
        self._ami(actions)

    def place_call(self, uri: str, *, endpoint: str = "edge", then: str = "wait") -> None:
        """Let Asterisk call `uri` by this endpoint; `then` is where in the dialplan it is once answered."""
        channel = f"PJSIP/{endpoint}/{uri}"
        self.ami("Originate", Channel=channel, Context="calls", Exten=then, Priority="1", Async="true")

    def asterisk_cli(self, line: str) -> str:
        """What Asterisk's console prints to one command."""
        return self.exec("asterisk", "asterisk", "-rx", line)

    def asterisk_release(self) -> tuple[int, int]:
        """Asterisk's release: (22, 10) for 22.10.1."""
        major, minor, *_ = self.ami("CoreSettings")[0]["AsteriskVersion"].split(".")
        return int(major), int(minor)

    def channels(self) -> dict[str, str]:
        """Asterisk's live PJSIP channels: the Call-ID of each with its name."""
        names = [row["Channel"] for row in self.ami("Status") if row.get("Event") == "Status"]
        # Not by Variables of Status: it holds the channel's lock meanwhile, and a BYE then freezes both.
        asked = {"Action": "Getvar", "Variable": "CHANNEL(pjsip,call-id)"}
        answers = self._ami([{**asked, "Channel": name} for name in names]) if names else []
        found = {answer[0].get("Value", ""): name for name, answer in zip(names, answers, strict=True)}
        return {call_id: name for call_id, name in found.items() if call_id}

    def cdr(self) -> list[dict[str, str]]:
        """Asterisk's call detail records, oldest first."""
        return self.cdr_rows(self.exec("asterisk", "sh", "-c", f"cat {CDR} 2>/dev/null || true"))

    @staticmethod
    def cdr_rows(text: str) -> list[dict[str, str]]:
        """The records in a piece of the file `CDR`, by the names of its columns."""
        return [dict(zip(_CDR_COLUMNS, row, strict=False)) for row in csv.reader(text.splitlines())]

    def _listens(self, address: str, port: int) -> bool:
        # /proc/net/udp writes an address as little-endian hexadecimal.
        octets = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
        return f"{octets}:{port:04X}" in self.exec("carrier", "cat", "/proc/net/udp")

    def _ami(self, actions: list[dict[str, str]]) -> list[list[dict[str, str]]]:
        arguments = (self.asterisk, str(_AMI_PORT), _AMI_USER, _AMI_SECRET, json.dumps(actions))
        answers: list[list[dict[str, str]]] = json.loads(self._inside("edge", "ami.py", *arguments))
        return answers

    def _inside(self, service: str, program: str, *arguments: str) -> str:
        return self.exec(service, "python3", "-", *arguments, given=(_INSIDE / program).read_text())

    def _docker_answers(self) -> None:
        try:
            self._run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
        except LabError as error:
            raise LabError(f"Docker does not answer: {error}\nRun docker/install-engine as root.") from None

    def _run(self, arguments: list[str], *, given: str = "", timeout: float) -> str:
        try:
            done = subprocess.run(
                arguments,
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
                env=self._environment(),
            )
        except FileNotFoundError:
            raise LabError(f"{arguments[0]}: there is no such program here") from None
        except subprocess.TimeoutExpired:
            raise LabError(f"{' '.join(arguments[:6])}: no end after {timeout:g} s") from None
        if done.returncode:
            complaint = _last_line(done.stderr) or _last_line(done.stdout) or f"exit status {done.returncode}"
            raise LabError(f"{' '.join(arguments[:6])}: {complaint}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "LAB_NET": self.network,
            "LAB_SIP_PORT": self.sip_port,
        }


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
