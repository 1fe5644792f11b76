"""The verbs a routing script calls, one for each of Kamailio's routes.

A message's way: `on_request` may answer it (400, 422); `on_branch` puts on it what its receiver is to
see and remembers the rest with the transaction; `on_reply` completes the 2xx and writes the record;
`on_failure` retries a 422. Every verb is guarded: if our code fails, the message is routed as if we
were not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from session_timer import (
    ExpiryAction,
    Mode,
    Peer,
    Policy,
    Record,
    Side,
    uac,
)
from session_timer.record import split_key

from . import as_proxy, as_uac, as_uas, ksr, last_good, outcome
from .branch_memory import Completed, Part, Pending
from .message_facts import Rows
from .peers import Directory, End
from .records import LearnedMinSE, Records, clock_id
from .transaction import MessageIds, Transaction

PEER_NAME = "session_timer_peer"
"""The AVP in which a script may name the peer, for instance after a dispatcher chose it."""

_PENDING = "session_timer_"
"""The AVPs, one for each branch, that hold what waits for the answer."""
_AIM = "_aim"
"""Ends the AVP's name that says where a branch went, Request-URI and next hop, should it have to go again."""
_REFUSED = "session_timer_refused"
"""The branch that was answered 422, and its Min-SE: a failure route does not say which of several it was."""
_ANSWERED = "_answered"
"""Ends the AVP's name that says whose final answer a branch has had: the same may come once more."""
_RETRY = "session_timer_retry"
"""What a 422 taught the next try."""
_UNRECORDED = "session_timer_unrecorded"
"""Set where a request within a dialog found no record of it."""
_REFRESHES = ("INVITE", "UPDATE")
_UNMARKED = (*uac.WITHOUT_SUPPORT, "CANCEL")
"""CANCEL is made anew by each hop: nothing said there gets far."""

_Result = TypeVar("_Result")


class SessionTimers:
    """The session timers of this edge; every process of Kamailio has one of its own."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the configuration at `path`; `clock` delivers monotonic seconds.

        A broken configuration ends Kamailio's start with its problems in the log; on a reload the one
        before stays in force.
        """
        self._config = last_good.load(path)
        self._directory = Directory(self._config)
        self._records = Records()
        self._learned = LearnedMinSE(self._config.edge.learned_min_se)
        self._clock = clock
        self._clock_id = clock_id()

    def on_request(self) -> bool:
        """In the request route, before anything is relayed. True: the request has been answered."""
        return self._guarded(self._request, otherwise=False)

    def on_branch(self) -> None:
        """In the branch route of every INVITE and UPDATE."""
        self._guarded(self._branch, otherwise=None)

    def on_any_reply(self) -> None:
        """In the core's reply route: nobody outside may speak in our internal header."""
        self._guarded(self._strip, otherwise=None)

    def on_reply(self) -> None:
        """In the onreply route of every INVITE and UPDATE."""
        self._guarded(self._reply, otherwise=None)

    def on_failure(self) -> bool:
        """In the failure route of every INVITE and UPDATE. True: relay it once more, by the same routes."""
        return self._guarded(self._failure, otherwise=False)

    def on_tick(self) -> None:
        """About every second, in one process."""
        self._guarded(lambda: self._records.publish_clock(self._clock_id, self._clock()), otherwise=None)

    def on_expired(self) -> None:
        """In htable's event for an entry of the table ``session_timer`` whose lifetime is over."""
        self._guarded(self._expired, otherwise=None)

    def _guarded(self, verb: Callable[[], _Result], otherwise: _Result) -> _Result:
        try:
            return verb()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the call goes on
            self._report(fault)
            return otherwise

    def _report(self, fault: Exception) -> None:
        # What has failed may be what is needed to tell of it; not even that may stop the call.
        with suppress(Exception):
            ksr.count("session_timer_faults")
        call = "whose Call-ID cannot be read"
        with suppress(Exception):
            call = ksr.pv("$ci")
        with suppress(Exception):
            ksr.error(f"session timer: fault in our code, the call {call} goes on without us: {fault!r}")

    def _strip(self) -> None:
        # In the text itself: an answer with one row that Kamailio cannot parse has no headers for it, yet is
        # relayed as it came.
        header = self._config.edge.header
        text = ksr.pv("$mb")
        if text and header.lower() not in text.lower():
            return
        # A row may hide behind a lone CR: part of a value to Kamailio, the end of a row to Asterisk's parser.
        hidden = text.count("\r") != text.count("\r\n")
        if hidden or not ksr.remove(header):
            ksr.disarm(header)

    def _source(self) -> End:
        return self._directory.find(ksr.recall(PEER_NAME), ksr.pv("$si"), ksr.pv("$fd"))

    def _destination(self) -> End:
        host = ksr.pv("$nh(d)")
        return self._directory.find(ksr.recall(PEER_NAME), host, host)

    def _record(self, ids: MessageIds) -> Record | None:
        """The record of the dialog that a request belongs to; of one that cannot be read its answer tells."""
        return self._records.read(ids.dialog, tell=False) if ids.to_tag else None

    def _peer(self, record: Record | None, end: End) -> Peer:
        """A dialog keeps the profile that it began with: whoever chose it may not choose it again."""
        if record is None:
            return end.peer
        return self._directory.named(record.peer, timer=record.dialog.agreement is not None)

    def _announce(self, ids: MessageIds) -> None:
        destination = self._destination()
        if destination.is_asterisk:
            return
        policy = self._peer(self._record(ids), destination).policy
        if policy.enabled and policy.mode is Mode.ANCHOR:
            as_uac.announce(Rows.read()).make()

    def _request(self) -> bool:
        self._strip()
        ids = MessageIds.read()
        source = self._source()
        if ids.method not in _REFRESHES:
            if source.is_asterisk and ids.method not in _UNMARKED:
                self._announce(ids)
            if ids.method == "BYE":
                self._records.remove(ids.dialog)
            return False
        if source.is_asterisk:
            return False
        peer = self._peer(self._record(ids), source)
        if not peer.policy.enabled:
            return False
        refusal = as_uas.screen(Rows.read(), ids.method, peer)
        if refusal is not None:
            as_uas.refuse(refusal, ids.call_id)
            return True
        if not ids.to_tag and self._ends_by_bye(peer.policy):
            ksr.watch_dialog()
        return False

    def _ends_by_bye(self, policy: Policy) -> bool:
        wanted = self._config.edge.bye_on_expiry and policy.expiry is ExpiryAction.HANG_UP
        return wanted and policy.mode is Mode.PROXY

    def _expired(self) -> None:
        dialog, record = self._records.expired()
        call_id, one_tag, other_tag = split_key(dialog)
        ksr.count("session_timer_expired")
        over = record is not None and self._is_over(record)
        ended = over and ksr.end_dialog(call_id, one_tag, other_tag)
        ksr.info(
            f"session timer: {call_id}: expired, {'BYE sent to both sides' if ended else 'record dropped'}"
        )

    def _is_over(self, record: Record) -> bool:
        """Whether the session itself has expired, and is ours to end.

        Records of sessions without timer go too, and htable goes by whole seconds of the wall clock, which
        can be set: only who knows the record's own clock can tell.
        """
        agreed = record.dialog.agreement
        if agreed is None or record.clock != self._clock_id:
            return False
        elapsed = self._clock() - record.at
        return elapsed > agreed.interval - 1 and self._ends_by_bye(self._directory.named(record.peer).policy)

    def _branch(self) -> None:
        ids = MessageIds.read()
        if ids.method not in _REFRESHES:
            return
        source, destination = self._source(), self._destination()
        if source.is_asterisk and destination.is_asterisk:
            return
        record = self._record(ids)
        peer = self._peer(record, destination if source.is_asterisk else source)
        if not peer.policy.enabled:
            return
        known = None if record is None else record.dialog
        slot = self._slot()
        if record is None and ids.to_tag:
            ksr.remember(_UNRECORDED, "1")
        if not (source.is_asterisk or destination.is_asterisk) or peer.policy.mode is not Mode.ANCHOR:
            sender = Side.LOCAL if source.is_asterisk else Side.REMOTE
            relayed = as_proxy.request(Rows.read(), ids.method, peer, known, sender)
        elif destination.is_asterisk:
            relayed = as_uas.request(Rows.read(), ids.method, peer, known, self._config.edge)
        else:
            told = self._learned.get(peer.name or ksr.pv("$nh(d)"))
            relayed = as_uac.request(Rows.read(), peer, known, told, ksr.recall(_RETRY))
            ksr.remember(slot + _AIM, f"{ksr.pv('$ru')} {ksr.pv('$du')}")
        ksr.remember(slot, relayed.kept)
        relayed.edits.make()

    def _slot(self) -> str:
        return _PENDING + (ksr.pv("$T_branch_idx") or "0")

    def _reply(self) -> None:
        code = int(ksr.pv("$rs"))
        if code < 200:
            return
        slot = self._slot()
        kept = ksr.recall(slot)
        if not kept:
            return
        if code < 300 and not ksr.has("CSeq"):
            # Kamailio cannot parse this 2xx's headers: nothing in it can be read, hidden or added, so nothing
            # may go on record. Without news there the companion probes.
            return
        ids = MessageIds.read()
        if code >= 300 and self._is_copy(ids):
            return
        if code == 422:
            ksr.remember(_REFUSED, f"{slot} {ksr.row('Min-SE') or ''}")
        dialog = ids.dialog
        self._records.lock(dialog)
        try:
            self._answered(code, kept, ids, dialog)
        finally:
            self._records.unlock(dialog)

    def _is_copy(self, ids: MessageIds) -> bool:
        """Whether this final answer has passed on this branch before; the next time it has."""
        name, answerer = self._slot() + _ANSWERED, f"to {ids.to_tag}"
        if ksr.recall(name) == answerer:
            return True
        ksr.remember(name, answerer)
        return False

    def _answered(self, code: int, kept: str, ids: MessageIds, dialog: str) -> None:
        pending = Pending.decode(kept)
        record = self._records.read(dialog, tell=True) if ids.to_tag else None
        ours = Side.LOCAL if pending.from_asterisk else Side.REMOTE
        if record is not None and pending.part is not Part.PROXY and record.sender(ids.from_tag) is not ours:
            # Made when the same call passed here as one of two strangers: whose end is whose it cannot know.
            record = None
        transaction = Transaction(
            call_id=ids.call_id,
            from_tag=ids.from_tag,
            to_tag=ids.to_tag,
            cseq=ksr.pv("$cs"),
            sender=ours if record is None else record.sender(ids.from_tag),
            peer=self._directory.named(pending.peer),
            record=record,
        )
        unrecorded = ksr.recall(_UNRECORDED) != ""
        # An UPDATE before the answer has made it.
        early = record is not None and not pending.recorded and not unrecorded
        if code >= 300 and early:
            self._records.remove(dialog)
            return
        at = self._clock(), self._clock_id
        if code < 300:
            completed = self._complete(code, transaction, pending.part, kept)
            known = pending.recorded or self._is_copy(ids)
            if record is None and known and not self._records.has(dialog):
                # A BYE has passed since: the dialog is over, whatever its last refresh is answered.
                ksr.info(f"session timer: {ids.call_id}: answered {code} when its record had gone")
                return
            new: Record | None = outcome.agreed(transaction, completed.dialog, at)
        elif pending.part is Part.UAC:
            new = as_uac.failed(transaction, pending, code, at)
        else:
            new = outcome.failed(transaction, code, at)
        if new is None or new is record:
            return
        if early:
            new = replace(new, peer=pending.peer)
        changed = unrecorded if record is None else record.dialog.agreement != new.dialog.agreement
        self._records.write(dialog, new, at, changed=changed, drop_at_expiry=pending.part is Part.PROXY)

    def _complete(self, code: int, transaction: Transaction, part: Part, kept: str) -> Completed:
        """Make of a 2xx what its sender is to see."""
        completed = self._decided(transaction, part, kept)
        completed.edits.make()
        if completed.ignored:
            ksr.warn(f"session timer: {transaction.call_id}: ignored in a {code}: {completed.ignored}")
        return completed

    def _decided(self, transaction: Transaction, part: Part, kept: str) -> Completed:
        rows = Rows.read()
        record = transaction.record
        known = None if record is None else record.dialog
        match part:
            case Part.UAS:
                completed = as_uas.complete(rows, kept)
                # Decided on when the request came: a 422 of the peer's may have been on the way since.
                min_se = None if known is None else known.min_se
                return completed._replace(dialog=completed.dialog.with_min_se(min_se))
            case Part.UAC:
                return as_uac.complete(rows, kept, transaction.peer, known, self._config.edge)
            case Part.PROXY:
                return as_proxy.complete(rows, kept, transaction.sender, known)

    def _failure(self) -> bool:
        if ksr.pv("$T_reply_code") != "422":
            return False
        slot, _, told = ksr.recall(_REFUSED).partition(" ")
        aim = ksr.recall(slot + _AIM)
        if not aim:
            return False
        ksr.remember(_REFUSED, "none")  # tm may choose this 422 once more, after what the next try brings
        again = as_uac.retry(Pending.decode(ksr.recall(slot)), told)
        if again is None:
            return False
        ksr.remember(_RETRY, again.encode())
        ksr.aim_again(*aim.split(" "))
        self._learned.put(again.peer or ksr.pv("$nh(d)"), again.min_se)
        return True
