"""The header between edge and Asterisk."""

from __future__ import annotations

import re

import pytest
from session_timer import Agreement, DialogTimer, HeaderError, InternalHeader, SharedKey, Side

KEY = SharedKey.parse("0123456789abcdefABCDEF_-0123456789")
CALL = "a84b4c76e66710@carrier.example"
TEXT = "1800;refresher=local;allow=UPDATE;edge=edge-1;peer=carrier-a;placed=remote;v=2"
HEADER = InternalHeader(
    Agreement(1800, Side.LOCAL),
    peer_allows_update=True,
    edge="edge-1",
    peer="carrier-a",
    placed=Side.REMOTE,
)


def signed(text: str, call_id: str = CALL) -> str:
    return f"{text};sig={KEY.signature('internal header', call_id, text)}"


def test_the_example_of_the_contract() -> None:
    assert HEADER.encode(KEY, CALL) == signed(TEXT)
    assert InternalHeader.decode(signed(TEXT), KEY, CALL) == HEADER


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        InternalHeader(None),
        InternalHeader(Agreement(90, Side.REMOTE), placed=Side.LOCAL),
        InternalHeader(Agreement(600, Side.LOCAL, one_sided=True), peer_allows_update=True),
        InternalHeader(None, peer='a"b\\c\\\\"; v=2&X: y\r'),
        InternalHeader(None, edge="é, ü", peer="\udcff"),
    ],
)
def test_it_reads_back_and_no_parser_can_read_it_otherwise(header: InternalHeader) -> None:
    text = header.encode(KEY, CALL)
    assert InternalHeader.decode(text, KEY, CALL) == header
    assert re.fullmatch(r"[A-Za-z0-9%._~=;-]+", text)


MASKED, TAG = "!!:S0BzSpW0vkWdaebNbmO8aotr", "as7f3c"


def test_where_topology_hiding_has_changed_the_call_id_the_edges_is_told() -> None:
    text = HEADER.encode(KEY, CALL, TAG)
    assert re.fullmatch(r"[A-Za-z0-9%._~=;-]+", text)
    assert InternalHeader.decode(text, KEY, CALL, TAG) == HEADER
    assert InternalHeader.decode(text, KEY, MASKED, TAG) == HEADER._replace(call_id=CALL)


@pytest.mark.parametrize("tag", ["", "another", TAG.upper()])
def test_another_call_id_is_believed_of_the_same_peers_tag_alone(tag: str) -> None:
    with pytest.raises(HeaderError, match="is not signed"):
        InternalHeader.decode(HEADER.encode(KEY, CALL, TAG), KEY, MASKED, tag)
    assert InternalHeader.decode(HEADER.encode(KEY, CALL, TAG), KEY, CALL, tag) == HEADER


def test_a_row_of_an_edge_that_does_not_tell_its_call_id_is_read_as_before() -> None:
    assert InternalHeader.decode(signed(TEXT), KEY, CALL, TAG) == HEADER
    with pytest.raises(HeaderError, match="is not signed"):
        InternalHeader.decode(signed(TEXT), KEY, MASKED, TAG)


@pytest.mark.parametrize("change", [("call=a84b4c", "call=a84b4d"), ("1800;", "7777;"), ("tag=", "tag=0")])
def test_what_it_tells_of_the_call_is_signed(change: tuple[str, str]) -> None:
    with pytest.raises(HeaderError, match="is not signed"):
        InternalHeader.decode(HEADER.encode(KEY, CALL, TAG).replace(*change), KEY, MASKED, TAG)


def test_a_giant_call_id_is_not_repeated() -> None:
    giant = "a" * 257
    assert HEADER.encode(KEY, giant, TAG) == HEADER.encode(KEY, giant) == signed(TEXT, giant)
    assert ";call=" in HEADER.encode(KEY, giant[1:], TAG)


def test_order_does_not_matter_and_unknown_parameters_are_ignored() -> None:
    text = "1800;v=2;peer=carrier-a;edge=edge-1;new;placed=remote;allow=UPDATE;refresher=local"
    assert InternalHeader.decode(f" {signed(text)} ", KEY, CALL) == HEADER


@pytest.mark.parametrize(
    "value",
    [
        "", "1800", "1800;refresher=local;v=1", "1800;refresher=local;v=3", "1800;refresher=uac;v=2",
        "0;refresher=local;v=2", "1800;refresher=none;v=2", "1800;v=2", "x;refresher=none;v=2",
        "1800;refresher=local;placed=us;v=2",
    ],
)  # fmt: skip
def test_what_is_not_ours_is_refused_even_if_it_is_signed(value: str) -> None:
    with pytest.raises(HeaderError, match="X-Session-Timer"):
        InternalHeader.decode(signed(value), KEY, CALL)


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        TEXT + ";sig=",
        TEXT + ";sig=" + "0" * 32,
        signed(TEXT, "another@call"),
        signed(TEXT).replace("1800", "7777"),
        signed(TEXT).replace("edge-1", "edge-2"),
        signed(TEXT) + ";new",
        signed(TEXT) + "0",
        signed(TEXT)[:-1],
        signed(TEXT).upper(),
    ],
)
def test_nobody_without_the_key_speaks_in_it(value: str) -> None:
    with pytest.raises(HeaderError, match="is not signed with our key for this call"):
        InternalHeader.decode(value, KEY, CALL)
    with pytest.raises(HeaderError, match="is not signed"):
        InternalHeader.decode(signed(TEXT), SharedKey.parse("x" * 32), CALL)


@pytest.mark.requirement("UAC-7.2-13")
def test_it_tells_the_companion_what_a_session_needs() -> None:
    assert HEADER.dialog == DialogTimer(Agreement(1800, Side.LOCAL), peer_allows_update=True)
    assert "uac" not in HEADER.encode(KEY, CALL)


def test_its_parts_are_these_words() -> None:
    alone = InternalHeader(Agreement.refreshed_alone(600), peer="a/b&c", edge="x")
    text, _, _ = alone.encode(KEY, CALL).rpartition(";sig=")
    assert text == "600;refresher=local;one-sided;allow=INVITE;edge=x;peer=a%2Fb%26c;v=2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1800;refresher=local;v=7", "version '7', this code reads 2"),
        ("1800;refresher=local", "version None, this code reads 2"),
        ("1800;v=2", "expected an interval and refresher=local, remote or none"),
        ("1800;refresher=local;placed=us;v=2", "expected placed=local or placed=remote"),
    ],
)
def test_what_is_wrong_is_said_with_the_row_that_came(text: str, reason: str) -> None:
    with pytest.raises(HeaderError) as caught:
        InternalHeader.decode(signed(text), KEY, CALL)
    assert (caught.value.header, caught.value.value, caught.value.reason) == (
        "X-Session-Timer",
        signed(text),
        reason,
    )
