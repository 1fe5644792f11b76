"""The user agents that nobody here wrote: how each is started, and what its interface cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NO_TIMER = "it has no session timers"
_NO_BELOW_90 = "it takes no interval below 90 s"
_BY_UPDATE = "it refreshes by UPDATE wherever the other side allows it"
_OWN_INTERVAL_AGAIN = (
    "against the RFC it refreshes with the interval of its settings instead of the agreed one, and asks for "
    "it again, several times a second, when it is told 422"
)
_ROLE_NOT_TURNED = (
    "against the RFC it names the refresher of its UPDATE as in the initial INVITE, and hands the role to us"
)
_ROLE_TAKEN = "it takes the refresher's role with its hold, as it may"
_NO_SECOND_TRY = "it does not try again after 422: the call is not made"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Agent:
    """One implementation of SIP."""

    name: str
    """Also the folder of docker/stacks that has its program."""
    title: str
    """What the page calls it."""
    image: str
    command: tuple[str, ...]
    """The program; the arguments of docker/stacks/agent_arguments.py follow."""
    release: tuple[str, ...] = ("cat", "/release")
    """What prints its release."""
    arguments: tuple[str, ...] = ()
    """Arguments that it has in every call."""
    has_timer: bool = True
    cannot: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """By scenario: why its interface cannot play it."""
    behind_sst: bool = False
    """Kamailio's `sst` stands between it and the edge."""
    is_browser: bool = False
    """It comes by WebSocket, with ICE and DTLS-SRTP: through the edge that has every transport."""
    moves: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """By scenario: how it changes who refreshes. There the call has to be kept, whoever does."""


def _without_timer() -> Mapping[str, str]:
    names = (
        "caller-it-refreshes",
        "caller-it-reinvites",
        "callee-it-refreshes",
        "refused-first",
        "refused-at-60",
    )
    return dict.fromkeys((*names, "killed-refresher"), _NO_TIMER)


AGENTS = (
    Agent(
        "pjsua2",
        "PJSIP (pjsua2)",
        "session-timer/stack-pjsua2:bookworm",
        ("python3", "/opt/stacks/pjsua2/agent.py"),
        cannot={"caller-it-reinvites": _BY_UPDATE, "refused-at-60": _NO_BELOW_90},
    ),
    Agent(
        "sofia",
        "Sofia-SIP (nua)",
        "session-timer/stack-sofia:trixie",
        ("agent",),
        moves=dict.fromkeys(("refused-first", "refused-at-60"), _OWN_INTERVAL_AGAIN),
    ),
    Agent(
        "linphone",
        "liblinphone",
        "session-timer/stack-linphone:trixie",
        ("python3", "/opt/stacks/linphone/agent.py"),
        cannot={"caller-it-reinvites": _BY_UPDATE},
        moves={"on-hold": _ROLE_TAKEN},
    ),
    Agent(
        "sipral",
        "sipral",
        "session-timer/stack-sipral:trixie",
        ("python3", "/opt/stacks/sipral/agent.py"),
        cannot={"caller-it-reinvites": _BY_UPDATE, "refused-at-60": _NO_BELOW_90},
        moves={"callee-it-refreshes": _ROLE_NOT_TURNED},
    ),
    Agent(
        "asterisk",
        "Asterisk, timers=yes",
        "session-timer/asterisk:testing",
        ("bash", "/opt/stacks/asterisk/agent"),
        release=("asterisk", "-V"),
        cannot={
            "caller-it-reinvites": _BY_UPDATE,
            "refused-at-60": _NO_BELOW_90,
            "on-hold": "it holds only what a phone behind it holds",
        },
    ),
    Agent(
        "asterisk-always",
        "Asterisk, timers=always",
        "session-timer/asterisk:testing",
        ("bash", "/opt/stacks/asterisk/agent"),
        release=("asterisk", "-V"),
        arguments=("--timer", "always"),
        cannot={
            "caller-it-reinvites": _BY_UPDATE,
            "refused-at-60": _NO_BELOW_90,
            "on-hold": "it holds only what a phone behind it holds",
        },
    ),
    Agent(
        "jssip",
        "JsSIP on Node.js, by WebSocket",
        "session-timer/stack-jssip:trixie",
        ("bash", "/opt/stacks/jssip/agent"),
        cannot=dict.fromkeys(("refused-first", "refused-at-60"), _NO_SECOND_TRY),
    ),
    Agent(
        "chromium",
        "JsSIP in Chromium, by WebSocket",
        "session-timer/stack-chromium:trixie",
        ("bash", "/opt/stacks/chromium/agent"),
        cannot=dict.fromkeys(("refused-first", "refused-at-60"), _NO_SECOND_TRY),
        is_browser=True,
    ),
    Agent(
        "sst",
        "PJSIP behind Kamailio's sst",
        "session-timer/stack-pjsua2:bookworm",
        ("python3", "/opt/stacks/pjsua2/agent.py"),
        cannot={"caller-it-reinvites": _BY_UPDATE, "refused-at-60": _NO_BELOW_90},
        behind_sst=True,
    ),
    Agent(
        "baresip",
        "baresip",
        "session-timer/stack-baresip:trixie",
        ("python3", "/opt/stacks/baresip/agent.py"),
        has_timer=False,
        cannot=_without_timer(),
    ),
    Agent(
        "netsip",
        "Net::SIP",
        "session-timer/stack-netsip:trixie",
        ("perl", "/opt/stacks/netsip/agent.pl"),
        has_timer=False,
        cannot={**_without_timer(), "on-hold": "its simple interface has no hold"},
    ),
)
