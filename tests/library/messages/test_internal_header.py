"""The header between edge and Asterisk."""

from __future__ import annotations

import pytest
from session_timer import Agreement, DialogTimer, HeaderError, InternalHeader, Side

EXAMPLE = '1800;refresher=local;allow=UPDATE;rpc="udp:198.18.0.10:8090";peer="carrier-a";v=1'
HEADER = InternalHeader(Agreement(1800, Side.LOCAL), True, "udp:198.18.0.10:8090", "carrier-a")  # noqa: FBT003


def test_the_example_of_the_contract() -> None:
    assert HEADER.encode() == EXAMPLE
    assert InternalHeader.decode(EXAMPLE) == HEADER


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        InternalHeader(None),
        InternalHeader(Agreement(90, Side.REMOTE)),
        InternalHeader(Agreement(600, Side.LOCAL, one_sided=True), peer_allows_update=True),
        InternalHeader(None, peer='a"b\\c\\\\"; v=2'),
        InternalHeader(None, rpc="unix:/run/a\\b"),
    ],
)
def test_it_reads_back(header: InternalHeader) -> None:
    assert InternalHeader.decode(header.encode()) == header


def test_blanks_and_order_do_not_matter_and_unknown_parameters_are_ignored() -> None:
    read = InternalHeader.decode(
        '1800 ; v=1 ; peer=carrier-a;rpc="udp:198.18.0.10:8090"; new ;allow=UPDATE;refresher=local'
    )
    assert read == HEADER


@pytest.mark.parametrize(
    "value",
    [
        "", "1800", "1800;refresher=local", "1800;refresher=local;v=2", "1800;refresher=uac;v=1",
        "0;refresher=local;v=1", "1800;refresher=none;v=1", "1800;v=1", "x;refresher=none;v=1",
    ],
)  # fmt: skip
def test_what_is_not_ours_is_refused(value: str) -> None:
    with pytest.raises(HeaderError, match="X-Session-Timer"):
        InternalHeader.decode(value)


@pytest.mark.requirement("UAC-7.2-13")
def test_it_tells_the_companion_what_a_session_needs() -> None:
    assert HEADER.dialog == DialogTimer(Agreement(1800, Side.LOCAL), peer_allows_update=True)
    assert "uac" not in HEADER.encode()
