"""The words for each rule: what it means, and the line to change.

``{who}`` is who did not keep it, ``{other}`` the other end. Everything that is said about rules stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.judging.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Words:
    """What to say about one rule."""

    what: str
    carrier: str
    """The end of the sentence for a carrier: what it is asked to do."""
    asterisk: str = ""
    """The option of Asterisk's PJSIP endpoint that is to be changed, if it is an Asterisk."""
    kamailio: str = ""
    """The parameter of Kamailio's ``sst`` or ``dialog``, if it is a Kamailio."""
    around: str = ""
    """The key of this pack's profile for that peer that keeps calls alive meanwhile."""
    around_update: str = ""
    """The same where it is about an UPDATE."""
    own: str = ""
    """What to look at where it is our own edge or Asterisk."""


_COMPANION = (
    "session-timer doctor; session-timer show CALL-ID: is the companion running, does it know the call?"
)
_EDGE = "this edge should not do that: please report it, with this capture through --anonymize"
_SST = 'modparam("sst", ...) cannot change it: put this pack\'s edge in its place (docs/how-to/native.md)'

WORDS: dict[Rule, Words] = {
    Rule.MALFORMED: Words(
        "{who} sent a timer header that cannot be read, so it counts for nothing",
        "send one Session-Expires, in whole seconds",
        own=_EDGE,
    ),
    Rule.AGAINST_GRAMMAR: Words(
        "{who} wrote what the grammar forbids; the meaning is certain, but not every program reads it",
        "write the header as RFC 3261 and RFC 4028 have it",
        own=_EDGE,
    ),
    Rule.BELOW_90: Words(
        "{who} named an interval below the 90 seconds that are the least",
        "use an interval of 1800 seconds, and never less than 90",
        asterisk="timers_sess_expires=1800",
        kamailio='modparam("sst", "min_se", 90)',
        around="min_se: 90",
        own="session_timer.default_expires: 1800",
    ),
    Rule.MIN_SE_BELOW_90: Words(
        "{who} named a Min-SE below 90 seconds",
        "send a Min-SE of at least 90, or none",
        asterisk="timers_min_se=90",
        kamailio='modparam("sst", "min_se", 90)',
        own="session_timer.min_se: 90",
    ),
    Rule.BELOW_MIN_SE: Words(
        "{who} asked for less than the Min-SE it named itself",
        "send a Session-Expires that is not below your Min-SE",
        asterisk="timers_min_se must not be above timers_sess_expires",
        own="session_timer.min_se must not be above default_expires",
    ),
    Rule.REFRESHER_WITHOUT_SUPPORT: Words(
        "{who} wants to refresh, but does not say that it knows session timers",
        "send Supported: timer with every INVITE and UPDATE",
        asterisk="timers=yes",
        around="prefer_refresher: uas",
        own=_EDGE,
    ),
    Rule.SUPPORT_DROPPED: Words(
        "{who} sent a request within the call as if it no longer knew session timers; each end may now take "
        "the other for the refresher",
        "send Supported: timer and Session-Expires with every INVITE and UPDATE within the call too",
        asterisk="timers=yes, on the endpoint of both legs",
        around="one_sided: true",
        own=_EDGE,
    ),
    Rule.TIMER_DROPPED: Words(
        "{who} sent an INVITE or UPDATE within the call without Session-Expires, though a timer runs; the "
        "answer may switch it off",
        "repeat Session-Expires in every INVITE and UPDATE within the call",
        asterisk="timers=yes",
        own=_EDGE,
    ),
    Rule.ROLE_MOVED: Words(
        "{who} handed the refreshing to a peer that has not shown that it can",
        "keep the refresher where it is: refresher=uac if you refresh",
        asterisk="timers=yes; releases before 13 had the role wrong in a re-INVITE of their own",
        own=_EDGE,
    ),
    Rule.MIN_SE_DROPPED: Words(
        "{who} was told a Min-SE on this call and left it out of the next refresh",
        "repeat the largest Min-SE of the call in each refresh",
        around="min_se: the value that stood there",
        own=_EDGE,
    ),
    Rule.RETRY_TOO_SMALL: Words(
        "{who} was told by a 422 what the least is, and tried again with less",
        "after a 422 send Session-Expires and Min-SE of at least what it says",
        asterisk="timers_sess_expires: at least the Min-SE of the 422",
        kamailio=_SST,
        own=_EDGE,
    ),
    Rule.UPDATE_NOT_ALLOWED: Words(
        "{who} refreshed by UPDATE, which {other} does not allow",
        "refresh by re-INVITE where our Allow does not list UPDATE",
        own="use_update: false for this peer; connected_line_method=invite in Asterisk's endpoint",
        asterisk="timers=yes refreshes by re-INVITE where Allow has no UPDATE; connected_line_method=invite",
    ),
    Rule.OFFER_CHANGED: Words(
        "{who} changed its description in a refresh without a new version, and it was refused",
        "repeat the description as it was, or raise its version in o=",
        around="use_update: true, where Allow lists it",
        own="session_timer.use_update: true for this peer",
    ),
    Rule.NO_REFRESHER: Words(
        "{who} set a timer and did not say who refreshes: each end may wait for the other",
        "name the refresher in the Session-Expires of your 2xx",
        kamailio=_SST,
        own=_EDGE,
    ),
    Rule.INTERVAL_RAISED: Words(
        "{who} answered with a longer interval than was asked for",
        "answer with at most the interval that was asked for",
        own=_EDGE,
        around="default_expires: the value that it answers with",
    ),
    Rule.ANSWER_BELOW_MIN_SE: Words(
        "{who} answered with less than the Min-SE of the request",
        "answer with at least the Min-SE of the request",
        asterisk="timers_sess_expires: at least that Min-SE",
        own=_EDGE,
    ),
    Rule.REFRESHER_OVERRIDDEN: Words(
        "{who} changed the refresher that the request had named: both ends may wait for each other",
        "answer with the refresher that the INVITE named",
        around="offer_refresher: false",
        own=_EDGE,
    ),
    Rule.UAC_CANNOT_REFRESH: Words(
        "{who} made the caller refresh, which does not know session timers: nobody will, and the call is cut",
        "answer refresher=uas, and refresh yourself, where a request has no Supported: timer",
        asterisk="timers=no, or an Asterisk that answers uas: see its release notes",
        kamailio="sst adds refresher=uac for callers that cannot: " + _SST,
        around="one_sided: true",
        own=_EDGE,
    ),
    Rule.REQUIRE_MISSING: Words(
        "{who} made the caller refresh without telling it to look: Require: timer is missing from the 2xx",
        "put Require: timer into a 2xx that says refresher=uac",
        asterisk="a defect of pjproject where another tag stands in Require: update Asterisk",
        kamailio="sst never adds it: " + _SST,
        own=_EDGE,
    ),
    Rule.REQUIRE_NOT_SUPPORTED: Words(
        "{who} requires session timers of a caller that does not know them",
        "leave Require: timer out where the request has no Supported: timer",
        own=_EDGE,
    ),
    Rule.REQUIRE_WITHOUT_TIMER: Words(
        "{who} says Require: timer, but sets none",
        "send Session-Expires with Require: timer",
        around="one_sided: true",
        own=_EDGE,
    ),
    Rule.MIN_SE_IN_ANSWER: Words(
        "{who} sent Min-SE in an answer that is no 422, where it means nothing",
        "leave Min-SE out of all answers but 422",
        own=_EDGE,
    ),
    Rule.ELSEWHERE: Words(
        "{who} sent Session-Expires in a message where it means nothing",
        "send Session-Expires with INVITE, UPDATE and their 2xx alone",
        own=_EDGE,
    ),
    Rule.NO_MIN_SE_IN_422: Words(
        "{who} refused the interval without saying which one it takes",
        "send Min-SE with every 422",
        around="default_expires: 3600, or what it is known to take",
        own=_EDGE,
    ),
    Rule.NEEDLESS_422: Words(
        "{who} refused an interval that is not below the Min-SE it names: it counts wrong, or a proxy on the "
        "way asked it for less",
        "answer 422 only to a Session-Expires below your Min-SE",
        kamailio="sst 5.6.3 tests the wrong way round: update it, or " + _SST,
        around="request_timer: false",
        own=_EDGE,
    ),
    Rule.UNHEARD_422: Words(
        "{who} answered 422 to a caller that does not know it: the call fails",
        "answer 422 only to requests with Supported: timer",
        asterisk="timers=no, or timers_min_se=90",
        kamailio='without sst_check_min() in the script; modparam("sst", "reject_to_small", 0)',
        own=_EDGE,
    ),
    Rule.PROXY_REFRESHER: Words(
        "{who} changed the refresher of a request on its way, which a proxy must not",
        "leave the refresher parameter of requests as it is",
        kamailio=_SST,
        own=_EDGE,
    ),
    Rule.PROXY_RAISED: Words(
        "{who} raised the interval of a request on its way, which a proxy must not",
        "leave a Session-Expires that is large enough as it is, or reduce it",
        kamailio=_SST,
        own=_EDGE,
    ),
    Rule.PROXY_MIN_SE: Words(
        "{who} changed the Min-SE of a request on its way",
        "leave Min-SE as it is where the request says Supported: timer, and never lower it",
        kamailio=_SST,
        own=_EDGE,
    ),
    Rule.PROXY_ANSWER: Words(
        "{who} changed the Session-Expires of an answer on its way: the two ends now count differently",
        "leave the Session-Expires of answers as it is",
        kamailio=_SST,
        own=_EDGE,
    ),
    Rule.PROXY_NOT_COMPLETED: Words(
        "{who} asked for a timer and did not tell the caller that it has to run it alone",
        "add Session-Expires with refresher=uac and Require: timer to a 2xx that has none",
        kamailio=_SST,
        own=_EDGE,
    ),
    Rule.PROXY_BYE: Words(
        "{who} ended the call by BYE to both sides, which neither of them sent",
        "end no call in the middle: only its two ends may",
        kamailio='modparam("dialog", "default_timeout", ...): longer than the interval; no timeout_bye',
        own="edge.bye_on_expiry: false",
    ),
    Rule.NO_REFRESH: Words(
        "{who} had to refresh the call and did not",
        "refresh calls on which you agreed to be the refresher, at half the interval",
        asterisk="timers=yes on the endpoint (timers=no never refreshes); or this pack's companion",
        kamailio="a proxy refreshes nothing: sst must not have made anybody the refresher who cannot",
        around="prefer_refresher: the other side; probe: true",
        own=_COMPANION,
    ),
    Rule.LATE_REFRESH: Words(
        "{who} refreshed so late that {other} could have hung up already",
        "refresh at half the interval",
        own=_COMPANION,
    ),
    Rule.REFRESH_UNANSWERED: Words(
        "{who} did not answer a refresh of the call, though it is there",
        "answer each UPDATE and re-INVITE within the call at once",
        asterisk="is the endpoint identified by this address, and does its Contact lead back to it "
        "(external_signaling_address)?",
        kamailio="record_route() for INVITE, loose_route() for what follows: was the request lost there?",
        around_update="use_update: false",
        own="session-timer doctor; does the edge's script call loose_route() for UPDATE?",
    ),
    Rule.UPDATE_REFUSED: Words(
        "{who} lists UPDATE in Allow and refuses it",
        "take UPDATE out of your Allow, or answer it",
        around="use_update: false",
        own=_EDGE,
    ),
    Rule.REFRESH_REFUSED: Words(
        "{who} refused an INVITE or UPDATE within the call, and the call ended over it",
        "answer an INVITE or UPDATE within the call with 200 where it changes nothing",
        asterisk="the offer is compared with allow= of the endpoint: keep the codecs that were agreed",
        around="use_update: true, where it allows UPDATE: that has no SDP to refuse",
        around_update="use_update: false",
        own=_COMPANION,
    ),
    Rule.NOT_RETRIED: Words(
        "{who} had a refresh refused and did not try again, though there was time",
        "try a refused refresh again, as the answer allows, before the deadline",
        own=_COMPANION,
    ),
    Rule.GAVE_UP_EARLY: Words(
        "{who} hung up for want of a refresh before its time",
        "wait until 32 seconds before the end of the interval, as section 10 says",
        asterisk="timers_sess_expires: not below what the peer keeps to",
        around="max_expires: half of what it asks for, so that our refresh comes before it hangs up",
        own=_EDGE,
    ),
    Rule.REFRESH_IGNORED: Words(
        "{who} answered a refresh and hung up as if there had been none; or a leg behind it was cut then",
        "count the session interval from the last 2xx, also to UPDATE; or say what ended the call",
        around="use_update: false: try whether it counts re-INVITEs",
        own=_EDGE,
    ),
    Rule.DEAD_CALL_KEPT: Words(
        "{who} let a call stand that nobody refreshed: if it is dead, it is billed",
        "hang up a call shortly before its interval is over without a refresh",
        asterisk="timers=yes on the endpoint; or this pack's companion",
        own=_COMPANION,
    ),
    Rule.PEER_GONE: Words(
        "{who} was gone: it answered neither the refresh nor anything after it, or no longer knew the call. "
        "The timer has done what it is for",
        "please say what became of the call at your end",
        own="has that part been restarted? Look at its log",
    ),
    Rule.SWITCHED_OFF: Words(
        "{who} knows session timers, but answered a refresh without one: the timer is off from there",
        "repeat Session-Expires in your answer to a refresh",
        asterisk="timers=yes on the endpoint",
        around="keep_after_bare_2xx: true",
        own=_EDGE,
    ),
    Rule.CALL_REFUSED_422: Words(
        "The call failed: {who} wants a longer interval, and nobody tried again",
        "please say which interval you accept",
        asterisk="timers_sess_expires: at least the Min-SE of the 422",
        kamailio="sst does not retry: " + _SST,
        around="default_expires: at least the Min-SE of the 422",
        own="session_timer.min_se: not above what the peer asks for",
    ),
    Rule.TIMER_REQUIRED: Words(
        "The call failed: {who} requires session timers, which {other} does not know",
        "leave Require: timer out of INVITE; Supported: timer is enough",
        asterisk="timers=yes instead of timers=required",
        own="session_timer.require_timer: false",
    ),
    Rule.NO_ACK: Words(
        "No session timer: {who} sent no ACK for the answer, or it was lost, so {other} hung up",
        "send the ACK to the Contact of our 200, by way of its Record-Route",
        asterisk="external_signaling_address and local_net: is the Contact of the 200 reachable?",
        kamailio="record_route() for INVITE, loose_route() for ACK",
        own="does the edge's script call loose_route() for ACK?",
    ),
}


def what(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    other = verdict.other.address if verdict.other is not None else "the other end"
    return WORDS[verdict.rule].what.format(who=verdict.by.address, other=other) + "."


def changes(verdict: Verdict, call_id: str, when: str) -> list[tuple[str, str]]:
    """Whom to turn to, and the line to change or to send; the likeliest first."""
    words = WORDS[verdict.rule]
    if verdict.by.ours:
        return [("in your own setup", words.own)] if words.own else []
    found: list[tuple[str, str]] = []
    software = verdict.by.software.lower()
    if "asterisk" in software or "fpbx" in software:
        found += [("if that is your Asterisk", words.asterisk)]
    found.append((
        "to whoever runs it",
        f"\u201cCall-ID {call_id}, {when}: {what(verdict)} {verdict.message}: {verdict.stood}. Due by "
        f"{verdict.rule.section}: {verdict.due}. Please {words.carrier}.\u201d",
    ))  # fmt: skip
    if "asterisk" not in software and "fpbx" not in software:
        found.append(("if that is your Asterisk", words.asterisk))
    found.append(("if that is your Kamailio", words.kamailio))
    around = words.around_update if "UPDATE" in verdict.message and words.around_update else words.around
    found.append(("meanwhile, with this pack, in the profile of that peer", around))
    return [(whom, line) for whom, line in found if line]
