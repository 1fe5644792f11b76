"""Fuzz targets: a function a parser or decision, taking bytes; a result or a documented error, nothing else.

Each target also asserts what must hold of every result, so that a wrong answer is a finding too.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from session_timer import (
    LARGEST_INTERVAL,
    ConfigError,
    HeaderError,
    InternalHeader,
    Outcome,
    Record,
    RecordError,
    RefreshRequest,
    RefreshResponse,
    SessionExpires,
    SharedKey,
    Side,
    evidence,
    parse_min_se,
    proxy,
    session,
    uac,
    uas,
    validate,
)
from session_timer.headers import allows, has_tag, read_min_se, read_session_expires, without_tag
from session_timer.minimum import Reject
from session_timer.session.transitions import State

from .bytes_as_facts import Facts, rows

KEY = SharedKey.parse("0123456789abcdef0123456789abcdef")
CALL = "a@b"


def session_expires(data: bytes) -> None:
    """`SessionExpires.parse`: what was read is written so that it reads the same."""
    try:
        read = SessionExpires.parse(Facts(data).rest())
    except HeaderError:
        return
    assert 0 <= read.interval <= LARGEST_INTERVAL
    assert SessionExpires.parse(str(read)) == read
    assert read.with_interval(90).params == read.params


def min_se(data: bytes) -> None:
    """`parse_min_se`."""
    try:
        seconds = parse_min_se(Facts(data).rest())
    except HeaderError:
        return
    assert 0 <= seconds <= LARGEST_INTERVAL


def repeated_rows(data: bytes) -> None:
    """`read_session_expires` and `read_min_se` over several rows: the safe choice, or a documented error."""
    lines = Facts(data).rest().split("\n")
    try:
        read = read_session_expires(lines)
    except HeaderError:
        pass
    else:
        assert read.value is not None
        assert read_session_expires([str(read.value)]).value == read.value
    try:
        least = read_min_se(lines)
    except HeaderError:
        return
    assert least.value is not None
    assert least.value >= 90


def option_tag_lists(data: bytes) -> None:
    """`has_tag`, `without_tag` and `allows` over several rows: they take anything."""
    lines = Facts(data).rest().split("\n")
    left = [row for line in lines if (row := without_tag(line, "timer")) is not None]
    assert not has_tag(left, "timer")
    assert has_tag([*left, "a, Timer ,b"], "timer")
    for tag in ("100rel", "path"):
        assert has_tag(left, tag) or not has_tag(lines, tag)
    allows(lines, "UPDATE")


def uas_answer(data: bytes) -> None:
    """A request read, and `uas.answer` and `proxy.forward` on it."""
    facts = Facts(data)
    policy, dialog, known = facts.policy(), facts.dialog(), facts.flag()
    try:
        request = RefreshRequest.read(facts.one_of(("INVITE", "UPDATE")), rows(facts.rest()))
    except HeaderError:
        return
    asked = request.session_expires.interval if request.session_expires else None
    answer = uas.answer(request, policy, dialog if known else None)
    passed = proxy.forward(request, policy)
    for decision in (answer, passed):
        if isinstance(decision, Reject) and decision.code == 422:
            assert request.supports_timer
            assert asked is not None
            assert asked < policy.min_se
            assert decision.min_se == policy.min_se
    if isinstance(answer, uas.Accept) and answer.session_expires is not None:
        shown = answer.session_expires
        assert shown.refresher is not None
        assert shown.interval >= min(policy.floor, policy.min_se)
        assert answer.require_timer == request.supports_timer
        if asked is not None and not policy.raise_small_interval:
            assert shown.interval <= asked
    if not isinstance(passed, Reject):
        change, remembered = passed
        if change.min_se is not None:
            assert not request.supports_timer
            assert change.min_se > (request.min_se or 0)
        if remembered.interval is not None:
            assert remembered.interval >= max(policy.floor, change.min_se or request.min_se or 0)


def uac_accept(data: bytes) -> None:
    """A final answer read, and what the UAC and a proxy make of it."""
    facts = Facts(data)
    policy, dialog, known = facts.policy(), facts.dialog(), facts.flag()
    code = facts.one_of((200, 202, 299, 401, 408, 422, 481, 491, 500, 503, 600, 700))
    sender = facts.one_of((Side.LOCAL, Side.REMOTE))
    asked = proxy.Remembered(facts.one_of((None, 90, 1800)), facts.flag())
    response = RefreshResponse.read(code, rows(facts.rest()))
    sent = uac.request(policy, dialog if known else None)
    shown = sent.session_expires
    assert shown is None or shown.interval >= max(sent.min_se or 0, policy.floor)
    if response.is_success:
        after = uac.accept(sent, response, policy, dialog if known else None)
        assert after.agreement is None or after.agreement.interval > 0
        completed = proxy.complete(asked, response, sender, dialog)
        assert completed.require_timer == (completed.session_expires is not None)
        assert response.session_expires is None or completed.session_expires is None
    else:
        assert response.session_expires is None
        kept = uac.rejected(dialog, response)
        assert kept.agreement == dialog.agreement
        assert (kept.min_se or 0) >= (dialog.min_se or 0)
        again = uac.retry_with(response, sent, facts.byte() % 7)
        assert again is None or again > (sent.min_se or 0)


def record(data: bytes) -> None:
    """`Record.decode`: a record that was read is written so that it reads the same."""
    try:
        read = Record.decode(Facts(data).rest())
    except RecordError:
        return
    again = Record.decode(read.encode())
    assert again.encode() == read.encode()
    assert again.dialog == read.dialog
    seen = evidence.shows(read, 0.0, lambda clock, at: at if clock == read.clock else None)
    if seen.what.ends_a_call:
        assert seen.request is not None
        assert seen.request.outcome is Outcome.TIMED_OUT or seen.request.code in (408, 481)
        assert seen.request.at >= -evidence.TOLERANCE
        assert read.at < 0


def internal_header(data: bytes) -> None:
    """`InternalHeader.decode`."""
    text = Facts(data).rest()
    try:
        InternalHeader.decode(text, KEY, CALL, text)
    except HeaderError:
        pass
    else:
        raise AssertionError("nobody without the key writes a signature")
    signed = f"{text.strip()};sig={KEY.signature('internal header', CALL, text.strip())}"
    try:
        read = InternalHeader.decode(signed, KEY, CALL)
    except HeaderError:
        return
    assert InternalHeader.decode(read.encode(KEY, CALL), KEY, CALL) == read


def config(data: bytes) -> None:
    """`validate` on whatever structure JSON can hold."""
    try:
        structure = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        read = validate(structure, "fuzz.json")
    except ConfigError:
        return
    for policy in (read.policy, *(peer.policy for peer in read.peers)):
        assert policy.floor <= policy.min_se <= policy.default_expires
    read.peer("carrier-a", "198.18.0.41", "carrier-a.example")


CODES = (200, 302, 401, 407, 408, 405, 420, 422, 481, 486, 488, 491, 500, 501, 503, 580, 600, 603, 700)


def _event(facts: Facts, held: session.Session, now: float) -> session.Step:
    """What a driver may say next, at any time."""
    retry_after = facts.one_of((None, 0, 1, 10, 10**9))
    response = RefreshResponse(facts.one_of(CODES), retry_after=retry_after)
    told: tuple[Callable[[], session.Step], ...] = (
        lambda: session.due(held, now),
        lambda: (session.refreshed(held, facts.dialog(), now - facts.byte()), None),
        lambda: session.responded(held, now, response, facts.byte() / 256),
        lambda: session.silent(held, now),
        lambda: session.unknown(held, now, left=facts.one_of((None, held.sent))),
        lambda: session.timed_out(held, now),
        lambda: session.under_way(held, now),
        lambda: session.never_passed(held, now),
        lambda: session.untraced(held, now),
        lambda: session.alive(held, now),
        lambda: session.due(held, held.wake if held.wake is not None else now),
    )
    return facts.one_of(told)()


def session_events(data: bytes) -> None:
    """A session driven by any sequence of calls at any times; over is over, and waits are in the future."""
    facts = Facts(data)
    policy = facts.policy()
    now = float(facts.byte())
    held = session.begin(facts.dialog(), now, policy, owns_call_id=facts.flag(), spread=facts.byte() / 256)
    while facts:
        before = held
        now += facts.one_of((0.0, 0.5, 7.5, 16.0, 32.0, 45.0, 500.0, 900.0, max(0.0, (held.wake or 0) - now)))
        held, action = _event(facts, held, now)
        if before.state is State.OVER:
            assert held == before
            assert action is None
        if isinstance(action, session.Expire):
            assert held.state is State.OVER
            _is_evidence(before, action)
        if held.state in (State.OVER, State.OFF):
            assert held.wake is None
        else:
            assert held.wake is not None
            assert held.deadline is not None
        if isinstance(action, session.Send):
            assert held.sent is not None
            assert held.wake is not None
            assert held.wake >= held.sent


def _is_evidence(before: session.Session, expired: session.Expire) -> None:
    """What ends a session: an end that was seen, or the operator's word."""
    if expired.hang_up and expired.reason is not session.Reason.REFUSED:
        assert before.sent is not None


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        session_expires,
        min_se,
        repeated_rows,
        option_tag_lists,
        uas_answer,
        uac_accept,
        record,
        internal_header,
        config,
        session_events,
    )
}
