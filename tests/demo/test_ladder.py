"""The ladder's rows, and the two ways to draw them."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from demo.deadline import notes
from rich.console import Console
from session_timer_companion.explain.drawing import html
from session_timer_companion.explain.drawing.ladder import (
    Arrow,
    Cast,
    Ladder,
    Note,
    Section,
    Tone,
    build,
    stack,
)
from session_timer_companion.explain.drawing.svg import svg
from session_timer_companion.explain.drawing.terminal import TerminalLadder

from tests.lab import wire
from tests.lab.capture import Packet
from tests.lab.drawn_calls import CAST, packet, the_call
from tests.lab.sip import SipMessage
from tests.lab.wire import ASTERISK, CARRIER, EDGE

LADDER = build("A call", the_call(), CAST, notes(the_call(), EDGE, CARRIER))
ARROWS = [row for row in LADDER.rows if isinstance(row, Arrow)]


def test_labels_from_top_to_bottom() -> None:
    assert [arrow.label for arrow in ARROWS] == [
        "INVITE", "422", "ACK", "INVITE", "INVITE", "200", "200", "ACK",
        "UPDATE", "UPDATE", "200 (UPDATE)", "re-INVITE", "200", "BYE",
    ]  # fmt: skip


def test_columns_and_directions() -> None:
    assert LADDER.columns == ("carrier", "edge", "Asterisk")
    assert [(arrow.source, arrow.target) for arrow in ARROWS[:5]] == [(0, 1), (1, 0), (0, 1), (0, 1), (1, 2)]


def test_timer_headers_stand_beside_the_arrows() -> None:
    assert ARROWS[0].details == ("Session-Expires: 4",)
    assert ARROWS[1].details == ("Min-SE: 8",)
    assert ARROWS[4].details == ("X-Session-Timer: 12;refresher=local;…",)
    assert ARROWS[6].details == ("Session-Expires: 12;refresher=uas", "Require: timer")
    assert ARROWS[13].details == ("Reason: Q.850;cause=102",)


def test_tones() -> None:
    assert [arrow.tone for arrow in ARROWS[:4]] == [Tone.OPEN, Tone.REFUSAL, Tone.OTHER, Tone.OPEN]
    assert [arrow.tone for arrow in ARROWS[9:]] == [
        Tone.REFRESH, Tone.SUCCESS, Tone.REFRESH, Tone.SUCCESS, Tone.END
    ]  # fmt: skip


def test_a_retransmission_is_counted_on_the_first_arrow() -> None:
    updates = [arrow for arrow in ARROWS if arrow.label == "UPDATE"]

    assert [arrow.sent for arrow in updates] == [1, 2]
    assert updates[1].name == "UPDATE (x2)"


def test_times_count_from_the_first_message() -> None:
    assert [round(arrow.time, 2) for arrow in ARROWS[:3]] == [0.0, 0.02, 0.03]


def test_notes_stand_behind_the_message_that_caused_them() -> None:
    kinds = [type(row) for row in LADDER.rows]

    assert kinds[7] is Note
    assert isinstance(LADDER.rows[6], Arrow)
    assert LADDER.rows[6].label == "200"


def test_strangers_and_messages_to_oneself_are_left_out() -> None:
    strange = [
        packet(0, "198.18.0.1", EDGE, wire.request("OPTIONS")),
        packet(1, EDGE, EDGE, wire.request("OPTIONS")),
    ]

    assert build("", strange, CAST).rows == ()


def test_several_addresses_may_share_a_column() -> None:
    cast = Cast({CARRIER: "carrier", "198.18.0.43": "carrier", EDGE: "edge"})

    assert cast.columns == ("carrier", "edge")
    assert (cast.column("198.18.0.43"), cast.column(EDGE), cast.column(ASTERISK)) == (0, 1, None)


def test_calls_are_stacked_under_their_titles() -> None:
    other = SipMessage.parse(wire.request("OPTIONS").replace(b"call-1", b"call-2"))
    first, _, third = the_call()[:3]
    second = Packet(first.time, first.source, first.destination, other)

    picture = stack("Two", [build("call-1", [first, third], CAST), build("call-2", [second], CAST)])

    assert [row for row in picture.rows if isinstance(row, Section)] == [Section("call-1"), Section("call-2")]
    assert len(picture.rows) == 5


def test_plain_terminal_lines() -> None:
    drawn = TerminalLadder(LADDER.columns)

    lines = [line.plain for line in drawn.whole(LADDER)]

    assert lines[0].split() == ["carrier", "edge", "Asterisk"]
    assert lines[1] == "   0.000         │──── INVITE ───▶│                │  Session-Expires: 4"
    assert lines[2].endswith("│◀───── 422 ─────│                │  Session Interval Too Small  Min-SE: 8")
    assert lines[5].endswith("│                │──── INVITE ───▶│  X-Session-Timer: 12;refresher=local;…")
    assert all(line.index("│") == lines[1].index("│") for line in lines[1:])


def test_an_arrow_across_a_column() -> None:
    far = build("", [packet(0, ASTERISK, CARRIER, wire.request("BYE"))], CAST)

    line = TerminalLadder(far.columns).row(far.rows[0]).plain

    assert line == "   0.000         │◀───────────── BYE ──────────────│"
    assert len(line) == len("   0.000         │                │                │")


def test_no_colour_codes_without_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=False)

    for line in TerminalLadder(LADDER.columns).whole(LADDER):
        console.print(line, soft_wrap=True)

    assert "\x1b" not in out.getvalue()
    assert "re-INVITE" in out.getvalue()


def test_svg_is_well_formed_and_says_all() -> None:
    root = ET.fromstring(svg(stack("<Calls & more>", [LADDER])))  # noqa: S314 - our own text
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]

    assert root.get("viewBox") is not None
    assert words[0] == "<Calls & more>"
    assert {"carrier", "edge", "Asterisk", "A call"} <= set(words)
    assert "422 Session Interval Too Small" in words
    assert "200 OK (UPDATE)" in words
    assert "UPDATE (x2)" in words
    assert "… 6.0 s" in words
    assert [word for word in words if word == "BYE"] == ["BYE"]


def test_svg_paints_its_own_background() -> None:
    root = ET.fromstring(svg(LADDER))  # noqa: S314 - our own text
    first = root.find("{http://www.w3.org/2000/svg}rect")

    assert first is not None
    assert first.get("fill", "").startswith("#")
    assert float(first.get("width", 0)) >= float(root.get("width", 0)) - 1


def test_a_long_title_stays_within_its_picture() -> None:
    """The browser draws a letter of the title 9 pixels wide, and clips what is beyond the picture."""
    title = "Call-ID " + "long-" * 24
    picture = ET.fromstring(svg(Ladder(title, ("a", "b"), ())))  # noqa: S314 - our own
    drawn = next(each for each in picture if each.tag.endswith("}text")).text or ""
    assert drawn.startswith("Call-ID long-long-")
    assert drawn.endswith("…")
    assert 20 + 9 * len(drawn) < float(picture.attrib["width"])
    assert picture.attrib["aria-label"] == title


def test_a_narrow_page_moves_a_picture_sideways() -> None:
    assert html.drawn("<svg/>") == '<div class="drawn" tabindex="0"><svg/></div>'
    assert ".drawn { overflow-x: auto }" in html.head("a", "b", "c")
