"""Whatever stands in a message: no exception leaves a verb, no fault is counted, Asterisk sees no timer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_timer import SessionExpires
from session_timer.headers import has_tag
from session_timer_kemi import ksr as ksr_module

from tests.kamailio.fakes.edge import CARRIER, OFF, OUTSIDER, PASSING, STRICT, Edge
from tests.kamailio.fakes.fake_ksr import RELEASES, FakeKsr
from tests.kamailio.fakes.sip_message import Sent, split_row

NAMES = (
    *("Session-Expires", "x", "X", "Min-SE", "min-se", "Supported", "k", "K", "Require", "Proxy-Require"),
    *("Allow", "Retry-After", "X-Session-Timer"),
)

PIECES = st.sampled_from(
    (
        *(
            "1800",
            "90",
            "89",
            "0",
            "4294967296",
            "9" * 5000,
            "-1",
            "1.5",
            ";",
            "refresher",
            "=",
            "uac",
            "UAS",
        ),
        *(",", " ", "\t", "\r\n ", '"', "\\", "(", ")", "timer", "TIMER", "100rel", "UPDATE", "v=1", "local"),
        *("\u00ff", "\0", "\u00c2\u00b2", "\u00d9\u00a3", "%", "{", "$ci", "$(", "'", "<", "\x7f"),
    )
)
BYTES = st.text(st.characters(min_codepoint=0, max_codepoint=255, exclude_characters="\r\n"), max_size=12)
VALUES = st.lists(PIECES | BYTES, max_size=6).map("".join)
GOOD = st.sampled_from(
    [
        "Session-Expires: 1800;refresher=uac",
        "x: 120;refresher=uas",
        "Supported: timer",
        "k: timer",
        "Min-SE: 300",
        "Require: timer",
        "Allow: INVITE, UPDATE",
    ]
)
ROWS = st.lists(GOOD | st.builds("{}: {}".format, st.sampled_from(NAMES), VALUES), max_size=6).map(tuple)
IDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_characters=';,<>"\x7f'), min_size=1, max_size=8
)
PEERS = st.sampled_from([CARRIER, STRICT, PASSING, OFF, OUTSIDER])
CODES = st.sampled_from([180, 200, 200, 200, 202, 299, 302, 408, 422, 422, 481, 491, 500, 503, 606])

STEPS = st.tuples(
    st.booleans(), st.booleans(), st.sampled_from(["INVITE", "UPDATE", "BYE"]), ROWS, CODES, ROWS
)


def timers_seen(sent: Sent) -> list[str]:
    """What of a timer shows in a message."""
    lists = [split_row(row)[1] for row in sent.all("Supported", "Require", "Proxy-Require")]
    return sent.all("Session-Expires", "Min-SE") + ["timer"] * has_tag(lists, "timer")


@pytest.mark.requirement("SE-4-02", "SE-4-05", "SE-4-08", "SE-4-09")
@pytest.mark.parametrize("release", RELEASES)
@settings(max_examples=100, deadline=None)
@given(peer=PEERS, call_id=IDS, steps=st.lists(STEPS, min_size=1, max_size=4))
def test_mutated_messages(
    release: str,
    tmp_path_factory: pytest.TempPathFactory,
    peer: str,
    call_id: str,
    steps: list[tuple[bool, bool, str, tuple[str, ...], int, tuple[str, ...]]],
) -> None:
    path = _path(tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        ksr = FakeKsr(release)
        patch.setattr(ksr_module, "KSR", ksr)
        edge = Edge(ksr, path, peer=peer, call_id=call_id)
        for from_us, within, method, rows, code, answered in steps:
            ksr.now += 1
            handled = edge.send(rows, method=method, from_us=from_us, within=within)
            if not handled.branches:
                assert handled.request.opaque or (handled.answered and handled.answered.code in (400, 422))
                continue
            if peer in (CARRIER, STRICT) and method != "BYE":
                sent = handled.last
                if from_us:
                    expires = sent.value("Session-Expires")
                    assert within or expires is not None
                    assert expires is None or SessionExpires.parse(expires).interval >= 90
                elif edge.record() is None:
                    assert timers_seen(sent) == []
            ambiguous = edge.count("ambiguous")
            answer = edge.answer(handled, code, answered)
            if edge.count("ambiguous") > ambiguous:
                continue
            if answer is None:
                assert (from_us, code) == (True, 422)
                answer = edge.sure(edge.answer(handled, 200, answered))
            opaque = any(message.opaque for message in handled.final.values())
            if not opaque and peer in (CARRIER, STRICT) and 200 <= answer.code < 300 and method != "BYE":
                if from_us:
                    assert timers_seen(answer) == []
                else:
                    assert len(answer.all("Session-Expires")) < 2
                    assert answer.all("Min-SE") == []
        assert edge.faults == 0, ksr.lines("err")


def _path(factory: pytest.TempPathFactory) -> Path:
    folder = factory.getbasetemp() / "mutations"
    folder.mkdir(exist_ok=True)
    return folder / "session-timer.json"
