"""The headers as text: RFC 4028 sections 4, 5 and 12, RFC 3261 sections 7.3 and 25.1."""

from __future__ import annotations

import pytest
from session_timer import (
    COMPACT_NAMES,
    LARGEST_INTERVAL,
    HeaderError,
    Role,
    SessionExpires,
    parse_min_se,
)
from session_timer.headers import allows, only_row, option_tags, without_tag
from sipmessage.parameters import Parameters

from tests.library.sip_rows import request


@pytest.mark.requirement("SE-4-02", "SE-4-08")
@pytest.mark.parametrize(
    ("value", "interval", "refresher"),
    [
        ("1800", 1800, None),
        ("0090;refresher=uas;foo=bar", 90, Role.UAS),
        ("  4000 ", 4000, None),
        ("1800;refresher=uac", 1800, Role.UAC),
        ("1800 ; refresher = uac", 1800, Role.UAC),
        ("1800\r\n ;refresher\r\n\t=\r\n uas", 1800, Role.UAS),
        ("1800;a;b=c;refresher=uac;d", 1800, Role.UAC),
        ('1800;x="a;refresher=uas";refresher=uac', 1800, Role.UAC),
        ('1800;x="\\"";refresher=uas', 1800, Role.UAS),
        ("1800;via=[2001:db8::1];refresher=uas", 1800, Role.UAS),
        ("1800;refresher=", None, None),
    ],
)
def test_grammar_of_session_expires(value: str, interval: int | None, refresher: Role | None) -> None:
    if interval is None:
        with pytest.raises(HeaderError):
            SessionExpires.parse(value)
        return
    read = SessionExpires.parse(value)
    assert (read.interval, read.refresher) == (interval, refresher)


@pytest.mark.requirement("SE-4-02")
@pytest.mark.parametrize(
    "value",
    ["", " ", "-1", "+1", "1800.5", "90s", "1800;", ";refresher=uac", "1800,1800", "1800;;a", '1800;a="b',
     "1800 refresher=uac", "soon", "١٨٠٠", "1800;a=b c", "1800;=uac", "1800\r\nRoute: x"],
)  # fmt: skip
def test_what_is_no_session_expires_names_header_value_and_reason(value: str) -> None:
    with pytest.raises(HeaderError) as caught:
        SessionExpires.parse(value)
    assert caught.value.header == "Session-Expires"
    assert caught.value.value == value
    assert caught.value.reason in str(caught.value)


@pytest.mark.requirement("SE-4-05", "G-01", "D-04")
@pytest.mark.parametrize(
    ("digits", "seconds"),
    [
        ("90", 90),
        ("91", 91),
        ("86400", 86400),
        ("4294967295", LARGEST_INTERVAL),
        ("4294967296", LARGEST_INTERVAL),
        ("9" * 5000, LARGEST_INTERVAL),
        ("0" * 5000 + "90", 90),
        ("0" * 5000, 0),
    ],
)
def test_any_number_of_digits_saturating(digits: str, seconds: int) -> None:
    assert SessionExpires.parse(digits).interval == seconds
    assert parse_min_se(digits) == seconds


@pytest.mark.requirement("S61-7.3.1-03")
@pytest.mark.parametrize(
    "line", ["SESSION-EXPIRES: 90;Refresher=UAC", "session-expires:90;REFRESHER=uac", "X : 90;refresher=Uac"]
)
def test_names_and_values_compare_without_case(line: str) -> None:
    read = request(line, "SUPPORTED: TIMER")
    assert read.session_expires is not None
    assert read.session_expires.refresher is Role.UAC
    assert read.supports_timer


@pytest.mark.requirement("SE-4-08", "S61-20-01", "G-03", "D-04")
@pytest.mark.parametrize(
    "value", ["1800;refresher=foo", "1800;refresher", '1800;refresher="uac"', "1800;r=uac"]
)
def test_unknown_refresher_is_a_parameter_like_any_other(value: str) -> None:
    read = SessionExpires.parse(value)
    assert read.refresher is None
    assert str(read) == value


@pytest.mark.requirement("SE-4-08", "S61-20-01")
def test_every_parameter_survives_a_changed_interval() -> None:
    read = SessionExpires.parse('3600;x=1;Refresher=UAC;y;z="a;b"')
    assert str(read.with_interval(1800)) == '1800;x=1;Refresher=UAC;y;z="a;b"'
    assert read.with_interval(1800).refresher is Role.UAC


@pytest.mark.requirement("SE-4-08")
@pytest.mark.parametrize(
    ("role", "text"), [(None, "600"), (Role.UAC, "600;refresher=uac"), (Role.UAS, "600;refresher=uas")]
)
def test_a_value_of_our_own_reads_back(role: Role | None, text: str) -> None:
    value = SessionExpires.of(600, role)
    assert str(value) == text
    assert SessionExpires.parse(text) == value


@pytest.mark.requirement("S61-7.3.1-02")
@pytest.mark.parametrize("value", ["90;refresher=uac;refresher=uas", "90;a=1;A=2", "90;a;a"])
def test_a_parameter_given_twice_is_malformed(value: str) -> None:
    with pytest.raises(HeaderError, match="appears twice"):
        SessionExpires.parse(value)


@pytest.mark.requirement("S61-7.3.1-02")
def test_two_rows_of_a_header_that_is_no_list_are_malformed() -> None:
    with pytest.raises(HeaderError, match="more than once"):
        request("Session-Expires: 1800", "x: 1800")
    assert only_row("Min-SE", []) is None
    assert only_row("Min-SE", ["90"]) == "90"


@pytest.mark.requirement("MSE-5-06")
@pytest.mark.parametrize(
    ("value", "seconds"), [("120", 120), ("120;foo=1", 120), (' 120 ; a ; b="c;d" ', 120)]
)
def test_min_se_may_have_parameters(value: str, seconds: int) -> None:
    assert parse_min_se(value) == seconds


@pytest.mark.requirement("MSE-5-06")
def test_malformed_min_se_names_its_header() -> None:
    with pytest.raises(HeaderError, match="Min-SE: 'soon'"):
        parse_min_se("soon")


@pytest.mark.requirement("SE-4-09", "IANA-12-01", "IANA-12-02", "MSE-5-06", "S61-7.3.3-01")
def test_compact_names() -> None:
    assert COMPACT_NAMES == {"x": "Session-Expires", "k": "Supported"}
    compact, long = request("x: 1800", "k: timer"), request("Session-Expires: 1800", "Supported: timer")
    assert compact == long


@pytest.mark.requirement("S61-7.3.1-01", "S61-7.3.3-01")
@pytest.mark.parametrize(
    "lines",
    [
        ("Supported: 100rel", "k: timer,path"),
        ("Supported: 100rel, , timer",),
        ("Supported:", "Supported: path,\ttimer ,replaces"),
        ("k: 100rel", "Supported: TIMER"),
    ],
)
def test_option_tags_from_rows_and_lists_in_any_mix(lines: tuple[str, ...]) -> None:
    assert request(*lines).supports_timer


@pytest.mark.requirement("S61-7.3.1-01")
@pytest.mark.parametrize(
    "lines", [(), ("Supported:",), ("Supported: timers, timer2",), ("Supported: 100rel",)]
)
def test_support_is_not_seen_where_it_is_not_named(lines: tuple[str, ...]) -> None:
    assert not request(*lines).supports_timer


@pytest.mark.parametrize(
    ("row", "left"),
    [
        ("timer", None),
        ("TIMER ,", None),
        ("", None),
        ("100rel, timer", "100rel"),
        ("timer,100rel,path", "100rel, path"),
        ("100rel", "100rel"),
        ("timers", "timers"),
    ],
)
def test_one_tag_is_taken_from_a_list_and_the_others_stay(row: str, left: str | None) -> None:
    assert without_tag(row, "timer") == left
    assert option_tags([left or ""]) == option_tags([row]) - {"timer"}


@pytest.mark.requirement("UAC-7.4-17", "UPD-4-03")
@pytest.mark.parametrize(
    ("lines", "known"),
    [
        ((), None),
        (("Allow: INVITE, ACK, BYE",), False),
        (("Allow:",), False),
        (("Allow: INVITE, UPDATE",), True),
        (("Allow: INVITE", "Allow: ACK,UPDATE"), True),
        (("Allow: update",), False),
    ],
)
def test_allow_tells_whether_update_may_be_used(lines: tuple[str, ...], known: bool | None) -> None:
    assert request(*lines).allows_update is known
    assert allows([], "UPDATE") is None


@pytest.mark.requirement("S61-20-01")
@pytest.mark.parametrize(
    "parameters",
    [";refresher=uac", ";a;b=c;refresher=uas", "; refresher = uas ; x", ";a=1.2;b=%7e;refresher=uac", ";q"],
)
def test_parameters_read_as_an_independent_parser_reads_them(parameters: str) -> None:
    theirs = {name.lower(): value for name, value in Parameters.parse(parameters).items()}
    ours = SessionExpires.parse(f"1800{parameters}")
    assert ours.refresher == theirs.get("refresher")
    assert len(ours.params) == len(theirs)


@pytest.mark.parametrize("parameters", ["refresher=uac", ";;a", ";a;"])
def test_parameters_refused_by_an_independent_parser_are_refused(parameters: str) -> None:
    with pytest.raises(ValueError, match="not valid"):
        Parameters.parse(parameters)
    with pytest.raises(HeaderError):
        SessionExpires.parse(f"1800{parameters}")


def test_hostile_values_take_linear_time() -> None:
    value = "1800" + "".join(f";a{number}" for number in range(20_000)) + '="' + "\\" * 40_001
    with pytest.raises(HeaderError, match="expected ';' and a parameter"):
        SessionExpires.parse(value)
