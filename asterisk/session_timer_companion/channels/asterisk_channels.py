"""Everything that is asked of the channels of one Asterisk, or told to them, in one object.

    channels = AsteriskChannels(ami, stuck)
    found = await channels.calls(await channels.answered(), "X-Session-Timer")
    replies = await channels.carry_out(refresh_actions.by_connected_line(name, tag))

A channel that does not reply is set aside (`stuck.py`): what is asked of it raises AmiTimeout at once, and
orders to it are refused, until it replies again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from session_timer import SharedKey

from session_timer_companion.ami.client import Ami, AmiMessage
from session_timer_companion.channels import queries, stuck
from session_timer_companion.channels.calls import Call, Channel, Media, Numbers
from session_timer_companion.channels.refresh_actions import Action
from session_timer_companion.channels.stuck import StuckChannels

FIRST_THAT_OFFERS = 180_000
"""The first release that sends what `by_offer` asks for (docs/reference/asterisk-releases.md)."""

_SET_ASIDE = AmiMessage.from_line(f"Response: Error\r\nMessage: {stuck.REASON}")


def lacks(release: int) -> str:
    """What a release does not have that the companion needs; empty for nothing."""
    if release < 162_800 or 180_000 <= release < 181_400:
        return "PJSIP_RESPONSE_HEADER (from 16.28 and 18.14 on): calls that Asterisk placed are not kept"
    return ""


def written(release: int) -> str:
    """``22.10.1`` for 221001."""
    return f"{release // 10_000}.{release // 100 % 100}.{release % 100}"


class AsteriskChannels:
    """The channels of one Asterisk. Every method raises AmiError where Asterisk cannot be asked."""

    def __init__(self, ami: Ami, stuck_channels: StuckChannels, key: SharedKey | None = None) -> None:
        """`key`: the one that edge and companion share; None: this Asterisk faces its peers itself."""
        self._ami = ami
        self._key = key
        self.release: int | None = None
        """As one number, 22.10.1 as 221001; None while it is not known."""
        self.stuck = stuck_channels

    async def find_release(self) -> int | None:
        """Ask for Asterisk's release, 22.10.1 as 221001, and keep it; None where it does not say."""
        self.release = await queries.release(self._ami)
        return self.release

    @property
    def sends_offers(self) -> bool:
        """Whether an offer that names the format `none` leaves, and not only AMI says Success."""
        return self.release is None or self.release >= FIRST_THAT_OFFERS

    async def answered(self) -> list[Channel]:
        """All answered channels; stuck ones that have ended are forgotten."""
        with self.stuck.noticed():
            listed = await queries.answered(self._ami)
        self.stuck.keep(channel.name for channel in listed)
        return listed

    async def calls(self, channels: Sequence[Channel], header: str) -> dict[str, Call | None]:
        """What there is on channels that are known to be answered, by their name.

        `header` names our internal header. None: Asterisk could not say, which is not the end of a call.
        """
        with self.stuck.noticed():
            return await queries.these(self._ami, channels, header, self._key)

    async def channel(self, name: str) -> Channel | None:
        """One channel, if it is answered; None if it is gone or is not."""
        with self.stuck.noticed(name):
            return await queries.one(self._ami, name)

    async def media(self, name: str) -> Media:
        """What is negotiated on a channel now."""
        with self.stuck.noticed(name):
            return await queries.media(self._ami, name)

    async def numbers(self, name: str) -> Numbers:
        """What Asterisk knows of the other party by now."""
        with self.stuck.noticed(name):
            return await queries.numbers(self._ami, name)

    async def received_packets(self, name: str) -> int | None:
        """How many RTP packets of the peer Asterisk has received; None where it does not know."""
        with self.stuck.noticed(name):
            return await queries.received_packets(self._ami, name)

    async def dialog_key(self, name: str) -> str:
        """The key of the record of the dialog that a channel has now; of no record if it has none."""
        with self.stuck.noticed(name):
            return await queries.dialog_key(self._ami, name)

    async def carry_out(self, actions: Sequence[Action]) -> list[AmiMessage]:
        """Carry out actions in their order, and return their replies; those on stuck channels are refused."""
        held = [headers.get("Channel") in self.stuck for _, headers in actions]
        with self.stuck.noticed():
            wanted = itertools.compress(actions, [not each for each in held])
            replies = iter(await self._ami.pipelined(wanted))
        return [_SET_ASIDE if each else next(replies) for each in held]
