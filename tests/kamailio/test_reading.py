"""What a message says is read in one call, and is the same as by one call for each value.

How Kamailio prints a text of several values was recorded on real ones: the probes ``at-once-…`` of
``fakes/probes_at_once.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_timer_kemi import ksr as ksr_module

from tests.kamailio.fakes.edge import Edge, Script
from tests.kamailio.fakes.fake_ksr import RELEASES, FakeKsr
from tests.kamailio.fakes.sip_message import Message

VARIABLES = (
    "$ci",
    "$ft",
    "$tt",
    "$cs",
    "$si",
    "$fd",
    "$avp(session_timer_peer)",
    "$hdr(To)",
    "$hdr(Contact)",
)
HEADERS = ("Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require", "Allow", "CSeq")

AT_ONCE = ksr_module.AtOnce(VARIABLES, HEADERS)

Facts = tuple[list[str], list[str | None]]

PIECES = st.sampled_from(
    (
        "<null>",
        "\x01",
        "\x01\x01",
        "\0",
        "\u00ff",
        "\u00c3\u00a9",
        "\r\n ",
        "\t",
        " ",
        ",",
        "timer",
        "1",
        "0",
        "a" * 5000,
    )
)
VALUES = st.lists(PIECES, max_size=3).map("".join)
NAMES = st.sampled_from(
    ("Session-Expires", "x", "Min-SE", "k", "Supported", "Require", "Proxy-Require", "Allow")
)
ROWS = st.lists(st.builds("{}: {}".format, NAMES, VALUES), max_size=9)


class BothWays(Script):
    """Reads what is in hand at once, and each by a call of its own."""

    read: list[tuple[Facts, Facts, int]]

    def request(self) -> None:
        for name, value in self._names.items():
            self._ksr.pv.sets(f"$avp({name})", value)
        before = len(self._ksr.calls)
        at_once = AT_ONCE.read()
        calls = len(self._ksr.calls) - before
        self.read.append((at_once, (ksr_module.pvs(*VARIABLES), ksr_module.rows(HEADERS)), calls))


def both_ways(
    ksr: FakeKsr, rows: Sequence[str], *, call_id: str = "call-1", to_tag: str = "", peer: str | None = None
) -> tuple[Facts, int]:
    """What one INVITE says, which has to be the same both ways, and how many calls it took at once."""
    to = "To: <sip:b@far.example>" + (f";tag={to_tag}" if to_tag else "")
    ids = ("From: <sip:a@192.0.2.1>;tag=one", to, f"Call-ID: {call_id}", "CSeq: 7 INVITE")
    uri = "sip:b@far.example"
    message = Message(f"INVITE {uri} SIP/2.0", (*ids, *rows), "192.0.2.1", uri)
    script = BothWays(ksr, None, {} if peer is None else {"session_timer_peer": peer}, 1)  # type: ignore[arg-type]
    script.read = []
    ksr.receive_request(script, message)
    ((at_once, each, calls),) = script.read
    assert at_once == each
    return at_once, calls


@pytest.mark.parametrize("release", RELEASES)
@given(
    rows=ROWS,
    call_id=VALUES.filter(bool),
    to_tag=VALUES,
    peer=st.none() | st.sampled_from(("", "carrier", "<null>")),
)
def test_any_message_is_read_the_same_at_once(
    release: str, rows: list[str], call_id: str, to_tag: str, peer: str | None
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        ksr = FakeKsr(release)
        patched.setattr(ksr_module, "KSR", ksr)
        both_ways(ksr, rows, call_id=call_id, to_tag=to_tag, peer=peer)


def test_an_ordinary_message_takes_one_call_and_one_for_each_variable_without_value(ksr: FakeKsr) -> None:
    rows = (
        "Contact: <sip:a@192.0.2.1>",
        "Supported: timer",
        "k: path",
        "Min-SE:",
        "Allow: INVITE,\r\n UPDATE",
    )
    (values, read), calls = both_ways(ksr, rows, to_tag="other", peer="carrier")
    assert values == ["call-1", "one", "other", "7", "192.0.2.1", "192.0.2.1", "carrier",
                      "<sip:b@far.example>;tag=other", "<sip:a@192.0.2.1>"]  # fmt: skip
    assert read == [None, "", "timer,path", None, None, "INVITE, UPDATE", "7 INVITE"]
    assert calls == 1
    assert both_ways(ksr, rows)[1] == 1 + len({"$tt", "$avp(session_timer_peer)"})


EACH = 1 + len(VARIABLES) + len(HEADERS)


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ("Supported: <null>", "<null>"),
        ("Supported: timer\x01path", "timer\x01path"),
        ("Supported: timer\0", "timer\ufffd"),
        ("Supported: timer\u00ff", "timer\u00ff"),
    ],
)
def test_what_one_text_cannot_tell_is_read_by_a_call_each(ksr: FakeKsr, row: str, read: str) -> None:
    (_, rows), calls = both_ways(ksr, (row,))
    assert rows[HEADERS.index("Supported")] == read
    assert calls >= EACH


def test_a_message_that_kamailio_has_no_room_for_in_one_text(ksr: FakeKsr) -> None:
    long = ("Supported: " + "a" * 8000, *(f"{header}: {'b' * 8000}" for header in ("Require", "Allow")))
    (_, rows), calls = both_ways(ksr, (*long, "Proxy-Require: " + "c" * 8000, "Min-SE: " + "d" * 8000))
    assert [row and len(row) for row in rows] == [None, 8000, 8000, 8000, 8000, 8000, 8]
    assert calls == EACH


def test_a_row_that_kamailio_has_no_room_for_is_absent(ksr: FakeKsr) -> None:
    (_, rows), _ = both_ways(ksr, ("Supported: " + "a" * 40_000,))
    assert rows[HEADERS.index("Supported")] is None


def test_a_text_whose_begin_was_written_over_is_not_read(
    ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pv_buffer_slots` may be so small that a row of several is put where the text begins."""
    printed = ksr._do_pv_get

    def over(name: str) -> str | int | None:
        text = printed(name)
        return "t" + text[1:] if name.startswith("$_s(") and isinstance(text, str) else text

    monkeypatch.setattr(ksr, "_do_pv_get", over)
    both_ways(ksr, ("Supported: timer",))


def test_a_message_that_cannot_be_parsed(edge: Edge) -> None:
    (_, rows), _ = both_ways(edge.ksr, ("Supported: timer", "Retry-After: soon"))
    assert rows == [None] * len(HEADERS)
