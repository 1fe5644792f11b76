"""The key that edge and companion share."""

from __future__ import annotations

import pytest
from session_timer import SharedKey

TEXT = "0123456789abcdefABCDEF_-0123456789"
GOLDEN = "3eb17db4bca1969482bb827cb0c6519d"
KEY = SharedKey.parse(TEXT)


def test_the_first_line_is_the_key_whatever_follows() -> None:
    assert SharedKey.parse(f"{TEXT}\n# made on a Monday\n") == SharedKey.parse(f"  {TEXT} ") == KEY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has 0"),
        ("\n" + TEXT, "it has 0"),
        (TEXT[:31], "at least 32 characters, it has 31"),
        (TEXT + " and more", "letters, digits, '-' and '_' only"),
        (TEXT + "ä", "letters, digits, '-' and '_' only"),
    ],
)
def test_what_is_no_key_is_refused_and_never_shown(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        SharedKey.parse(text)
    assert TEXT[:20] not in str(caught.value)


def test_no_repr_shows_it() -> None:
    assert "0123456789" not in repr(KEY)


def test_a_signature_is_of_one_key_one_purpose_and_these_texts() -> None:
    signed = KEY.signature("a", "b", "c")
    assert len(signed) == 32
    assert KEY.verifies(signed, "a", "b", "c")
    for purpose, *texts in (("a", "bc"), ("ab", "c"), ("a", "b", "c", ""), ("a", "c", "b"), ("b", "b", "c")):
        assert not KEY.verifies(signed, purpose, *texts)
    assert not SharedKey.parse(TEXT + "0").verifies(signed, "a", "b", "c")
    for forged in ("", signed[:-1], signed.upper() + "0", "é" * 32, "\udcff"):
        assert not KEY.verifies(forged, "a", "b", "c")


def test_bytes_that_are_no_utf_8_can_be_signed() -> None:
    assert KEY.verifies(KEY.signature("a", "\udcff"), "a", "\udcff")


def test_the_token_of_the_door_is_not_the_key() -> None:
    assert KEY.door_token not in TEXT
    assert KEY.door_token == SharedKey.parse(TEXT).door_token


def test_a_golden_signature_keeps_both_sides_from_erring_alike() -> None:
    """Made once by an independent program: openssl mac ... BLAKE2SMAC over the length-prefixed texts.

    Its key was the first half of what openssl dgst -blake2b512 makes of the text.
    """
    assert KEY.signature("internal header", "a@b", "1800") == GOLDEN
