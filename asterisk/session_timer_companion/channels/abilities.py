"""What the companion needs of an Asterisk, and how it is tried.

    release, lacking = await abilities.at_login(ami)

AMI answers Success and an empty value where a function does not exist. So each is read where it has something
to say. Those of PJSIP are read on calls only: without a channel `PJSIP_DTMF_MODE()` ends Asterisk itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from session_timer_companion.ami.client import Ami, AmiMessage
from session_timer_companion.channels.calls import Call


class Need(NamedTuple):
    """A function of Asterisk that the companion uses."""

    function: str
    module: str
    """The module of Asterisk that has it."""
    since: str
    """The releases that have it; empty for every one."""
    without: str
    """What follows where it is lacking."""

    @property
    def told(self) -> str:
        """It, where it is to be had, and what follows where it is lacking."""
        releases = f", Asterisk {self.since}" if self.since else ""
        return f"{self.function} ({self.module}{releases}): {self.without}"


CHANNEL = Need("CHANNEL", "func_channel.so", "", "no call is found, and none is kept")
CONNECTED_LINE = Need("CONNECTEDLINE", "func_callerid.so", "", "no UPDATE leaves, only re-INVITE")
DIGITS = Need("PJSIP_DTMF_MODE", "chan_pjsip.so", "", "no session is repeated by re-INVITE")
RECEIVED_HEADER = Need(
    "PJSIP_HEADER", "res_pjsip_header_funcs.so", "", "calls that Asterisk received are not kept"
)
PLACED_HEADER = Need(
    "PJSIP_RESPONSE_HEADER",
    "res_pjsip_header_funcs.so",
    "16.28, 18.14, 20 and later",
    "calls that Asterisk placed are not kept",
)

CALLS_AT_MOST = 4
"""Calls without an internal header on which the functions that read headers are tried at once."""

_WITHOUT_CALL = {"CHANNEL(state)": CHANNEL, "CONNECTEDLINE(pres)": CONNECTED_LINE}
WITHOUT_CALL = frozenset(_WITHOUT_CALL.values())
"""What shows without a call whether it is there."""
_QUESTIONS = tuple(("Getvar", {"Variable": function}) for function in _WITHOUT_CALL)
_STATE = "CHANNEL(state)"
# In any INVITE and in any 2xx there is a Call-ID; only the channel of a call received has a Request-URI.
_HEADERS = (
    "PJSIP_HEADER(read,Call-ID)",
    "PJSIP_RESPONSE_HEADER(read,Call-ID)",
    "CHANNEL(pjsip,request_uri)",
    _STATE,
)
_RELEASE = re.compile(r"(?:certified[/-])?(\d+)\.(\d+)(?:\.(\d+))?")


class Tried(NamedTuple):
    """What came of trying functions on calls; what is in neither of them was not seen."""

    present: frozenset[Need] = frozenset()
    lacking: frozenset[Need] = frozenset()


def written(release: int | None) -> str:
    """``22.10.1`` for 221001."""
    if release is None:
        return "unknown"
    return f"{release // 10_000}.{release // 100 % 100}.{release % 100}"


def lacking_in(release: int | None) -> frozenset[Need]:
    """What a release does not have, 16.16.1 being 161601; nothing is known to be lacking where it is None."""
    if release is not None and (release < 162_800 or 180_000 <= release < 181_400):
        return frozenset({PLACED_HEADER})
    return frozenset()


async def at_login(ami: Ami) -> tuple[int | None, frozenset[Need]]:
    """Asterisk's release as one number, 22.10.1 as 221001, None where it does not say; and what it lacks.

    As far as that shows without a call. Raises AmiError.
    """
    settings, *told = await ami.pipelined([("CoreSettings", {}), *_QUESTIONS])
    release = _release(settings)
    if release is None:  # an older account has no class `reporting`
        version = await ami.action("Getvar", Variable="VERSION(ASTERISK_VERSION_NUM)")
        number = version.text("value")
        release = int(number) if version.ok and number.isdecimal() else None
    return release, lacking_in(release) | _silent(told)


async def without_a_call(ami: Ami) -> frozenset[Need]:
    """What is lacking of `WITHOUT_CALL`. Ask again a while after the login: Asterisk listens to AMI before it
    has loaded its modules. Raises AmiError.
    """
    return _silent(await ami.pipelined(_QUESTIONS))


async def on_a_call(ami: Ami, channel: str) -> Tried:
    """Try on an answered channel what a refresh with SDP needs. Raises AmiError."""
    ((digits, state),) = await ami.values([(channel, ("PJSIP_DTMF_MODE()", _STATE))])
    if not state:  # it has ended
        return Tried()
    return Tried(frozenset({DIGITS})) if digits else Tried(lacking=frozenset({DIGITS}))


async def on_calls_without_header(ami: Ami, channels: Iterable[str]) -> Tried:
    """Try on answered channels whether a header can be read at all. Raises AmiError.

    Where it can, a call without our internal header is one that no edge of ours has seen.
    """
    present: set[Need] = set()
    lacking: set[Need] = set()
    for received, placed, target, state in await ami.values([(name, _HEADERS) for name in channels]):
        if received:
            present.add(RECEIVED_HEADER)
        elif placed:
            present.add(PLACED_HEADER)
        elif state:
            lacking.add(RECEIVED_HEADER if target else PLACED_HEADER)
    return Tried(frozenset(present), frozenset(lacking - present))


def shown_by(found: Iterable[Call | None]) -> frozenset[Need]:
    """What the calls whose internal header was read show to be there."""
    return frozenset(
        PLACED_HEADER if call.placed_by_us else RECEIVED_HEADER
        for call in found
        if call is not None and call.header is not None
    )


def _silent(told: Iterable[AmiMessage]) -> frozenset[Need]:
    """The functions whose value is empty, of the replies to `_QUESTIONS`."""
    return frozenset(
        need
        for need, reply in zip(_WITHOUT_CALL.values(), told, strict=True)
        if reply.ok and not reply.text("value")
    )


def _release(settings: AmiMessage) -> int | None:
    told = _RELEASE.match(settings.text("asteriskversion")) if settings.ok else None
    if told is None:
        return None
    major, minor, patch = (int(number or 0) for number in told.groups())
    return major * 10_000 + minor * 100 + patch
