"""Reads Asterisk's channels: first their list, then each one's functions.

`CoreShowChannels` reads snapshots. `Status` holds each channel's lock while it writes to us, so a slow reader
costs every call its audio; it is used where the account may not list channels otherwise. Neither is asked for
functions: those of PJSIP wait for the channel's serializer, which may be waiting for that very lock to
answer a call, and Asterisk 22.10.1 freezes for good. `Getvar` holds no lock.
"""

from __future__ import annotations

from collections.abc import Sequence

from session_timer import SharedKey, record

from session_timer_companion.ami.client import Ami, AmiEntry, AmiRefused
from session_timer_companion.channels import calls
from session_timer_companion.channels.calls import AnsweredChannels, Call, Channel, Media, Numbers

_GONE = "no such channel"
_STATE_UP = "Up"


async def answered(ami: Ami) -> AnsweredChannels:
    """All answered channels. Raises AmiError."""
    found = AnsweredChannels()

    def note(entry: AmiEntry) -> None:
        if (channel := calls.answered(entry)) is not None:
            found.add(channel)

    try:
        await ami.stream("CoreShowChannels", note)
    except AmiRefused:
        found = AnsweredChannels()
        await ami.stream("Status", note)
    return found


async def one(ami: Ami, name: str) -> Channel | None:
    """One channel, if it is answered; None if it is gone or is not. Raises AmiError."""
    questions = [("Getvar", {"Channel": name, "Variable": function}) for function in calls.STANDING]
    state, number, caller = await ami.pipelined(questions)
    if not state.ok:
        if state.reason.lower().startswith(_GONE):
            return None
        raise AmiRefused("Getvar", state.reason)
    if state.text("value") not in ("", _STATE_UP):
        return None
    return Channel(name, calls.both(caller.text("value"), number.text("value")))


async def these(
    ami: Ami, channels: Sequence[Channel], header: str, key: SharedKey | None
) -> dict[str, Call | None]:
    """What there is on channels that are known to be answered, by their name. Raises AmiError.

    `key`: the calls' internal header is read and verified; None: nobody speaks in it here. The value is None
    where Asterisk could not say which dialog a channel has: that is not the end of a call.
    """
    received, placed = calls.header_functions(header)
    functions = (*calls.DIALOG, received, placed) if key is not None else calls.DIALOG
    told = await ami.values([(channel.name, functions) for channel in channels])
    found: dict[str, Call | None] = {}
    doubtful: list[tuple[Channel, tuple[str, str, str]]] = []
    for channel, (call_id, local_tag, remote_tag, *rows) in zip(channels, told, strict=True):
        if not (call_id and local_tag and remote_tag):
            found[channel.name] = None
            continue
        read, refused = (None, "") if key is None else calls.verified(rows, key, call_id, remote_tag)
        found[channel.name] = Call(
            channel=channel.name,
            key=calls.key_at_edge(read, call_id, local_tag, remote_tag),
            header=read,
            refused=refused,
            placed_by_us=calls.is_placed_by_us(read, rows),
            connected=channel.connected,
            numbers_utf8=channel.numbers_utf8,
        )
        if refused:
            doubtful.append((channel, (call_id, local_tag, remote_tag)))
    if doubtful and key is not None:
        await _further_rows(ami, doubtful, header, key, found)
    return found


async def _further_rows(
    ami: Ami,
    doubtful: Sequence[tuple[Channel, tuple[str, str, str]]],
    header: str,
    key: SharedKey,
    found: dict[str, Call | None],
) -> None:
    """Look for our row behind the one of a stranger."""
    functions = [function for row in calls.ROWS for function in calls.header_functions(header, row)]
    told = await ami.values([(channel.name, functions) for channel, _ in doubtful])
    for (channel, (call_id, local_tag, remote_tag)), rows in zip(doubtful, told, strict=True):
        read, _ = calls.verified(rows, key, call_id, remote_tag)
        if read is not None:
            found[channel.name] = Call(
                channel=channel.name,
                key=calls.key_at_edge(read, call_id, local_tag, remote_tag),
                header=read,
                placed_by_us=calls.is_placed_by_us(read, ()),
                connected=channel.connected,
                numbers_utf8=channel.numbers_utf8,
            )


async def told(ami: Ami, name: str) -> None:
    """Return when Asterisk has told of a channel, or that there is none of that name. Raises AmiError."""
    await ami.values([(name, calls.DIALOG)])


async def media(ami: Ami, name: str) -> Media:
    """What is negotiated on one channel. Raises AmiError."""
    (told,) = await ami.values([(name, calls.MEDIA)])
    return calls.media(*told)


async def received_packets(ami: Ami, name: str) -> int | None:
    """How many RTP packets of the peer Asterisk has received; None: it does not know. Raises AmiError."""
    ((count,),) = await ami.values([(name, calls.RECEIVED_PACKETS)])
    return int(count) if count.isdecimal() else None


async def has_dialog(ami: Ami, name: str, key: str) -> bool:
    """Whether the dialog that one channel has now is that of the record with this key. Raises AmiError."""
    (told,) = await ami.values([(name, calls.DIALOG)])
    return record.same_tags(record.key(*told), key)


async def numbers(ami: Ami, name: str) -> Numbers:
    """What Asterisk knows of the other party by now. Raises AmiError."""
    (told,) = await ami.values([(name, calls.NUMBERS)])
    return Numbers(*told)
