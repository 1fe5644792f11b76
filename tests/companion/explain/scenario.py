"""Calls as a script: lines that can be changed, rendered as SIP between two ends or through a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

CARRIER, PROXY, PBX = "198.18.81.42", "198.18.81.10", "198.18.81.20"
START = 1_790_000_000.0
SDP = (
    "v=0\r\no=- 1 1 IN IP4 198.18.81.42\r\ns=-\r\nc=IN IP4 198.18.81.42\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 8\r\n"
)
ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE"


@dataclass(frozen=True)
class Line:
    """One message. ``by`` is 0 for the caller's side and 1 for the callee's."""

    name: str
    at: float
    by: int
    method: str
    cseq: int
    status: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    body: str = ""
    tag: str = "callee"
    """The callee's tag; empty in an initial request."""
    branch: str = ""
    contact: bool = True
    behind_to: str = ""
    """What stands behind To's tag."""
    times: tuple[float, ...] = ()
    """Seconds after ``at`` at which it is sent again."""

    def with_rows(self, **rows: str | None) -> Line:
        """Other values for header rows, named as ``Session_Expires``; None takes a row away."""
        named = {name.replace("_", "-"): value for name, value in rows.items()}
        kept = [(name, value) for name, value in self.rows if name not in named]
        return replace(
            self, rows=(*kept, *((name, value) for name, value in named.items() if value is not None))
        )


@dataclass(frozen=True)
class Sent:
    """One message on the wire."""

    time: float
    source: str
    target: str
    text: bytes


@dataclass(frozen=True)
class Script:
    """A call that can be changed line by line."""

    lines: tuple[Line, ...]
    call_id: str = "call-1@carrier.example"
    caller: str = CARRIER
    callee: str = PBX
    numbers: tuple[str, str] = ("+493012345678", "+441632960001")
    more_rows: tuple[tuple[str, str], ...] = field(default=())

    def change(self, name: str, change: Callable[[Line], Line]) -> Script:
        """The same call with one line changed."""
        assert any(line.name == name for line in self.lines), name
        return replace(self, lines=tuple(change(line) if line.name == name else line for line in self.lines))

    def rows(self, name: str, **rows: str | None) -> Script:
        """The same call with other header rows in one line."""
        return self.change(name, lambda line: line.with_rows(**rows))

    def without(self, *names: str) -> Script:
        """The same call less these lines."""
        assert set(names) <= {line.name for line in self.lines}
        return replace(self, lines=tuple(line for line in self.lines if line.name not in names))

    def only(self, keep: Callable[[Line], bool]) -> Script:
        return replace(self, lines=tuple(line for line in self.lines if keep(line)))

    def plus(self, *lines: Line) -> Script:
        return replace(self, lines=(*self.lines, *lines))

    def direct(self) -> list[Sent]:
        """On the wire between caller and callee."""
        return self._sent(self.lines, self.caller, self.callee, 0.0, "")

    def through(
        self, proxy: str = PROXY, behind: Callable[[Line], Line | None] = lambda line: line
    ) -> list[Sent]:
        """On both hops of a proxy; ``behind`` says what the hop to the callee has instead of a line."""
        near = self._sent(self.lines, self.caller, proxy, 0.0, "near", later=(1, 0.01))
        other = [changed for line in self.lines if (changed := behind(line)) is not None]
        far = self._sent(other, proxy, self.callee, 0.0, "far", later=(0, 0.01))
        return in_order([*near, *far])

    def _sent(
        self,
        lines: Iterable[Line],
        caller: str,
        callee: str,
        delay: float,
        hop: str,
        later: tuple[int, float] = (0, 0.0),
    ) -> list[Sent]:
        found = []
        for line in lines:
            source, target = (caller, callee) if line.by == 0 else (callee, caller)
            wait = delay + (later[1] if line.by == later[0] else 0.0)
            text = self.text(line, hop)
            found += [
                Sent(START + line.at + wait + again, source, target, text) for again in (0.0, *line.times)
            ]
        return in_order(found)

    def text(self, line: Line, hop: str = "") -> bytes:
        """The SIP message of a line."""
        asked_by = line.by if not line.status else 1 - line.by
        local = f"<sip:{self.numbers[0]}@carrier.example>;tag=caller"
        remote = f"<sip:{self.numbers[1]}@pbx.example>" + (f";tag={line.tag}" if line.tag else "")
        first = (
            f"SIP/2.0 {line.status}"
            if line.status
            else f"{line.method} sip:{self.numbers[1]}@pbx.example SIP/2.0"
        )
        branch = line.branch or f"{line.method if line.method != 'ACK' else 'ack'}{line.cseq}{asked_by}"
        # Behind the proxy of the caller's requests, and before it for the callee's, its own Via is on top.
        passed = {"far": 0, "near": 1}.get(hop) == asked_by
        other = "near" if hop == "far" else "far"
        below = [f"Via: SIP/2.0/UDP {self.caller}:5060;branch=z9hG4bK{branch}{other}"] if passed else []
        rows = [
            first,
            f"Via: SIP/2.0/UDP {self.caller}:5060;branch=z9hG4bK{branch}{hop}",
            *below,
            f"From: {local if asked_by == 0 else remote}",
            f"To: {remote if asked_by == 0 else local}{line.behind_to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {line.cseq} {line.method}",
            *(
                [f"Contact: <sip:{self.numbers[line.by]}@{(self.caller, self.callee)[line.by]}:5060>"]
                if line.contact
                else []
            ),
            *(f"{name}: {value}" for name, value in (*line.rows, *self.more_rows)),
        ]
        if line.body:
            rows.append("Content-Type: application/sdp")
        return "\r\n".join([*rows, f"Content-Length: {len(line.body)}", "", line.body]).encode()


def in_order(sent: Iterable[Sent]) -> list[Sent]:
    return sorted(sent, key=lambda one: one.time)


def exchange(
    name: str,
    at: float,
    by: int,
    method: str,
    cseq: int,
    rows: dict[str, str],
    answer: dict[str, str],
    **more: str,
) -> tuple[Line, Line]:
    """A request within the dialog and its 200."""
    request = Line(name, at, by, method, cseq, rows=tuple(rows.items()), body=more.get("body", ""))
    response = Line(
        f"{name}-ok",
        at + 0.02,
        1 - by,
        method,
        cseq,
        "200 OK",
        rows=tuple(answer.items()),
        body=more.get("body", ""),
    )
    return request, response


SUPPORTED = {"Supported": "timer", "Allow": ALLOW}


def setup(
    asked: dict[str, str] | None = None,
    answer: dict[str, str] | None = None,
    *,
    cseq: int = 1,
    at: float = 0.0,
) -> tuple[Line, ...]:
    """INVITE to ACK; by default 1800 seconds, refreshed by the caller."""
    asked = {"Session-Expires": "1800", **SUPPORTED} if asked is None else asked
    if answer is None:
        answer = {"Session-Expires": "1800;refresher=uac", "Require": "timer", **SUPPORTED}
    return (
        Line("invite", at, 0, "INVITE", cseq, rows=tuple(asked.items()), body=SDP, tag=""),
        Line("trying", at + 0.01, 1, "INVITE", cseq, "100 Trying", tag=""),
        Line("ringing", at + 0.1, 1, "INVITE", cseq, "180 Ringing"),
        Line("ok", at + 3.0, 1, "INVITE", cseq, "200 OK", rows=tuple(answer.items()), body=SDP),
        Line("ack", at + 3.05, 0, "ACK", cseq),
    )


def refresh(
    name: str, at: float, cseq: int, by: int = 0, method: str = "UPDATE", seconds: int = 1800
) -> tuple[Line, Line]:
    """A refresh by the side that has the role, and its answer."""
    value = f"{seconds};refresher=uac"
    body = SDP if method == "INVITE" else ""
    return exchange(
        name,
        at,
        by,
        method,
        cseq,
        {"Session-Expires": value, **SUPPORTED},
        {"Session-Expires": value, "Require": "timer", **SUPPORTED},
        body=body,
    )


def bye(at: float, by: int = 0, cseq: int = 90, **rows: str) -> tuple[Line, Line]:
    return exchange("bye", at, by, "BYE", cseq, rows, {})


def lawful() -> Script:
    """1800 seconds, two refreshes by the caller, an ordinary end."""
    return Script((*setup(), *refresh("one", 903, 2), *refresh("two", 1803.5, 3), *bye(2000)))


def by_callee() -> Script:
    """The callee refreshes, by re-INVITE."""
    value = "1800;refresher=uas"
    answer = {"Session-Expires": value, "Require": "timer", **SUPPORTED}
    again = refresh("one", 903, 1, by=1, method="INVITE")
    ack = Line("one-ack", 903.1, 1, "ACK", 1)
    return Script((*setup(answer=answer), *again, ack, *bye(1200)))


def after_422() -> Script:
    """The first INVITE is answered 422, the second has what it asked for."""
    return Script(
        (
            Line(
                "first",
                0,
                0,
                "INVITE",
                1,
                rows=(("Session-Expires", "1800"), ("Supported", "timer")),
                body=SDP,
                tag="",
            ),
            Line("422", 0.02, 1, "INVITE", 1, "422 Session Interval Too Small", rows=(("Min-SE", "3600"),)),
            Line("422-ack", 0.03, 0, "ACK", 1),
            *setup(
                {"Session-Expires": "3600", "Min-SE": "3600", **SUPPORTED},
                {"Session-Expires": "3600;refresher=uac", "Require": "timer", **SUPPORTED},
                cseq=2,
                at=0.1,
            ),
            *refresh("one", 1803, 3, seconds=3600),
            *bye(2000),
        )
    )


def without_timer() -> Script:
    """Nobody speaks of timers."""
    return Script((*setup({}, {}), *bye(47)))


def one_sided() -> Script:
    """The callee knows no timers; the caller refreshes alone."""
    alone = exchange(
        "one", 903, 0, "UPDATE", 2, {"Session-Expires": "1800;refresher=uac", **SUPPORTED}, {"Allow": ALLOW}
    )
    return Script((*setup(answer={"Allow": ALLOW}), *alone, *bye(1000)))


LAWFUL: dict[str, Callable[[], Script]] = {
    "refreshed": lawful,
    "by the callee": by_callee,
    "after a 422": after_422,
    "without a timer": without_timer,
    "one-sided": one_sided,
}
