"""Reads Asterisk's channels: first their list, then each one's functions.

`Status` could deliver both in one action. But it evaluates functions under the channel's lock, and those of
PJSIP wait for the channel's serializer, which may be waiting for that very lock to answer a call: under load
Asterisk 22.10.1 freezes for good. `Getvar` holds no lock. (`EVAL` would make one question of many, but the
AMI lets only those evaluate it who may do anything.)
"""

from __future__ import annotations

from collections.abc import Sequence

from session_timer import record

from session_timer_companion.ami.client import Ami, AmiEntry, AmiRefused
from session_timer_companion.channels import calls
from session_timer_companion.channels.calls import Call, Channel, Media


async def answered(ami: Ami, name: str = "") -> list[Channel]:
    """The answered channels, all of them or that of one name. Raises AmiError."""
    found: list[Channel] = []

    def note(entry: AmiEntry) -> None:
        if (channel := calls.answered(entry)) is not None:
            found.append(channel)

    if name:
        await ami.stream("Status", note, Channel=name)
    else:
        await ami.stream("Status", note)
    return found


async def one(ami: Ami, header: str, name: str) -> Call | None:
    """What there is on one channel; None if it is gone or has no answered call. Raises AmiError."""
    try:
        channels = await answered(ami, name)
    except AmiRefused:
        return None
    found = await these(ami, channels, header)
    return found[0] if found else None


async def these(ami: Ami, channels: Sequence[Channel], header: str) -> list[Call]:
    """What there is on channels that are known to be answered. Raises AmiError."""
    # A call that Asterisk received has our header in the INVITE, one that it placed has it in the 2xx.
    received, placed = calls.header_functions(header)
    first = await ami.values([(channel.name, (received, *calls.DIALOG)) for channel in channels])
    unread = [channel for channel, (value, *_) in zip(channels, first, strict=True) if not value]
    placed_by_us = dict(
        zip(unread, await ami.values([(channel.name, (placed,)) for channel in unread]), strict=True)
    )
    found = (
        calls.read(channel, tuple(dialog), value, *placed_by_us.get(channel, ("",)))
        for channel, (value, *dialog) in zip(channels, first, strict=True)
    )
    return [call for call in found if call is not None]


async def told(ami: Ami, name: str) -> None:
    """Return when Asterisk has told of a channel, or that there is none of that name. Raises AmiError."""
    await ami.values([(name, calls.DIALOG)])


async def media(ami: Ami, name: str) -> Media:
    """What is negotiated on one channel. Raises AmiError."""
    (told,) = await ami.values([(name, calls.MEDIA)])
    return calls.media(*told)


async def dialog_key(ami: Ami, name: str) -> str:
    """The key of the record of the dialog that one channel has now. Raises AmiError."""
    (told,) = await ami.values([(name, calls.DIALOG)])
    return record.key(*told)


async def connected_number(ami: Ami, name: str) -> str:
    """The number of the other party that Asterisk knows by now; empty if none. Raises AmiError."""
    ((number,),) = await ami.values([(name, calls.CONNECTED_NUMBER)])
    return number
