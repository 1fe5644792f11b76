"""Hundreds of peers in one process: they call, answer refreshes, refresh, fall silent, and keep account.

    python3 -m tests.chaos.inside.crowd EDGE

One order a line of standard input, as JSON with `do`; one line of JSON answers each. A peer is patient: it
hangs up when it is told to, not when nobody refreshed its session, so that every other end of a call is our
side's doing. Times are seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.chaos.inside.account import Account
from tests.chaos.inside.disorder import Disorder
from tests.chaos.inside.sip_text import Dialog, response, sdp
from tests.lab.sip import NotSip, SipMessage

PORT = 5070
T1, T2, TIMER_F = 0.5, 4.0, 32.0
"""RFC 3261: the first retransmission, the longest pause between two, the end of a transaction."""
AGAIN = 2.0
"""Seconds after which a peer tries a refresh again that was refused or got no answer."""

Address = tuple[str, int]
OnFinal = Callable[[SipMessage | None], None]


@dataclass(slots=True)
class Open:
    """A request of ours that has no final response yet."""

    data: bytes
    until: float
    on_final: OnFinal
    pause: float = T1
    timer: asyncio.TimerHandle | None = None
    proceeding: bool = False


class Call:
    """One peer of one call."""

    def __init__(self, peer: Peer, account: Account, dialog: Dialog, *, refreshes: bool, hold: float) -> None:
        self.account, self._peer, self._dialog = account, peer, dialog
        self._refreshes, self._hold = refreshes, hold
        self._open: dict[str, Open] = {}
        self._said: dict[tuple[int, str], bytes] = {}
        self._unconfirmed: dict[int, asyncio.TimerHandle] = {}
        self._due: asyncio.TimerHandle | None = None
        self._version = 1

    def invite(self) -> None:
        asks = f"Session-Expires: {self.account.interval}" + (";refresher=uac" if self._refreshes else "")
        self._ask("INVITE", self._invited, "Supported: timer", asks, body=sdp(self._dialog.own[0], 1))

    def die(self) -> None:
        """Say nothing from now on."""
        self.account.silent = time.monotonic()
        self._quiet()

    def hang_up(self) -> None:
        if self.account.ended is None and self.account.answered is not None:
            self._quiet()
            self._ask("BYE", self._hung_up)

    # What comes in

    def take(self, message: SipMessage) -> None:
        if message.status is not None:
            self._response(message)
        elif message.method == "BYE":
            if self.account.ended is None:
                self.account.reason = message.header("Reason") or ""
                self.end("bye")
            self._say(message, 200)
        elif self.account.silent is not None and self.account.ended is None:
            return
        elif message.method == "ACK":
            self._confirmed(message.cseq[0])
        elif self.account.ended is not None or self.account.answered is None:
            self._say(message, 481)
        elif message.method in ("INVITE", "UPDATE"):
            self._refreshed_by_them(message)
        else:
            self._say(message, 200)

    def _response(self, message: SipMessage) -> None:
        number, method = message.cseq
        if method == "INVITE" and (message.status or 0) >= 200 and self.account.silent is None:
            self._ack(message, number)
            if self.account.by == "failed" and (message.status or 0) < 300:
                self._ask("BYE", self._hung_up)  # answered after all, when this peer had given up
        opened = self._open.get(f"{number} {method}")
        if opened is None:
            return
        if (message.status or 0) < 200:
            opened.proceeding = method == "INVITE"
            return
        self._close(f"{number} {method}")
        opened.on_final(message)

    def _invited(self, answer: SipMessage | None) -> None:
        account = self.account
        account.code = (answer.status or 0) if answer else 0
        if answer is None or account.code >= 300:
            self.end("failed")
            return
        account.answered = account.refreshed = time.monotonic()
        if self._hold:
            self._later(self._hold, self.hang_up)
        elif self._refreshes:
            self._later(account.interval / 2, self._refresh)

    def _refreshed_by_them(self, request: SipMessage) -> None:
        if (request.cseq[0], request.method) in self._said:
            self._peer.send(self._said[request.cseq[0], request.method])
            return
        asked = request.header("Session-Expires")
        rows = []
        if asked is not None:
            rows = ["Supported: timer", "Require: timer"]
            rows.append(f"Session-Expires: {asked}" + ("" if "refresher" in asked else ";refresher=uac"))
            self._fresh()
        self._version += 1
        body = sdp(self._dialog.own[0], self._version) if request.method == "INVITE" or request.body else ""
        self._say(request, 200, *rows, body=body)
        if request.method == "INVITE":
            self._repeat(request.cseq[0], T1, time.monotonic() + TIMER_F)

    # What goes out

    def _refresh(self) -> None:
        """A refresh of ours: tried again until it is answered, or the call is gone."""
        account = self.account
        asks = f"Session-Expires: {account.interval};refresher=uac"
        self._ask("UPDATE", self._answered, "Supported: timer", asks, until=account.interval / 4)

    def _answered(self, answer: SipMessage | None) -> None:
        status = 0 if answer is None else (answer.status or 0)
        if status == 481:
            self.account.code = 481
            self.end("gone")
        elif 200 <= status < 300:
            self._fresh()
            self._later(self.account.interval / 2, self._refresh)
        else:
            self._later(AGAIN, self._refresh)

    def _hung_up(self, answer: SipMessage | None) -> None:
        self.account.code = 0 if answer is None else (answer.status or 0)
        self.end("peer")

    def _fresh(self) -> None:
        account, now = self.account, time.monotonic()
        account.longest = max(account.longest, now - (account.refreshed or now))
        account.refreshed, account.refreshes = now, account.refreshes + 1

    def _ask(
        self, method: str, on_final: OnFinal, *rows: str, body: str = "", until: float = TIMER_F
    ) -> None:
        dialog = self._dialog
        dialog.cseq += 1
        branch = f"z9hG4bK{dialog.tag}{dialog.cseq}"
        data = dialog.request(method, dialog.cseq, branch, *rows, body=body)
        opened = Open(data, time.monotonic() + until, on_final)
        self._open[f"{dialog.cseq} {method}"] = opened
        self._peer.send(data)
        self._again(f"{dialog.cseq} {method}", opened)

    def _again(self, name: str, opened: Open) -> None:
        """Retransmit until the transaction's end."""

        def fire() -> None:
            if time.monotonic() >= opened.until and not opened.proceeding:
                self._close(name)
                opened.on_final(None)
                return
            if not opened.proceeding:
                self._peer.send(opened.data)
            opened.pause = min(opened.pause * 2, T2)
            self._again(name, opened)

        opened.timer = asyncio.get_running_loop().call_later(opened.pause, fire)

    def _ack(self, answer: SipMessage, number: int) -> None:
        if (answer.status or 0) < 300 and not self._dialog.remote_tag:
            self._dialog.establish(answer)
        good = (answer.status or 0) < 300
        branch = f"z9hG4bK{self._dialog.tag}{number}" + ("a" if good else "")
        self._peer.send(self._dialog.request("ACK", number, branch))

    def _say(self, request: SipMessage, code: int, *rows: str, body: str = "") -> None:
        data = response(request, code, self._dialog.contact, *rows, body=body)
        self._said[request.cseq[0], request.method] = data
        self._peer.send(data)

    def _repeat(self, number: int, pause: float, until: float) -> None:
        """A 2xx to INVITE is sent again until its ACK comes."""

        def fire() -> None:
            if time.monotonic() < until and self.account.ended is None:
                self._peer.send(self._said[number, "INVITE"])
                self._repeat(number, min(pause * 2, T2), until)

        self._unconfirmed[number] = asyncio.get_running_loop().call_later(pause, fire)

    def _confirmed(self, number: int) -> None:
        timer = self._unconfirmed.pop(number, None)
        if timer is not None:
            timer.cancel()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = asyncio.get_running_loop().call_later(seconds, what)

    def _close(self, name: str) -> None:
        opened = self._open.pop(name, None)
        if opened is not None and opened.timer is not None:
            opened.timer.cancel()

    def _quiet(self) -> None:
        if self._due is not None:
            self._due.cancel()
        for name in list(self._open):
            self._close(name)
        for number in list(self._unconfirmed):
            self._confirmed(number)

    def end(self, by: str) -> None:
        self._quiet()
        self.account.ended, self.account.by = time.monotonic(), by


class Peer(asyncio.DatagramProtocol):
    """One address of the carrier."""

    def __init__(self, own: Address, edge: str, disorder: Disorder) -> None:
        self.own, self.edge, self._disorder = own, edge, disorder
        self.calls: dict[str, Call] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def error_received(self, exc: Exception) -> None:
        """A port that was unreachable for a while: retransmission is the answer."""

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        try:
            message = SipMessage.parse(data)
        except NotSip:
            return
        call = self.calls.get(message.call_id)
        if call is not None:
            self._disorder.pass_on(partial(call.take, message))
        elif message.status is None and message.method != "ACK":
            self.send(response(message, 481, f"<sip:{self.own[0]}>"))

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._disorder.pass_on(partial(self._transport.sendto, data, (self.edge, 5060)))

    def begin(
        self, kind: str, *, interval: int, mortal: bool, allow: str, refreshes: bool, hold: float
    ) -> None:
        tag = f"{random.getrandbits(64):016x}"
        call_id = f"{kind}-{tag}@{self.own[0]}"
        account = Account(call_id, kind, mortal, interval, time.monotonic())
        dialog = Dialog(call_id, self.own, self.edge, tag, allow, f"sip:wait@{self.edge}")
        call = self.calls[call_id] = Call(self, account, dialog, refreshes=refreshes, hold=hold)
        call.invite()


class Crowd:
    """All peers, and the orders that they follow."""

    def __init__(self, edge: str) -> None:
        self.edge, self._disorder = edge, Disorder()
        self._peers: dict[str, Peer] = {}
        self._churn: asyncio.Task[None] | None = None
        self._beginning: set[asyncio.Task[None]] = set()

    async def obey(self, order: dict[str, Any]) -> Any:
        """Do what the order says in `do`, with its other fields."""
        obeyed: dict[str, Callable[..., Any]] = {
            "begin": self._begin_soon,
            "churn": self._begin_churn,
            "die": self._die,
            "hang up": self._hang_up,
            "abandon": self._abandon,
            "disorder": self._disturb,
            "accounts": lambda: [call.account.told() for call in self._every()],
            "forget": self._forget,
        }
        return obeyed[order.pop("do")](**order)

    def _begin_soon(self, **order: Any) -> None:
        task = asyncio.create_task(self._begin(**order))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _begin_churn(self, **order: Any) -> None:
        if self._churn is not None:
            self._churn.cancel()
        if order["rate"]:
            self._churn = asyncio.create_task(self._begin(kind="churn", count=10**9, **order))

    def _die(self, count: int) -> None:
        mortal = [each for each in self._standing() if each.account.mortal and each.account.silent is None]
        # Some of each kind.
        for call in mortal[:: max(1, len(mortal) // count)][:count]:
            call.die()

    def _hang_up(self) -> None:
        for call in self._standing():
            if call.account.silent is None:
                call.hang_up()

    def _abandon(self, by: str, only: list[str] | None = None) -> None:
        for call in self._standing():
            if call.account.silent is not None and (only is None or call.account.call_id in only):
                call.end(by)

    def _disturb(self, share: float, delay: float) -> None:
        self._disorder.share, self._disorder.delay = share, delay

    def _forget(self) -> None:
        for peer in self._peers.values():
            for call_id in [name for name, call in peer.calls.items() if call.account.ended is not None]:
                del peer.calls[call_id]
        for call in self._every():
            call.account.longest = 0.0

    def _every(self) -> list[Call]:
        return [call for peer in self._peers.values() for call in peer.calls.values()]

    def _standing(self) -> list[Call]:
        return [
            call for call in self._every() if call.account.ended is None and call.account.answered is not None
        ]

    async def _begin(
        self,
        *,
        kind: str,
        host: str,
        count: int,
        rate: float,
        interval: int,
        allow: str,
        mortal: bool = False,
        refreshes: bool = False,
        hold: float = 0.0,
    ) -> None:
        peer = self._peers.get(host)
        if peer is None:
            loop = asyncio.get_running_loop()
            _, peer = await loop.create_datagram_endpoint(
                lambda: Peer((host, PORT), self.edge, self._disorder), local_addr=(host, PORT)
            )
            self._peers[host] = peer
        for _ in range(count):
            peer.begin(kind, interval=interval, mortal=mortal, allow=allow, refreshes=refreshes, hold=hold)
            await asyncio.sleep(1 / rate)


async def _main(edge: str) -> None:
    crowd, loop = Crowd(edge), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await crowd.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
