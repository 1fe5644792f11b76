"""What a proxy did to what passed it, seen on the hop before it and on the hop behind it (RFC 4028 8).

Who speaks for an end itself is no proxy: our own edge, told by its internal header, and a B2BUA that keeps
the Call-ID, told by its Via.
"""

from __future__ import annotations

from session_timer import HeaderError, RefreshRequest, RefreshResponse
from session_timer.headers import SessionExpires

from session_timer_companion.explain.gathering.calls import Sighted
from session_timer_companion.explain.gathering.hops import CALLER, REFRESHES, Hop, Transaction, passed_on
from session_timer_companion.explain.judging.findings import Findings, Moment, Place
from session_timer_companion.explain.judging.rules import Rule


def judge(hops: list[Hop], findings: Findings) -> None:
    """Each pair of hops that meet at one element."""
    for before in hops:
        for behind in hops:
            if before is behind or before.ends[1] != behind.ends[0] or behind.ends[0] in findings.ours:
                continue
            if not _is_proxy(before, behind):
                continue
            for first in before.transactions:
                second = passed_on(first, behind)
                if second is not None and first.method in REFRESHES:
                    # The caller's request goes on to the next hop, the callee's comes from there.
                    pair = (first, second) if first.side == CALLER else (second, first)
                    spots = (before, behind) if first.side == CALLER else (behind, before)
                    _pair(*pair, *spots, findings)
            _byes(before, behind, findings)


def _is_proxy(before: Hop, behind: Hop) -> bool:
    """Whether who stands between them puts its Via on top of those that came (RFC 3261 16.6)."""
    for first in before.transactions:
        second = passed_on(first, behind)
        if second is not None and first.side == CALLER and first.request.message.branch:
            came = first.request.message.branch
            return any(came in row for row in second.request.message.rows("via")[1:])
    return False


def _pair(came: Transaction, left: Transaction, before: Hop, behind: Hop, findings: Findings) -> None:
    try:
        asked = RefreshRequest.read(came.method, came.request.message.rows, floor=0)
        sent = RefreshRequest.read(left.method, left.request.message.rows, floor=0)
    except HeaderError:
        return
    _request(asked, sent, left, behind, findings)
    answer, passed = _success(left), _success(came)
    if answer is None or passed is None or answer.message.to_tag != passed.message.to_tag:
        return
    got = RefreshResponse.read(200, answer.message.rows, floor=0)
    gave = RefreshResponse.read(200, passed.message.rows, floor=0)
    told, said = got.session_expires, gave.session_expires
    if told is not None and said is not None:
        changed = (told.interval, told.refresher) != (said.interval, said.refresher)
        if changed:
            due = f"Session-Expires: {told}, as it came"
            findings.message(Rule.PROXY_ANSWER, Place(before, came, passed), f"Session-Expires: {said}", due)
    inserted = sent.session_expires if asked.session_expires is None else None
    if inserted is not None and asked.supports_timer and told is None and said is None:
        findings.message(Rule.PROXY_NOT_COMPLETED, Place(before, came, passed), "no Session-Expires",
            f"Session-Expires: {inserted.interval};refresher=uac and Require: timer",
        )  # fmt: skip


def _request(
    asked: RefreshRequest, sent: RefreshRequest, left: Transaction, behind: Hop, findings: Findings
) -> None:
    old, new = asked.session_expires, sent.session_expires
    least = max(sent.min_se or 0, 90)
    if new is not None and new.refresher is not (old.refresher if old else None):
        kept = SessionExpires.of(new.interval, old.refresher if old else None)
        findings.message(
            Rule.PROXY_REFRESHER,
            Place(behind, left, left.request),
            f"Session-Expires: {new}",
            f"Session-Expires: {kept}",
        )
    elif old is not None and new is not None and new.interval > max(old.interval, least):
        findings.message(
            Rule.PROXY_RAISED,
            Place(behind, left, left.request),
            f"Session-Expires: {new}",
            f"Session-Expires: {old}",
        )
    lowered = (sent.min_se or 0) < (asked.min_se or 0)
    touched = asked.supports_timer and sent.min_se != asked.min_se
    if lowered or touched:
        shown = "no Min-SE" if sent.min_se is None else f"Min-SE: {sent.min_se}"
        due = "no Min-SE" if asked.min_se is None else f"Min-SE: {asked.min_se}"
        findings.message(Rule.PROXY_MIN_SE, Place(behind, left, left.request), shown, f"{due}, as it came")


def _success(each: Transaction) -> Sighted | None:
    final = each.final()
    return final if final is not None and 200 <= (final.message.status or 0) < 300 else None


def _byes(before: Hop, behind: Hop, findings: Findings) -> None:
    """BYE in both directions from the middle, and from neither end."""
    first = [each for each in before.transactions if each.method == "BYE"]
    second = [each for each in behind.transactions if each.method == "BYE"]
    if not first or not second:
        return
    outward, inward = first[0], second[0]
    apart = abs(outward.request.time - inward.request.time)
    both_ways = outward.side != CALLER and inward.side == CALLER and apart < 2
    if both_ways and passed_on(outward, behind) is None and passed_on(inward, before) is None:
        findings.happened(
            Rule.PROXY_BYE,
            Moment(behind, CALLER, inward.request.time, "BYE"),
            "BYE to both sides, which neither of them sent",
            "no BYE: a proxy only forgets the call",
        )
