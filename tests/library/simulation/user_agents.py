"""Two user agents of ours, on the clock and the wire of `wire`.

For tests of programs that use this library, and for its own. Headers travel as text, so reading and
writing them is part of every call; of SIP there is only what a session timer can notice: transactions
with retransmissions and their timeout, CSeq, glare, INVITE, UPDATE and BYE.

>>> pair = Pair(Policy(default_expires=600))
>>> pair.call()
True
>>> pair.caller.interval, pair.caller.refresher
(600, 'caller')
>>> pair.callee.die()
>>> pair.run(600)
>>> print(pair.caller.ended)
unanswered
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from session_timer import minimum, proxy, session, uac, uas
from session_timer.config.policy import Policy
from session_timer.dialog import DialogTimer, Side
from session_timer.headers import REFRESH_METHODS, HeaderError, has_tag
from session_timer.message import RefreshRequest, RefreshResponse
from session_timer.session.responses import TIMEOUT, Reaction, reaction

from tests.library.simulation.wire import FakeClock, Message, Wire

T1 = 0.5
"""Seconds before the first retransmission (RFC 3261 17.1.1.1)."""
T2 = 4.0
"""Seconds between retransmissions at most (RFC 3261 17.1.2.1)."""


class UserAgent:
    """One end of a call: RFC 4028 sections 7, 9 and 10 on top of transactions that may fail."""

    def __init__(
        self,
        name: str,
        peer: str,
        policy: Policy,
        wire: Wire,
        transmit: Callable[[Message], None],
    ) -> None:
        self.name = name
        self.policy = policy
        self.allows_update = True
        self.blind = False
        """Its session cannot find out whether a refresh took place: every `Ask` gets `unknown`."""
        self.dialog: DialogTimer | None = None
        """None while there is no call."""
        self.session: session.Session | None = None
        self.expired: session.Expire | None = None
        self.ended = ""
        """Why the call is over, as this end sees it; empty while it is not."""
        self.alive = True
        self.latest: tuple[str, str, int] | None = None
        """The transaction of the most recent 2xx that this end sent or received."""
        self._peer = peer
        self._clock = wire.clock
        self._chance = wire.chance
        self._transmit = transmit
        self._cseq = 0
        self._peer_cseq = 0
        self._open: dict[tuple[str, int], uac.TimerHeaders] = {}
        self._answers: dict[tuple[str, int], Message] = {}
        self._told_min_se: int | None = None
        self._retries = 0
        self._places_call = False

    @property
    def interval(self) -> int | None:
        """Seconds; None where no session timer runs."""
        agreed = self.dialog.agreement if self.dialog else None
        return agreed.interval if agreed else None

    @property
    def refresher(self) -> str | None:
        """The name of the end that refreshes, as this end sees it."""
        agreed = self.dialog.agreement if self.dialog else None
        if agreed is None:
            return None
        return self.name if agreed.refresher is Side.LOCAL else self._peer

    @property
    def busy(self) -> bool:
        """A request of this end has no final answer yet."""
        return bool(self._open)

    def invite(self) -> None:
        """Place the call."""
        self._places_call = True
        self._request("INVITE")

    def refresh(self, method: str = "UPDATE") -> None:
        """Send an INVITE or UPDATE in the dialog for a reason of our own; every such request refreshes."""
        if self.dialog is not None and not self.ended and not self._has_open(method):
            self._request(method)

    def hang_up(self, why: str) -> None:
        """End the call with a BYE; it is over at once, whatever becomes of the BYE (RFC 3261 15.1.1)."""
        if not self.ended:
            self.ended = why
            self._request("BYE")

    def die(self) -> None:
        """Power lost: nothing is sent or heard any more."""
        self.alive = False

    def receive(self, message: Message) -> None:
        """A message has arrived."""
        if not self.alive:
            return
        if message.code is not None:
            self._final(message)
            return
        key = message.method, message.cseq
        if key not in self._answers:
            self._answers[key] = self._answer(message)
        self._transmit(self._answers[key])

    def _has_open(self, method: str) -> bool:
        return any(sent_method == method for sent_method, _ in self._open)

    def _request(self, method: str) -> None:
        self._cseq += 1
        headers: list[tuple[str, str]] = []
        sent = uac.TimerHeaders()
        if method in REFRESH_METHODS:
            sent = uac.request(self.policy, self.dialog, self._told_min_se)
            if sent.session_expires is not None:
                headers.append(("Session-Expires", str(sent.session_expires)))
            if sent.min_se is not None:
                headers.append(("Min-SE", str(sent.min_se)))
            if sent.require_timer:
                headers.append(("Require", "timer"))
        key = method, self._cseq
        self._open[key] = sent
        self._send(Message(method, self._cseq, self.name, (*headers, *self._abilities())), key, T1)
        timeout = Message(method, self._cseq, self.name, code=TIMEOUT)
        self._clock.at(self._clock.now + self._patience(), lambda: self._timed_out(timeout))

    def _patience(self) -> float:
        """Seconds that a request waits for a final response, as the edge bounds it for our refreshes."""
        if self.session is None or self.session.interval == 0:
            return session.ANSWER_TIME
        return self.policy.answer_time(self.session.interval)

    def _timed_out(self, timeout: Message) -> None:
        """The transaction's own timer: not the far side's word, which `_final` takes."""
        if self.session is None or self.session.sent is None:
            self._final(timeout)
        elif (
            self._open.pop((timeout.method, timeout.cseq), None) is not None and not self.ended and self.alive
        ):
            self._do(session.timed_out(self.session, self._clock.now))

    def _send(self, message: Message, key: tuple[str, int], pause: float) -> None:
        if key in self._open and self.alive:
            self._transmit(message)
            again = self._clock.now + pause
            self._clock.at(again, lambda: self._send(message, key, min(2 * pause, T2)))

    def _abilities(self) -> tuple[tuple[str, str], ...]:
        allow = ("Allow", "INVITE, ACK, BYE" + (", UPDATE" if self.allows_update else ""))
        return (("Supported", "timer"), allow) if self.policy.enabled else (allow,)

    def _final(self, message: Message) -> None:
        """The final answer to a request of ours, or its timeout."""
        sent = self._open.pop((message.method, message.cseq), None)
        if sent is None or self.ended or not self.alive:
            return
        answer = RefreshResponse.read(message.code or 0, message.rows, self.policy.floor)
        if answer.is_success:
            self._in_force(message, uac.accept(sent, answer, self.policy, self.dialog))
        elif self.dialog is None or self.session is None:
            self._told_min_se = uac.retry_with(answer, sent, self._retries) if answer.code == 422 else None
            self._retries += 1
            if self._told_min_se is None:
                self.ended = f"INVITE was answered {answer.code}"
            else:
                self._request("INVITE")
        else:
            self.dialog = uac.rejected(self.dialog, answer)
            # A refresh that the session did not ask for can end the dialog too (RFC 3261 12.2.1.2).
            if self.session.sent is None and reaction(answer.code) is Reaction.END:
                silent = answer.code == TIMEOUT
                self.hang_up(session.Reason.UNANSWERED if silent else session.Reason.GONE)
                return
            self._do(session.responded(self.session, self._clock.now, answer, self._chance.random()))

    def _answer(self, request: Message) -> Message:
        """What this end says to a request it has not seen before."""
        refused = self._refusal(request)
        if refused is not None:
            return replace(request, headers=(), code=refused)
        accepted = replace(request, headers=self._abilities(), code=200)
        if request.method == "BYE":
            self.ended = "BYE"
            return accepted
        try:
            facts = RefreshRequest.read(request.method, request.rows, self.policy.floor)
        except HeaderError:
            return replace(request, headers=(), code=400)
        decision = uas.answer(facts, self.policy, self.dialog)
        if isinstance(decision, minimum.Reject):
            if self.dialog is not None:
                self.dialog = uas.remember(facts, self.dialog)
            rejected = replace(request, headers=(), code=decision.code)
            return rejected if decision.min_se is None else rejected.having("Min-SE", str(decision.min_se))
        if decision.session_expires is not None:
            accepted = accepted.having("Session-Expires", str(decision.session_expires))
        if decision.require_timer:
            accepted = accepted.having("Require", "timer")
        self._in_force(request, decision.dialog)
        return accepted

    def _refusal(self, request: Message) -> int | None:
        """The code for a request that has no place here (RFC 3261 12.2.2 and 14.2); None if it has."""
        if self.ended or (self.dialog is None and (request.method != "INVITE" or self._places_call)):
            return 481
        if request.cseq <= self._peer_cseq:
            return 500
        self._peer_cseq = request.cseq
        if request.method == "INVITE" and self._has_open("INVITE"):
            return 491
        if request.method == "UPDATE" and not self.allows_update:
            return 405
        return None

    def _in_force(self, message: Message, dialog: DialogTimer) -> None:
        """A 2xx to INVITE or UPDATE was sent or received."""
        now = self._clock.now
        self.dialog = dialog
        self.latest = message.sender, message.method, message.cseq
        if self.session is None:
            self.session = session.begin(
                dialog, now, self.policy, owns_call_id=self._places_call, spread=self._chance.random()
            )
        else:
            self.session = session.refreshed(self.session, dialog, now)
        self._plan()

    def _plan(self) -> None:
        if self.session is not None and self.session.wake is not None:
            self._clock.at(self.session.wake, self._due)

    def _due(self) -> None:
        if self.session is not None and self.alive and not self.ended:
            self._do(session.due(self.session, self._clock.now))

    def _do(self, step: session.Step) -> None:
        """Carry out what the session asks for."""
        self.session, action = step
        match action:
            case session.Send(method):
                name = "INVITE" if method is session.Method.INVITE else "UPDATE"
                if self._has_open(name):
                    # Not two at once (RFC 3261 14.1, RFC 3311 5.1): the same as glare.
                    glare = RefreshResponse(491)
                    self._do(session.responded(self.session, self._clock.now, glare, self._chance.random()))
                else:
                    self._request(name)
            case session.Ask():
                self._do(self._known()(self.session, self._clock.now))
            case session.Expire(reason, hang_up):
                self.expired = action
                if hang_up:
                    self.hang_up(reason)
        # After the request, so that its timeout comes before the verdict on it.
        self._plan()

    def _known(self) -> Callable[[session.Session, float], session.Step]:
        """What this end can say when its session asks."""
        if self.blind:
            return session.unknown
        if self.session is not None and self.session.sent is not None:
            return session.under_way
        return session.silent


class PathProxy:
    """A proxy between the two that asks for session timers too (RFC 4028 section 8)."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._asked: dict[tuple[str, str, int], proxy.Remembered] = {}

    def request(self, message: Message) -> Message:
        """The request as forwarded, or the proxy's own answer to it."""
        if message.method not in REFRESH_METHODS:
            return message
        decision = proxy.forward(
            RefreshRequest.read(message.method, message.rows, self.policy.floor), self.policy
        )
        if isinstance(decision, minimum.Reject):
            return replace(message, headers=(("Min-SE", str(decision.min_se)),), code=decision.code)
        change, asked = decision
        self._asked[message.sender, message.method, message.cseq] = asked
        if change.session_expires is not None:
            message = message.having("Session-Expires", str(change.session_expires))
        return message if change.min_se is None else message.having("Min-SE", str(change.min_se))

    def answer(self, message: Message) -> Message:
        """The final answer as forwarded."""
        asked = self._asked.get((message.sender, message.method, message.cseq))
        if asked is None or message.code is None or not 200 <= message.code < 300:
            return message
        response = RefreshResponse.read(message.code, message.rows, self.policy.floor)
        completed = proxy.complete(asked, response, Side.LOCAL)
        if completed.session_expires is None:
            return message
        message = message.having("Session-Expires", str(completed.session_expires))
        required = message.rows("Require")
        return (
            message
            if has_tag(required, "timer")
            else message.having("Require", ", ".join([*required, "timer"]))
        )


class Pair:
    """A caller and a callee of ours, what lies between them, and the clock.

    `path` is the policy of a proxy on the way; `seed` makes losses and delays repeatable.
    """

    def __init__(
        self,
        caller: Policy | None = None,
        callee: Policy | None = None,
        *,
        path: Policy | None = None,
        seed: int = 0,
    ) -> None:
        self.clock = FakeClock()
        self.wire = Wire(self.clock, Random(seed))  # noqa: S311 - repeatable on purpose
        self.proxy = PathProxy(path) if path is not None else None
        self.caller = UserAgent("caller", "callee", caller or Policy(), self.wire, self._to_callee)
        self.callee = UserAgent("callee", "caller", callee or Policy(), self.wire, self._to_caller)

    @property
    def ends(self) -> tuple[UserAgent, UserAgent]:
        return self.caller, self.callee

    def call(self) -> bool:
        """The caller calls; whether the call is up at both ends once it knows."""
        self.caller.invite()
        longest = session.ANSWER_TIME * (1 + uac.MOST_422_RETRIES)
        self.clock.run(longest, until=lambda: not self.caller.busy)
        return all(end.dialog is not None and not end.ended for end in self.ends)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.run(seconds)

    def _to_callee(self, message: Message) -> None:
        self.wire.carry(message, lambda arrived: self._through(arrived, self.callee, self.caller))

    def _to_caller(self, message: Message) -> None:
        self.wire.carry(message, lambda arrived: self._through(arrived, self.caller, self.callee))

    def _through(self, message: Message, to: UserAgent, back: UserAgent) -> None:
        if self.proxy is not None and message.code is None:
            message = self.proxy.request(message)
            if message.code is not None:
                self.wire.carry(message, back.receive)
                return
        elif self.proxy is not None:
            message = self.proxy.answer(message)
        to.receive(message)
