"""Everything that is asked of the channels of one Asterisk, or told to them, in one object.

    channels = AsteriskChannels(ami, stuck)
    calls = await channels.calls(await channels.answered(), "X-Session-Timer")
    replies = await channels.carry_out(refresh_actions.by_connected_line(name, tag))

A channel that does not reply is set aside (`stuck.py`): what is asked of it raises AmiTimeout at once, and
orders to it are refused, until it replies again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from session_timer_companion.ami.client import Ami, AmiMessage
from session_timer_companion.channels import queries, stuck
from session_timer_companion.channels.calls import Call, Channel, Media
from session_timer_companion.channels.refresh_actions import Action
from session_timer_companion.channels.stuck import StuckChannels

_SET_ASIDE = AmiMessage.from_line(f"Response: Error\r\nMessage: {stuck.REASON}")


class AsteriskChannels:
    """The channels of one Asterisk. Every method raises AmiError where Asterisk cannot be asked."""

    def __init__(self, ami: Ami, stuck_channels: StuckChannels) -> None:
        self._ami = ami
        self.stuck = stuck_channels

    async def answered(self) -> list[Channel]:
        """All answered channels; stuck ones that have ended are forgotten."""
        with self.stuck.noticed():
            listed = await queries.answered(self._ami)
        self.stuck.keep(channel.name for channel in listed)
        return listed

    async def calls(self, channels: Sequence[Channel], header: str) -> list[Call]:
        """What there is on channels that are known to be answered; `header` names our internal header."""
        with self.stuck.noticed():
            return await queries.these(self._ami, channels, header)

    async def call(self, name: str, header: str) -> Call | None:
        """What there is on one channel; None if it is gone or has no answered call."""
        with self.stuck.noticed():
            return await queries.one(self._ami, header, name)

    async def media(self, name: str) -> Media:
        """What is negotiated on a channel now."""
        with self.stuck.noticed(name):
            return await queries.media(self._ami, name)

    async def connected_number(self, name: str) -> str:
        """The number of the other party that Asterisk knows by now; empty for none."""
        with self.stuck.noticed(name):
            return await queries.connected_number(self._ami, name)

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
