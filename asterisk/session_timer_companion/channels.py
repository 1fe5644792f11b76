"""Reads Asterisk's channels: first their list, then each one's functions.

`Status` could deliver both in one action. But it evaluates functions under the channel's lock, and those of
PJSIP wait for the channel's serializer, which may be waiting for that very lock to answer a call: under load
Asterisk 22.10.1 freezes for good. `Getvar` holds no lock. (`EVAL` would make one question of many, but the
AMI lets only those evaluate it who may do anything.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from session_timer_companion import calls
from session_timer_companion.ami import Ami, AmiMessage, AmiRefused
from session_timer_companion.calls import Call, Channel, Media

AT_ONCE = 250
"""Channels whose functions are asked in a row."""


async def every(ami: Ami, header: str) -> AsyncIterator[Call]:
    """Every answered call, one after the other; `header` names our internal one. Raises AmiError."""
    listed = await _listed(ami)
    for start in range(0, len(listed), AT_ONCE):
        for call in await these(ami, listed[start : start + AT_ONCE], header):
            yield call


async def one(ami: Ami, header: str, name: str) -> Call | None:
    """What there is on one channel; None if it is gone or has no answered call. Raises AmiError."""
    try:
        listed = await _listed(ami, name)
    except AmiRefused:
        return None
    found = await these(ami, listed, header)
    return found[0] if found else None


async def media(ami: Ami, name: str) -> Media:
    """What is negotiated on one channel. Raises AmiError."""
    ((codecs, t38),) = await _values(ami, [(name, calls.MEDIA)])
    return calls.media(codecs, t38)


async def connected_number(ami: Ami, name: str) -> str:
    """The number of the other party that Asterisk knows by now; empty if none. Raises AmiError."""
    ((number,),) = await _values(ami, [(name, calls.CONNECTED_NUMBER)])
    return number


async def _listed(ami: Ami, name: str = "") -> list[Channel]:
    listed: list[Channel] = []

    def entry(message: AmiMessage) -> None:
        if (channel := calls.answered(message)) is not None:
            listed.append(channel)

    if name:
        await ami.stream("Status", entry, Channel=name)
    else:
        await ami.stream("Status", entry)
    return listed


async def these(ami: Ami, listed: Sequence[Channel], header: str) -> list[Call]:
    """What there is on channels that are known to be answered. Raises AmiError."""
    # A call that Asterisk received has our header in the INVITE, one that it placed has it in the 2xx.
    received, placed = calls.header_functions(header)
    first = await _values(ami, [(channel.name, (received, *calls.DIALOG)) for channel in listed])
    unread = [channel for channel, (value, *_) in zip(listed, first, strict=True) if not value]
    outbound = dict(
        zip(unread, await _values(ami, [(channel.name, (placed,)) for channel in unread]), strict=True)
    )
    found = (
        calls.read(channel, tuple(dialog), value, *outbound.get(channel, ("",)))
        for channel, (value, *dialog) in zip(listed, first, strict=True)
    )
    return [call for call in found if call is not None]


async def _values(ami: Ami, questions: Sequence[tuple[str, tuple[str, ...]]]) -> list[tuple[str, ...]]:
    """What each channel's functions say; a channel that is gone meanwhile says nothing."""
    answers = iter(
        await ami.pipelined(
            [
                ("Getvar", {"Channel": name, "Variable": function})
                for name, functions in questions
                for function in functions
            ]
        )
    )
    return [
        tuple(answer.text("value") if (answer := next(answers)).ok else "" for _ in functions)
        for _, functions in questions
    ]
