"""Two more Asterisks and one companion for both: one faces its peers itself, the other is behind the edge.

The one that stands alone lets its manager be reached by TLS only.
"""

from __future__ import annotations

import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.lab.parts.asterisk_once import asterisk_once
from tests.lab.parts.companion_once import companion_once
from tests.lab.parts.companion_seen import Companion
from tests.lab.peers.user_agent import ALLOW, Call, UserAgent
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.together import Stage

CARRIER, PBX, OWN_TIMERS = 42, 43, 44
"""The addresses that the lone Asterisk knows, each by an endpoint of its own."""

ALONE, SECOND, COMPANION = 17, 21, 31
"""The last numbers of their addresses."""

AT_ALONE, AT_SECOND, AT_COMPANION = "asterisk-alone", "asterisk-second", "companion-of-both"
"""What the stack calls their containers."""

ENDPOINT = """
[{name}](session-timer)
type = endpoint
transport = udp
context = calls
disallow = all
allow = alaw,ulaw
direct_media = no
{options}

[{name}]
type = identify
endpoint = {name}
match = {address}
"""

SETTINGS = """
unsafe_lab_intervals: true
session_timer: {{default_expires: 12, min_se: 4}}
asterisk: ["{network}.21"]
edge: {{door: "http://{network}.10:5060", key_file: /run/secrets/session-timer-key}}
peers:
  - {{name: pbx, match: {{name: [pbx]}}, session_timer: {{use_update: false}}}}
  - {{name: own-timers, match: {{name: [own-timers]}}, session_timer: {{mode: endpoint_timers}}}}
companion:
  ami:
    - name: alone
      host: {network}.17
      port: 5039
      secret_file: /run/secrets/ami
      tls: {{ca_file: /settings/ca.pem}}
      alone: true
    - {{name: second, host: {network}.21, secret_file: /run/secrets/ami}}
"""


def certify(folder: Path, server: Path, address: str) -> None:
    """A CA in ``folder``, one that nobody asked beside it, and in ``server`` what the first has signed."""
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    for line in (
        f"{new} -subj '/CN=lab CA' -keyout {folder}/ca.key -out {folder}/ca.pem",
        f"{new} -subj '/CN=another CA' -keyout {folder}/other.key -out {folder}/other.pem",
        f"{new} -subj /CN=asterisk -addext subjectAltName=IP:{address} -addext basicConstraints=CA:FALSE "
        f"-CA {folder}/ca.pem -CAkey {folder}/ca.key -keyout {server}/ami.key -out {server}/ami.pem",
    ):
        subprocess.run(shlex.split(line), check=True, capture_output=True)


def by_tls_only(manager: str) -> str:
    tls = "tlsenable = yes\ntlsbindaddr = 0.0.0.0:5039\ntlscertfile = /opt/lab/ami.pem\n"
    bound = "bindaddr = 0.0.0.0\n"
    assert bound in manager
    return manager.replace(bound, f"bindaddr = 127.0.0.1\n{tls}tlsprivatekey = /opt/lab/ami.key\n", 1)


@contextmanager
def both(stack: Stack, folder: Path) -> Iterator[Companion]:
    """Run them; gives the companion, in step with both. ``folder`` is theirs."""
    settings, lab = folder / "settings", folder / "alone"
    for each in (settings, lab):
        each.mkdir()
    certify(settings, lab, stack.address(ALONE))
    (settings / "session-timer.yaml").write_text(SETTINGS.format(network=stack.network), encoding="utf-8")

    def facing_the_carrier(pjsip: str) -> str:
        peers = {"carrier": (CARRIER, ""), "pbx": (PBX, ""), "own-timers": (OWN_TIMERS, "timers = yes")}
        return pjsip + "".join(
            ENDPOINT.format(name=name, address=stack.address(host), options=options)
            for name, (host, options) in peers.items()
        )

    changes = {"pjsip.conf": facing_the_carrier, "manager.conf": by_tls_only}
    with ExitStack() as running:
        running.enter_context(asterisk_once(stack, lab, ALONE, AT_ALONE, changes))
        running.enter_context(asterisk_once(stack, folder / "second", SECOND, AT_SECOND, {}))
        yield running.enter_context(companion_once(stack, settings, COMPANION, AT_COMPANION))


def direct(stage: Stage, host: int) -> UserAgent:
    """The peer at one of the carrier's addresses, as it speaks to the lone Asterisk."""
    near = stage.peer(host)
    return UserAgent(near.sockets, near.address, stage.stack.address(ALONE), near.wire)


def called_alone(stage: Stage, host: int, *rows: str, allow: str = ALLOW) -> tuple[Call, SipMessage]:
    """A call to the lone Asterisk, answered. Gives the 2xx too."""
    agent = direct(stage, host)
    call = agent.call(f"sip:wait@{agent.edge}")
    answer = call.final(call.invite(*rows, allow=allow))
    assert answer.status == 200, answer.start_line
    call.establish(answer)
    call.send("ACK", cseq=answer.cseq[0])
    return call, answer


def placed(stack: Stack, service: str, endpoint: str, agent: UserAgent) -> tuple[Call, SipMessage]:
    """A call of one of the two to a user of ``agent``, and its INVITE as it comes in there."""
    user = f"callee{secrets.token_hex(4)}"
    line = f"channel originate PJSIP/{endpoint}/sip:{user}@{agent.address} extension wait@calls"
    stack.exec(service, "asterisk", "-rx", line)
    return agent.called(user)
