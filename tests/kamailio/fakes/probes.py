"""What is asked of a real Kamailio so that the fake one can be held to it: see `record.py`.

A probe is an INVITE with these rows, the KSR calls made in each route, and what the far end answers.
"""

from __future__ import annotations

from typing import Any

from tests.kamailio.fakes.probes_at_once import READ_AT_ONCE

Call = list[Any]
Probe = dict[str, Any]


def _pv(*names: str) -> list[Call]:
    return [["pv.gete", name] for name in names]


def _all(*headers: str) -> list[Call]:
    return _pv(*(f"$(hdr({header})[*])" for header in headers))


def _hexa(*headers: str) -> list[Call]:
    return _pv(*(f"$(hdr({header})[*]{{s.encode.hexa}})" for header in headers))


_OF_REQUEST = ("$rm", "$ci", "$ft", "$tt", "$cs", "$si", "$fd", "$nh(d)", "$du", "$ru", "$rd")

PROBES: dict[str, Probe] = {
    "rows": {
        "rows": [
            "Supported: a, b",
            "k: c",
            "Supported:",
            "supported: d",
            "x: 90",
            "Min-SE: 100",
            "MIN-SE: 200",
            "Allow: INVITE",
            "allow : UPDATE",
        ],
        "request": [
            *_all("Supported", "Session-Expires", "x", "Min-SE", "Allow", "Require", "X-None"),
            *_pv("$hdr(Min-SE)", "$hdr(X-None)"),
            ["hdr.is_present", "Session-Expires"],
            ["hdr.is_present", "x"],
            ["hdr.is_present", "min-se"],
            ["hdr.is_present", "X-None"],
        ],
    },
    "empty": {
        "rows": ["Supported:", "x:   ", "Min-SE:"],
        "request": [
            *_all("Supported", "Session-Expires", "Min-SE"),
            ["hdr.is_present", "Supported"],
            ["hdr.is_present", "Session-Expires"],
            ["hdr.is_present", "Min-SE"],
        ],
    },
    "absent-or-empty": {
        "rows": ["Supported:", "Min-SE: 90"],
        "request": [
            ["pv.get", f"$(hdr({header})[*])"] for header in ("Supported", "Min-SE", "Require", "X-None")
        ],
    },
    "folded": {
        "rows": ["Supported: a,\r\n  timer", "Session-Expires: 1800\r\n ;refresher=uac", "Min-SE:\t90 "],
        "request": _all("Supported", "Session-Expires", "Min-SE"),
    },
    "remove-long-of-compact": {
        "rows": ["x: 90", "k: timer", "Min-SE: 100"],
        "request": [
            ["hdr.remove", "Session-Expires"],
            ["hdr.remove", "Supported"],
            ["hdr.remove", "X-None"],
            *_all("Session-Expires"),
            ["hdr.is_present", "Session-Expires"],
        ],
    },
    "remove-compact-of-long": {
        "rows": ["Session-Expires: 90", "Supported: timer", "Min-SE: 100"],
        "request": [["hdr.remove", "x"], ["hdr.remove", "k"]],
    },
    "remove-and-append": {
        "rows": ["Session-Expires: 90", "k: timer, a", "Supported: b", "x: 95", "min-se: 100", "X-Last: 1"],
        "branch": [
            ["hdr.remove", "Session-Expires"],
            ["hdr.remove", "x"],
            ["hdr.remove", "Supported"],
            ["hdr.remove", "k"],
            ["hdr.remove", "Min-SE"],
            ["hdr.append", "Supported: a, b\r\nSession-Expires: 1800\r\n"],
            ["hdr.append", "Min-SE: 7\r\n"],
            *_all("Supported", "Session-Expires", "Min-SE"),
        ],
    },
    "remove-again": {
        "rows": ["X-Session-Timer: 1", "X-Other: 2", "x-session-timer: 3"],
        "request": [["hdr.remove", "X-Session-Timer"], ["hdr.is_present", "X-Session-Timer"]],
        "branch": [
            ["hdr.is_present", "X-Session-Timer"],
            ["hdr.remove", "X-Session-Timer"],
            ["hdr.remove", "X-Session-Timer"],
            ["hdr.append", "X-Session-Timer: 2\r\n"],
        ],
    },
    "append-in-request-and-branch": {
        "rows": [],
        "request": [["hdr.append", "X-A: 1\r\n"]],
        "branch": [["hdr.append", "X-B: 1\r\n"], *_all("X-A", "X-B")],
    },
    "values": {
        "rows": [],
        "request": _pv(*_OF_REQUEST, "$rs", "$T_branch_idx", "$T_reply_code", "$avp(nothing)"),
        "branch": [
            *_pv(*_OF_REQUEST, "$T_branch_idx"),
            ["pv.sets", "$avp(kept)", "one"],
            ["pv.sets", "$avp(kept)", "two"],
            *_pv("$avp(kept)"),
        ],
        "reply": _pv("$rm", "$ci", "$rs", "$avp(kept)"),
        "onreply": _pv("$rm", "$ci", "$ft", "$tt", "$cs", "$si", "$rs", "$T_branch_idx", "$avp(kept)"),
    },
    "edits-of-a-reply": {
        "rows": ["Supported: timer"],
        "answers": [
            [200, ["Require: 100rel", "x: 600;refresher=uas", "X-Session-Timer: 5", "k: timer"]],
        ],
        "reply": [["hdr.is_present", "X-Session-Timer"], ["hdr.remove", "X-Session-Timer"]],
        "onreply": [
            *_all("Require", "Supported", "Session-Expires"),
            ["hdr.is_present", "X-Session-Timer"],
            ["hdr.remove", "X-Session-Timer"],
            ["hdr.remove", "Require"],
            ["hdr.append", "Require: 100rel, timer\r\n"],
            ["hdr.remove", "Session-Expires"],
            ["hdr.remove", "x"],
            ["hdr.append", "X-Session-Timer: 9\r\n"],
        ],
    },
    "answered-here": {
        "rows": ["X-Answered: here"],
        "request": [
            ["hdr.append_to_reply", "Min-SE: 90\r\n"],
            ["sl.send_reply", 422, "Session Interval Too Small"],
        ],
    },
    "again-after-422": {
        "rows": ["Supported: a"],
        "answers": [[422, ["Min-SE: 300"]], [200, []]],
        "request": [["setdsturi", "sip:127.0.0.1:5062"]],
        "branch": [
            *_pv("$T_branch_idx", "$avp(told)", "$du", "$nh(d)"),
            *_all("Supported"),
            ["hdr.append", "X-Branch: 1\r\n"],
        ],
        "onreply": _pv("$T_branch_idx", "$rs", "$avp(told)"),
        "failure": [
            *_pv("$T_reply_code", "$T_rpl($hdr(Min-SE))", "$T_rpl($hdr(X-None))", "$ru", "$rd"),
            ["pv.sets", "$avp(told)", "300"],
            ["seturi", "sip:b@far.example"],
            ["resetdsturi"],
            *_pv("$du", "$nh(d)"),
            ["setdsturi", "sip:127.0.0.1:5062"],
            ["tm.t_branch_timeout"],
            ["tm.t_on_branch", "ksr_branch_manage"],
            ["tm.t_on_reply", "ksr_onreply_manage"],
            ["tm.t_on_failure", "ksr_failure_manage"],
            ["tm.t_relay"],
        ],
    },
    "again-on-a-branch": {
        "rows": [],
        "answers": [[422, ["Min-SE: 300"]], [200, []]],
        "branch": [
            *_pv("$T_branch_idx", "$ru", "$du", "$fs", "$bf"),
            ["corex.append_branch_uri", "sip:path.invalid"],
            *_pv("$(branch(path)[-1])", "$(branch(uri)[-1])"),
            ["pv.sets", "$(branch(uri)[-1])", ""],
        ],
        "onreply": _pv("$T_branch_idx", "$T_branch(uri)", "$bf"),
        "failure": [
            ["pvx.sbranch_reset"],
            ["pvx.sbranch_append"],
            ["pv.sets", "$sbranch(uri)", "sip:again@far.example"],
            ["pv.sets", "$sbranch(dst_uri)", "sip:127.0.0.1:5062;lr"],
            ["pv.sets", "$sbranch(path)", "<sip:127.0.0.1:5062;lr>"],
            ["pv.sets", "$sbranch(send_socket)", "udp:127.0.0.1:5060"],
            ["pv.seti", "$sbranch(flags)", -2147483643],
            *_pv("$T_branch_idx"),
            ["pvx.sbranch_append"],
            *_pv("$T_branch_idx"),
            ["tm.t_on_branch", "ksr_branch_manage"],
            ["tm.t_on_reply", "ksr_onreply_manage"],
            ["tm.t_relay"],
        ],
    },
    "refused": {
        "rows": [],
        "answers": [[486, ["Retry-After: 5"]]],
        "onreply": _pv("$hdr(Retry-After)", "$rs"),
        "failure": _pv("$T_reply_code", "$T_rpl($hdr(Min-SE))", "$nh(d)", "$rd", "$du"),
    },
    "refused-otherwise": {
        "rows": [],
        "answers": [[486, []]],
        "failure": [["tm.t_branch_timeout"], ["tm.t_reply", 504, "Otherwise"], ["tm.t_reply", 504, "Twice"]],
    },
    "no-answer": {
        "rows": [],
        "answers": [],
        "silent": True,
        "branch": [["tm.t_set_fr", 300, 200]],
        "failure": [
            *_pv("$T_reply_code", "$T_branch_idx", "$rm", "$ci"),
            ["tm.t_branch_timeout"],
            ["tm.t_reply", 504, "Otherwise"],
        ],
    },
    "dropped": {
        "rows": [],
        "answers": [[486, []]],
        "reply": [["set_drop"]],
        "onreply": _pv("$rs"),
    },
    "ours": {
        "rows": ["Record-Route: <sip:127.0.0.1;lr>, <sip:far.example;lr>"],
        "request": [
            ["is_myself", "sip:127.0.0.1;lr"],
            ["is_myself", "sip:127.0.0.1:5060;lr=on"],
            ["is_myself", "sip:127.0.0.1:5999;lr"],
            ["is_myself", "sip:far.example;lr"],
            ["is_myself", "sip:"],
            *_all("Record-Route"),
        ],
    },
    "avps": {
        "rows": [],
        "request": [
            ["pv.sets", "$(avp(kept)[*])", "one"],
            ["pv.sets", "$(avp(kept)[*])", "two"],
            *_pv("$avp(kept)", "$(avp(kept)[*])"),
        ],
    },
    "iterator": {
        "rows": [],
        "request": [
            ["htable.sht_sets", "session_timer_leads", "k", "one"],
            ["htable.sht_iterator_start", "it", "session_timer_leads"],
            ["htable.sht_iterator_next", "it"],
            *_pv("$shtitkey(it)", "$shtitval(it)"),
            ["htable.sht_iterator_next", "it"],
            ["htable.sht_iterator_end", "it"],
            ["htable.sht_iterator_start", "it", "no_such_table"],
        ],
    },
    "refusal-edited": {
        "rows": [],
        "answers": [[486, ["X-Session-Timer: 5", "Supported: timer"]]],
        "reply": [["hdr.remove", "X-Session-Timer"]],
        "onreply": [["hdr.remove", "Supported"]],
        "failure": _pv("$T_reply_code"),
    },
    "tables": {
        "rows": [],
        "request": [
            ["htable.sht_gete", "session_timer", "k"],
            ["htable.sht_sets", "session_timer", "k", "one"],
            ["htable.sht_setex", "session_timer", "k", 60],
            ["htable.sht_gete", "session_timer", "k"],
            ["htable.sht_sets", "session_timer", "k", "longer"],
            ["htable.sht_gete", "session_timer", "k"],
            ["htable.sht_rm", "session_timer", "k"],
            ["htable.sht_rm", "session_timer", "k"],
            ["htable.sht_gete", "session_timer", "k"],
            ["htable.sht_lock", "session_timer", "k"],
            ["htable.sht_lock", "session_timer", "k"],
            ["htable.sht_sets", "session_timer", "k", "one"],
            ["htable.sht_setex", "session_timer", "k", 60],
            ["htable.sht_sets", "session_timer", "k", "longer"],
            ["htable.sht_gete", "session_timer", "k"],
            ["htable.sht_rm", "session_timer", "k"],
            ["htable.sht_unlock", "session_timer", "k"],
            ["htable.sht_unlock", "session_timer", "k"],
            ["htable.sht_lock", "no_such_table", "k"],
            ["htable.sht_unlock", "no_such_table", "k"],
            ["htable.sht_sets", "no_such_table", "k", "one"],
            ["htable.sht_setex", "no_such_table", "k", 60],
            ["htable.sht_setex", "session_timer", "k", 60],
            ["htable.sht_gete", "no_such_table", "k"],
            ["htable.sht_rm", "no_such_table", "k"],
        ],
    },
    "statistics": {
        "rows": [],
        "request": [
            ["statistics.update_stat", "session_timer_faults", 1],
            ["statistics.update_stat", "no_such_statistic", 1],
            *_pv("$stat(session_timer_faults)", "$stat(no_such_statistic)"),
        ],
    },
    "log": {"rows": [], "request": [["info", "one\n"], ["warn", "one\n"], ["err", "one\n"]]},
    "no-utf-8": {
        "rows": ["Supported: timer\u00ff", "X-B: \u00ff", "X-C: \u00c3\u00a9"],
        "request": [
            *_all("Supported", "X-B", "X-C", "X-None"),
            *_hexa("Supported", "X-B", "X-C", "X-None"),
            *_pv(
                "$(hdr(X-C)[*]{s.len})",
                "$(mb{s.substr,0,6}{s.encode.hexa})",
                "$(hdr(X-C)[*]{s.substr,0,1}{s.encode.hexa})",
                "$(hdr(X-C)[*]{s.substr,1,9}{s.encode.hexa})",
            ),
            ["pv.sets", "$avp(kept)", "\u00ff"],
            *_pv(
                "$avp(kept)",
                "$(avp(kept){s.encode.hexa})",
                "$(ci{s.encode.hexa})",
                "$(avp(nothing){s.encode.hexa})",
            ),
        ],
        "branch": [
            ["hdr.append", "X-D: \u00e9\r\n"],
            *_pv("$(nh(d){s.encode.hexa})", "$(du{s.encode.hexa})"),
        ],
        "answers": [[422, ["Min-SE: 300\u00ff"]]],
        "failure": _pv("$T_rpl($hdr(Min-SE))", "$(T_rpl($hdr(Min-SE)){s.encode.hexa})"),
    },
    "zero-bytes": {
        "rows": ["Supported: a\u0000b"],
        "request": [
            *_all("Supported"),
            ["hdr.append", "X-Zero: a\u0000b\r\n"],
            ["info", "a\u0000b\n"],
            ["htable.sht_sets", "session_timer", "k\u0000l", "v\u0000w"],
            ["htable.sht_gete", "session_timer", "k\u0000l"],
        ],
    },
    "a-request-that-kamailio-cannot-parse": {
        "rows": ["X-Session-Timer: 1", "Retry-After: soon", "X-Session-Timer: 2", "Supported: timer"],
        "answers": [],
        "request": [
            ["hdr.is_present", "X-Session-Timer"],
            ["hdr.remove", "X-Session-Timer"],
            *_all("X-Session-Timer", "Supported"),
        ],
    },
    "an-answer-that-kamailio-cannot-parse": {
        "rows": [],
        "answers": [[200, ["X-Session-Timer: 1", "Retry-After: soon", "X-Session-Timer: 2", "k: timer"]]],
        "reply": [
            ["hdr.is_present", "X-Session-Timer"],
            ["hdr.remove", "X-Session-Timer"],
            *_all("X-Session-Timer", "Supported"),
        ],
        "onreply": [
            ["hdr.is_present", "X-Session-Timer"],
            ["hdr.remove", "X-Session-Timer"],
            ["hdr.append", "X-Session-Timer: 3\r\n"],
        ],
    },
    "no-utf-8-to-kamailio": {
        "rows": [],
        "request": [["pv.sets", "$avp(kept)", "\udcff"]],
    },
    **READ_AT_ONCE,
}
