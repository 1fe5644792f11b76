"""What is read of a request and of an answer (RFC 4028 sections 4, 5, 9 and 12)."""

from __future__ import annotations

import pytest
from session_timer import (
    REFRESH_METHODS,
    HeaderError,
    RefreshRequest,
    RefreshResponse,
    Role,
    dialog_oddities,
)

from tests.library.sip_rows import request, response, rows

OTHER_METHODS = (
    "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY",
    "INFO", "REFER", "MESSAGE", "PUBLISH", "invite",
)  # fmt: skip
"""Table 1, and what section 4 leaves out beside it; method names compare with case."""


@pytest.mark.requirement("SE-4-01", "SE-4-10", "DEF-2-03")
@pytest.mark.parametrize("method", sorted(REFRESH_METHODS))
def test_invite_and_update_are_read(method: str) -> None:
    read = request("Session-Expires: 1800;refresher=uac", "Min-SE: 200", "Supported: timer", method=method)
    assert read.method == method
    assert read.session_expires is not None
    assert (read.session_expires.interval, read.session_expires.refresher) == (1800, Role.UAC)
    assert (read.min_se, read.supports_timer, read.requires_timer) == (200, True, False)


@pytest.mark.requirement("SE-4-01", "SE-4-10", "SE-4-12", "DEF-2-05", "S61-20-01")
@pytest.mark.parametrize("method", OTHER_METHODS)
def test_no_other_method_has_anything_to_read(method: str) -> None:
    with pytest.raises(ValueError, match="no session refresh request"):
        RefreshRequest.read(method, rows("Session-Expires: 90"))


@pytest.mark.requirement("SE-4-01", "SE-4-10", "SE-4-12")
@pytest.mark.parametrize("code", [100, 180, 183, 199, 300, 401, 422, 486, 500, 603])
def test_session_expires_means_nothing_outside_a_2xx(code: int) -> None:
    read = response(code, "Session-Expires: 90;refresher=uac")
    assert read.session_expires is None
    assert read.malformed is None
    assert not read.is_success


@pytest.mark.requirement("SE-4-10")
@pytest.mark.parametrize("code", [200, 202, 299])
def test_session_expires_of_any_2xx_counts(code: int) -> None:
    read = response(code, "x: 90;refresher=uas")
    assert read.is_success
    assert read.session_expires is not None
    assert read.session_expires.refresher is Role.UAS


@pytest.mark.requirement("MSE-5-04", "SE-4-12")
@pytest.mark.parametrize("code", [200, 183, 400, 423, 488])
def test_min_se_means_nothing_outside_a_422(code: int) -> None:
    assert response(code, "Min-SE: 3600").min_se is None


@pytest.mark.requirement("MSE-5-05", "R422-6-02")
def test_min_se_of_a_422_is_read() -> None:
    assert response(422, "Min-SE: 3600;why=policy").min_se == 3600
    assert response(422).min_se is None


@pytest.mark.requirement("MSE-5-02")
def test_min_se_below_90_counts_as_90() -> None:
    assert request("Min-SE: 60").min_se == 90
    assert request("Min-SE: 91").min_se == 91
    assert response(422, "Min-SE: 0").min_se == 90
    assert RefreshResponse.read(422, rows("Min-SE: 60"), floor=1).min_se == 60
    assert RefreshRequest.read("INVITE", rows("Min-SE: 60"), floor=1).min_se == 60


@pytest.mark.requirement("SE-4-07")
def test_absent_headers_are_no_values() -> None:
    assert request() == RefreshRequest()
    assert response(200) == RefreshResponse()


@pytest.mark.requirement("IANA-12-04")
def test_the_tag_in_supported_and_in_require() -> None:
    read = request("Require: 100rel, Timer")
    assert (read.supports_timer, read.requires_timer) == (False, True)
    answer = response(200, "Supported: timer", "Require: 100rel", "Require: TIMER")
    assert (answer.supports_timer, answer.requires_timer) == (True, True)


@pytest.mark.requirement("D-03")
@pytest.mark.parametrize("line", ["Session-Expires: soon", "Min-SE: -1", "Session-Expires:"])
def test_malformed_header_of_a_request_is_an_error(line: str) -> None:
    with pytest.raises(HeaderError):
        request(line)


@pytest.mark.requirement("D-03", "D-04")
@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (200, ("Session-Expires: soon",)),
        (200, ("Session-Expires: 0;refresher=uac",)),
        (422, ("Min-SE: soon",)),
        (422, ("Min-SE: 90", "Min-SE: soon")),
    ],
)
def test_malformed_header_of_an_answer_is_reported_and_ignored(code: int, lines: tuple[str, ...]) -> None:
    read = response(code, *lines)
    assert read.malformed is not None
    assert read.defects == (read.malformed,)
    assert (read.session_expires, read.min_se) == (None, None)


@pytest.mark.requirement("UAC-7.2-03", "G-02")
def test_required_timer_without_session_expires_is_a_defect() -> None:
    (defect,) = response(200, "Require: timer").defects
    assert "no Session-Expires" in defect


@pytest.mark.requirement("UAC-7.2-05", "G-03")
@pytest.mark.parametrize("value", ["1800", "1800;refresher=both"])
def test_session_expires_without_refresher_is_a_defect(value: str) -> None:
    (defect,) = response(200, f"Session-Expires: {value}", "Require: timer").defects
    assert "refresher" in defect


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
def test_what_is_clear_though_forbidden_is_read_and_is_a_defect() -> None:
    read = response(200, "Session-Expires: 600;refresher=uac", "x: 600;refresher=uac", "Require: timer")
    assert read.session_expires is not None
    assert read.malformed is None
    (defect,) = read.defects
    assert "2 equal rows" in defect


def test_a_good_answer_has_no_defect() -> None:
    assert response(200, "Session-Expires: 1800;refresher=uas", "Require: timer").defects == ()
    assert response(200).defects == ()
    assert response(420, "Require: timer").defects == ()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        ("18000;duration=3600", 18000),
        ("120 (I'm in a meeting)", 120),
        ("9" * 400, 2**32 - 1),
        ("00000000000000000007", 7),
        ("0", 0),
        ("never", None),
        ("", None),
    ],
)
def test_retry_after_with_parameters_and_comments(value: str, seconds: int | None) -> None:
    assert response(503, f"Retry-After: {value}").retry_after == seconds


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
def test_a_tag_that_stands_twice_and_no_contact_are_clear_and_told() -> None:
    contact = "<sip:carrier@198.18.0.42>"
    assert dialog_oddities('"a;tag=b" <sip:a@b;tag=c>;tag=d', contact) == ()
    assert dialog_oddities("<sip:a@b>", contact) == ()
    assert dialog_oddities("sip:a@b;tag=d ; TAG = d", contact) == (
        "To: the tag 'd' stands there 2 times, read once",
    )
    assert dialog_oddities("<sip:a@b>;tag=d", "") == ("no Contact: the target stays what it was",)


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
def test_two_tags_that_differ_name_no_certain_dialog() -> None:
    with pytest.raises(HeaderError, match="tags that differ"):
        dialog_oddities("<sip:a@b>;tag=d;tag=D", "<sip:carrier@198.18.0.42>")


@pytest.mark.requirement("UAC-7.1-01", "SE-4-02")
def test_an_empty_list_of_tags_names_none() -> None:
    """RFC 3261 25.1 allows an empty Supported, and an empty Allow."""
    read = request("Supported:", "Session-Expires: 1800", "Allow:")
    assert (read.supports_timer, read.allows_update, read.oddities) == (False, False, ())
