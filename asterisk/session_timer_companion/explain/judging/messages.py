"""What INVITE, UPDATE and their answers say about the timer, held against the library's decisions."""

from __future__ import annotations

from dataclasses import dataclass, field

from session_timer import (
    Agreement,
    HeaderError,
    RefreshRequest,
    RefreshResponse,
    Role,
    Side,
    dialog_oddities,
    proxy,
)

from session_timer_companion.explain.gathering.calls import Sighted
from session_timer_companion.explain.gathering.hops import REFRESHES, Hop, Transaction, further
from session_timer_companion.explain.judging.findings import Findings, Place
from session_timer_companion.explain.judging.responses import Backdrop, ResponseJudge
from session_timer_companion.explain.judging.rules import Rule

SIDES = (Side.LOCAL, Side.REMOTE)
"""The library's names for the caller's side and the callee's."""


@dataclass(slots=True)
class Shown:
    """What one side of a dialog has shown of itself on this hop."""

    supports: bool = False
    """By Supported, in a request or an answer."""
    asked: bool = False
    """By Supported in a request: from then on each has it (RFC 4028 7.4)."""
    allows_update: bool | None = None
    min_se: int = 0
    """Seconds: what its refreshes must name, for it was told so on this dialog (RFC 4028 7.4)."""


@dataclass(slots=True)
class Known:
    """What is known of a dialog on a hop."""

    sides: tuple[Shown, Shown] = field(default_factory=lambda: (Shown(), Shown()))
    agreement: Agreement | None = None


@dataclass(slots=True)
class MessageJudge:
    """Judges the messages of one hop, in their order, and remembers what was agreed on its dialogs."""

    hop: Hop
    findings: Findings
    floor: int
    others: list[Hop] = field(default_factory=list)
    """The other hops of the call."""
    dialogs: dict[frozenset[str | None], Known] = field(default_factory=dict)
    told: dict[str | None, int] = field(default_factory=dict)
    """Seconds: the largest Min-SE of the 422 answers to the initial INVITEs so far, by who was told."""
    agreements: dict[int, Agreement | None] = field(default_factory=dict)
    """By the identity of each 2xx: what it brought into force."""

    def judge(self) -> None:
        """Every transaction of the hop, message by message: an answer counts from when it came."""
        caller = Shown()
        refreshes = [each for each in self.hop.transactions if each.method in REFRESHES]
        for each in self.hop.transactions:
            self._elsewhere(each)
        moments: list[tuple[float, Transaction, Sighted | None]]
        moments = [(each.request.time, each, None) for each in refreshes]
        moments += [(one.time, each, one) for each in refreshes for one in each.responses]
        asked: dict[int, RefreshRequest | None] = {}
        for _, each, one in sorted(moments, key=lambda moment: moment[0]):
            if one is None:
                asked[id(each)] = self._asked(each, caller)
            elif (request := asked.get(id(each))) is not None:
                self._response(each, request, one, self._known(each), caller)
        self._failed()

    def _known(self, each: Transaction) -> Known | None:
        """The dialog that a request is within."""
        message = each.request.message
        if each.initial:
            return None
        return self.dialogs.setdefault(frozenset((message.from_tag, message.to_tag)), Known())

    def _failed(self) -> None:
        """The call came to nothing: because of the timer?"""
        tried = [each for each in self.hop.transactions if each.method == "INVITE" and each.initial]
        last = tried[-1] if tried else None
        final = last.final() if last is not None else None
        if last is None or final is None:
            return
        known = self.findings.has(
            Rule.UNHEARD_422, Rule.NEEDLESS_422, Rule.NO_MIN_SE_IN_422, Rule.MIN_SE_BELOW_90
        )
        if final.message.status == 422 and not known:
            told = final.message.header("Min-SE") or "none"
            due = f"an INVITE with Session-Expires and Min-SE of at least {told}"
            self._report(
                Rule.CALL_REFUSED_422, last, final, f"Min-SE: {told}, and no other INVITE followed", due
            )
        elif final.message.status == 420 and "timer" in last.request.message.tokens("Require"):
            self._report(Rule.TIMER_REQUIRED, last, last.request, "Require: timer", "Supported: timer alone")

    def _asked(self, each: Transaction, caller: Shown) -> RefreshRequest | None:
        known = self._known(each)
        sender = known.sides[each.side] if known is not None else caller
        asked = self._request(each, known, sender)
        if asked is None:
            return None
        sender.supports = sender.supports or asked.supports_timer
        sender.asked = sender.asked or asked.supports_timer
        if asked.allows_update is not None:
            sender.allows_update = asked.allows_update
        if known is not None and asked.min_se:
            other = known.sides[1 - each.side]
            other.min_se = max(other.min_se, asked.min_se)
        return asked

    def _request(self, each: Transaction, known: Known | None, sender: Shown) -> RefreshRequest | None:
        request, report = each.request, self._report
        try:
            asked = RefreshRequest.read(each.method, request.message.rows, floor=0)
        except HeaderError as error:
            report(
                Rule.MALFORMED,
                each,
                request,
                f"{error.header}: {error.value}",
                f"a value by the grammar: {error.reason}",
            )
            return None
        self._oddities(each, request, asked.oddities, within=known is not None)
        expires, least = asked.session_expires, asked.min_se or 0
        if asked.min_se is not None and asked.min_se < self.floor:
            report(
                Rule.MIN_SE_BELOW_90,
                each,
                request,
                f"Min-SE: {asked.min_se}",
                f"Min-SE: {self.floor} or more, or none",
            )
        if expires is not None:
            if expires.interval < self.floor:
                report(
                    Rule.BELOW_90,
                    each,
                    request,
                    f"Session-Expires: {expires}",
                    f"{self.floor} seconds or more",
                )
            elif expires.interval < least:
                report(
                    Rule.BELOW_MIN_SE, each, request, f"Session-Expires: {expires}, Min-SE: {least}",
                    f"Session-Expires of at least {least}",
                )  # fmt: skip
            if expires.refresher is Role.UAC and not asked.supports_timer and not sender.supports:
                report(
                    Rule.REFRESHER_WITHOUT_SUPPORT,
                    each,
                    request,
                    f"Session-Expires: {expires}, no Supported: timer",
                    "Supported: timer",
                )  # fmt: skip
        running = known.agreement if known is not None else None
        if running is not None and sender.asked and not asked.supports_timer:
            had = "" if expires is not None else " and no Session-Expires"
            report(
                Rule.SUPPORT_DROPPED,
                each,
                request,
                f"no Supported: timer{had}",
                "Supported: timer, as in the request before",
            )
        elif running is not None and expires is None and asked.supports_timer:
            report(
                Rule.TIMER_DROPPED, each, request, "no Session-Expires",
                f"Session-Expires: {running.interval};"
                f"refresher={running.refresher.role(sender=SIDES[each.side])}",
            )  # fmt: skip
        if known is None:
            self._retry(each, asked)
        else:
            self._within(each, asked, known, sender)
        return asked

    def _retry(self, each: Transaction, asked: RefreshRequest) -> None:
        told = self.told.get(each.request.message.call_id)
        if told is None or asked.session_expires is None:
            return
        if (asked.min_se or 0) < told or asked.session_expires.interval < told:
            shown = f"Session-Expires: {asked.session_expires}, Min-SE: {asked.min_se or 'none'}"
            self._report(
                Rule.RETRY_TOO_SMALL, each, each.request, shown,
                f"Session-Expires and Min-SE of at least {told}, as the 422 said",
            )  # fmt: skip

    def _within(self, each: Transaction, asked: RefreshRequest, known: Known, sender: Shown) -> None:
        request, receiver = each.request, known.sides[1 - each.side]
        if sender.min_se > (asked.min_se or 0) and asked.session_expires is not None:
            shown = "no Min-SE" if asked.min_se is None else f"Min-SE: {asked.min_se}"
            self._report(Rule.MIN_SE_DROPPED, each, request, shown, f"Min-SE: {sender.min_se} or more")
        if each.method == "UPDATE" and receiver.allows_update is False:
            self._report(
                Rule.UPDATE_NOT_ALLOWED,
                each,
                request,
                "UPDATE, though the peer's Allow does not list it",
                "a re-INVITE",
            )
        agreed, role = known.agreement, asked.session_expires.refresher if asked.session_expires else None
        refreshes = agreed is not None and agreed.refresher is SIDES[each.side]
        if refreshes and role is Role.UAS and not receiver.supports:
            self._report(
                Rule.ROLE_MOVED,
                each,
                request,
                f"Session-Expires: {asked.session_expires}",
                "refresher=uac: the peer has not shown that it supports timers",
            )

    def _response(
        self, each: Transaction, asked: RefreshRequest, one: Sighted, known: Known | None, caller: Shown
    ) -> None:
        message, code = one.message, one.message.status or 0
        if code == 422:
            self._too_small(each, asked, one, known)
        if not 200 <= code < 300:
            return
        shown = RefreshResponse.read(code, message.rows, floor=0)
        self._oddities(each, one, shown.oddities, within=True)
        if known is None:
            known = self.dialogs.setdefault(frozenset((message.from_tag, message.to_tag)), Known())
            known.sides = (Shown(caller.supports, caller.asked, caller.allows_update), known.sides[1])
        answering = known.sides[1 - each.side]
        ResponseJudge(self.findings, Place(self.hop, each, one), self.floor, asked, shown).judge(
            Backdrop(
                sender_supports=known.sides[each.side].supports,
                answerer_supports=answering.supports,
                running=known.agreement,
            )
        )
        answering.supports = answering.supports or shown.supports_timer
        if shown.allows_update is not None:
            answering.allows_update = shown.allows_update
        named = asked.session_expires.refresher if asked.session_expires else None
        completed = proxy.complete(
            proxy.Remembered(None, asked.supports_timer, named), shown, SIDES[each.side]
        )
        known.agreement = completed.dialog.agreement
        self.agreements[id(one)] = known.agreement

    def _too_small(self, each: Transaction, asked: RefreshRequest, one: Sighted, known: Known | None) -> None:
        told = RefreshResponse.read(422, one.message.rows, floor=0).min_se
        wanted = asked.session_expires
        if told is None:
            self._report(
                Rule.NO_MIN_SE_IN_422,
                each,
                one,
                "no Min-SE that can be read",
                "Min-SE: the smallest interval it takes",
            )
        elif told < self.floor:
            self._report(Rule.MIN_SE_BELOW_90, each, one, f"Min-SE: {told}", f"Min-SE: {self.floor} or more")
        elif self._came_from_further(each):
            pass  # a proxy may have asked for less than came here: judged where it was answered
        elif wanted is None or wanted.interval >= told:
            asked_for = "no Session-Expires" if wanted is None else f"Session-Expires: {wanted}"
            self._report(
                Rule.NEEDLESS_422,
                each,
                one,
                f"422 with Min-SE: {told}, to {asked_for}",
                "another answer: nothing was too small",
            )
        elif not asked.supports_timer:
            self._report(
                Rule.UNHEARD_422, each, one, "422 to a request without Supported: timer",
                "another answer: who does not know timers cannot try again",
            )  # fmt: skip
        if told is None:
            return
        if known is None:
            place = one.message.call_id
            self.told[place] = max(self.told.get(place, 0), told)
        else:
            sender = known.sides[each.side]
            sender.min_se = max(sender.min_se, told)

    def _came_from_further(self, each: Transaction) -> bool:
        return any(
            response.message.status == 422
            for other in further(each, self.hop, self.others)
            for response in other.responses
        )

    def _oddities(self, each: Transaction, one: Sighted, said: tuple[str, ...], *, within: bool) -> None:
        """What the grammar forbids although its meaning is certain, and a dialog that is not certain."""
        try:
            of_dialog = dialog_oddities(one.message.header("To") or "", one.message.header("Contact") or "")
        except HeaderError as error:
            self._report(Rule.MALFORMED, each, one, f"{error.header}: {error.value}", "one tag in To")
            return
        for oddity in (*said, *(of_dialog if within else ())):
            self._report(Rule.AGAINST_GRAMMAR, each, one, oddity, "what the grammar allows")

    def _elsewhere(self, each: Transaction) -> None:
        for one in (each.request, *each.responses):
            message = one.message
            if message.method in REFRESHES and (message.is_request or 200 <= (message.status or 0) < 300):
                continue
            value = message.header("Session-Expires")
            if value is not None:
                self._report(
                    Rule.ELSEWHERE, each, one, f"Session-Expires: {value}", "no Session-Expires here"
                )

    def _report(self, rule: Rule, each: Transaction, one: Sighted, stood: str, due: str) -> None:
        self.findings.message(rule, Place(self.hop, each, one), stood, due)
