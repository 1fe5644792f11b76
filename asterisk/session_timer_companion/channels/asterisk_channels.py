"""Everything that is asked of the channels of one Asterisk, or told to them, in one object.

    channels = AsteriskChannels(ami, stuck, key, log=log)
    found = await channels.calls((await channels.answered()).take(250), "X-Session-Timer")
    replies = await channels.carry_out(refresh_actions.by_connected_line(name, tag))

A channel that does not reply is set aside (`stuck.py`): what is asked of it raises AmiTimeout at once, and
orders to it are refused, until it replies again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence

import structlog
from session_timer import SharedKey

from session_timer_companion.ami.client import Ami, AmiError, AmiMessage, AmiTimeout
from session_timer_companion.channels import abilities, queries, stuck
from session_timer_companion.channels.abilities import Need
from session_timer_companion.channels.calls import AnsweredChannels, Call, Channel, Media, Numbers
from session_timer_companion.channels.refresh_actions import Action
from session_timer_companion.channels.stuck import StuckChannels

FIRST_THAT_OFFERS = 180_000
"""The first release that sends what `by_offer` asks for (docs/reference/asterisk-releases.md)."""

BOOTING = 15.0
"""Seconds after the login from which on a function that is not there is an error."""

LOOK_AGAIN = 1.0
"""Seconds until it is asked for again, at first; each time doubled."""

LOOK_AGAIN_AT_MOST = 60.0

_SET_ASIDE = AmiMessage.from_line(f"Response: Error\r\nMessage: {stuck.REASON}")


class AsteriskChannels:
    """The channels of one Asterisk. Every method raises AmiError where Asterisk cannot be asked."""

    def __init__(
        self,
        ami: Ami,
        stuck_channels: StuckChannels,
        key: SharedKey | None = None,
        *,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """`key`: the one that edge and companion share; None: this Asterisk faces its peers itself."""
        self._ami = ami
        self._key = key
        self._log = log
        self.release: int | None = None
        """As one number, 22.10.1 as 221001; None while it is not known."""
        self.lacks: frozenset[Need] = frozenset()
        """Functions that it does not have, as far as is known."""
        self._told: frozenset[Need] = frozenset()
        """Those of them that the log has named."""
        self._headers_read: frozenset[Need] = frozenset()
        self.stuck = stuck_channels

    async def examine(self) -> None:
        """Ask for the release and try what needs no call, after each login.

        What it lacks is logged once; what may only not be loaded yet, by `await_modules`.
        """
        before, self.release = self.release, None
        self.release, lacking = await abilities.at_login(self._ami)
        # What only a call shows is tried anew: modules may have been loaded meanwhile.
        self._headers_read = frozenset()
        if self.release != before:
            self._log.info("asterisk_release", release=abilities.written(self.release))
        self._note(self.lacks - lacking, lacking, tell=lacking - abilities.WITHOUT_CALL)

    async def await_modules(self) -> None:
        """After `examine`: ask for what was lacking without a call until it is there.

        Asterisk listens to AMI before it has loaded its modules, so that only what is lacking for
        `BOOTING` seconds is an error. Returns when nothing is lacking, or when Asterisk cannot be asked.
        """
        pause, waited = LOOK_AGAIN, 0.0
        while missing := self.lacks & abilities.WITHOUT_CALL:
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, LOOK_AGAIN_AT_MOST)
            try:
                lacking = await abilities.without_a_call(self._ami)
            except AmiTimeout:
                continue
            except AmiError:
                return  # the next login asks anew
            tell = lacking if waited >= BOOTING else frozenset()
            self._note(missing - lacking, lacking, tell=tell)

    async def try_on(self, names: Iterable[str]) -> None:
        """Try what a refresh with SDP needs on the first of these answered channels that is not stuck."""
        name = next((each for each in names if each not in self.stuck), None)
        if name is not None:
            with self.stuck.noticed(name):
                tried = await abilities.on_a_call(self._ami, name)
            self._note(tried.present, tried.lacking)

    async def try_headers(self, found: Iterable[Call | None]) -> None:
        """Try whether headers can be read at all, before calls without our own are called foreign."""
        both = {abilities.RECEIVED_HEADER, abilities.PLACED_HEADER}
        if self._key is None or self._headers_read >= both:
            return
        bare = [call.channel for call in found if call is not None and call.header is None]
        with self.stuck.noticed():
            some = bare[: abilities.CALLS_AT_MOST]
            tried = await abilities.on_calls_without_header(self._ami, some)
        self._headers_read |= tried.present
        self._note(tried.present, tried.lacking)

    def _note(
        self, present: frozenset[Need], lacking: frozenset[Need], *, tell: frozenset[Need] | None = None
    ) -> None:
        """What is there and what is not; `tell`: what of it the log names now, once. None: all of it."""
        self.lacks = (self.lacks - present) | lacking
        self._told &= self.lacks
        news = (lacking if tell is None else tell) - self._told
        self._told |= news
        for need in sorted(news):
            self._log.error("asterisk_lacks", release=abilities.written(self.release), missing=need.told)

    @property
    def sends_offers(self) -> bool:
        """Whether an offer that names the format `none` leaves, and not only AMI says Success."""
        return self.release is None or self.release >= FIRST_THAT_OFFERS

    async def answered(self) -> AnsweredChannels:
        """All answered channels; stuck ones that have ended are forgotten."""
        with self.stuck.noticed():
            listed = await queries.answered(self._ami)
        self.stuck.keep(listed.names)
        return listed

    async def calls(self, channels: Sequence[Channel], header: str) -> dict[str, Call | None]:
        """What there is on channels that are known to be answered, by their name.

        `header` names our internal header. None: Asterisk could not say, which is not the end of a call.
        """
        with self.stuck.noticed():
            found = await queries.these(self._ami, channels, header, self._key)
        if self.lacks:
            self._note(abilities.shown_by(found.values()), frozenset())
        return found

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

    async def has_dialog(self, name: str, key: str) -> bool:
        """Whether the dialog that a channel has now is that of the record with this key."""
        with self.stuck.noticed(name):
            return await queries.has_dialog(self._ami, name, key)

    async def carry_out(self, actions: Sequence[Action]) -> list[AmiMessage]:
        """Carry out actions in their order, and return their replies; those on stuck channels are refused."""
        held = [headers.get("Channel") in self.stuck for _, headers in actions]
        with self.stuck.noticed():
            wanted = itertools.compress(actions, [not each for each in held])
            replies = iter(await self._ami.pipelined(wanted))
        return [_SET_ASIDE if each else next(replies) for each in held]
