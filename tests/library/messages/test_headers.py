"""The headers as text: RFC 4028 sections 4, 5 and 12, RFC 3261 sections 7.3 and 25.1."""

from __future__ import annotations

import pytest
from session_timer import (
    LARGEST_INTERVAL,
    HeaderError,
    Role,
    SessionExpires,
    parse_min_se,
)
from session_timer.headers import (
    LONGEST_VALUE,
    allows,
    has_tag,
    read_min_se,
    read_session_expires,
    without_tag,
)
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
    ["", " ", "-1", "+1", "1800.5", "90s", ";refresher=uac", "1800,1800", "1800;;a", '1800;a="b',
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


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
@pytest.mark.parametrize(
    "rows", [["1800;refresher=uac", "1800;refresher=uac"], ["1800;refresher=uac, 1800;refresher=uac"]]
)
def test_equal_rows_count_once_and_are_told(rows: list[str]) -> None:
    read = read_session_expires(rows)
    assert read.value == SessionExpires.of(1800, Role.UAC)
    assert "2 equal rows, read once" in read.oddity
    assert request(*(f"Session-Expires: {row}" for row in rows)).oddities == (read.oddity,)


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
@pytest.mark.parametrize(
    ("rows", "interval"),
    [(["1800", "600"], 600), (["600", "60"], 600), (["60", "30"], 30), (["90, 1800", "400"], 90)],
)
def test_of_rows_that_differ_the_smallest_lawful_interval_is_the_safe_one(
    rows: list[str], interval: int
) -> None:
    read = read_session_expires(rows)
    assert read.value is not None
    assert read.value.interval == interval
    assert "rows that differ" in read.oddity


@pytest.mark.requirement("S61-7.3.1-02", "MSE-5-02")
@pytest.mark.parametrize(("rows", "seconds"), [(["90", "300"], 300), (["120, 120"], 120), (["60", "30"], 90)])
def test_of_several_min_se_the_largest_is_the_safe_one(rows: list[str], seconds: int) -> None:
    assert read_min_se(rows).value == seconds
    assert read_min_se(rows).oddity


@pytest.mark.requirement("SE-4-02", "D-03")
def test_rows_as_they_should_be_are_no_oddity() -> None:
    assert read_session_expires([]).value is None
    assert read_session_expires(['1800;a="b,c"']).oddity == read_min_se(["90"]).oddity == ""


@pytest.mark.requirement("D-03")
def test_one_row_that_cannot_be_read_spoils_the_others() -> None:
    with pytest.raises(HeaderError):
        read_session_expires(["1800", "soon"])


@pytest.mark.requirement("D-03", "SE-4-02")
@pytest.mark.parametrize("value", ["1800;", "1800;refresher=uac;", "1800 ; "])
def test_a_trailing_semicolon_is_clear_and_told(value: str) -> None:
    read = read_session_expires([value])
    assert read.value is not None
    assert read.value.interval == 1800
    assert "ends in a semicolon" in read.oddity


@pytest.mark.requirement("D-03", "D-04")
def test_a_header_that_no_stack_writes_is_not_read_at_all() -> None:
    assert read_session_expires(["1800;" + "a" * (LONGEST_VALUE - 5)]).value is not None
    with pytest.raises(HeaderError, match="is 257 characters long, more than 256 are not read"):
        read_session_expires(["1800;" + "a" * (LONGEST_VALUE - 4)])
    with pytest.raises(HeaderError, match="58000 characters"):
        request("Min-SE: " + "9" * 58_000)


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


@pytest.mark.requirement("S61-7.3.1-01")
@pytest.mark.parametrize(
    "lines",
    [
        ("Supported: 100rel", "k: timer,path"),
        ("Supported: 100rel, , timer",),
        ("Supported:", "Supported: path,\ttimer ,replaces"),
        ("k: 100rel", "Supported: TIMER"),
        ("Supported: " + "a, " * 9000 + "timer" + " ,b" * 9000,),
    ],
)
def test_option_tags_from_rows_and_lists_in_any_mix(lines: tuple[str, ...]) -> None:
    assert request(*lines).supports_timer


@pytest.mark.requirement("S61-7.3.1-01")
@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Supported:",),
        ("Supported: timers, timer2",),
        ("Supported: 100rel",),
        ("Supported: timer 2, a timer, xtimer, \u017fimer, t\u0131mer",),
    ],
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
    assert not has_tag([left or ""], "timer")


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


@pytest.mark.parametrize("parameters", ["refresher=uac", ";;a"])
def test_parameters_refused_by_an_independent_parser_are_refused(parameters: str) -> None:
    with pytest.raises(ValueError, match="not valid"):
        Parameters.parse(parameters)
    with pytest.raises(HeaderError):
        SessionExpires.parse(f"1800{parameters}")


def test_hostile_values_take_linear_time() -> None:
    value = "1800" + "".join(f";a{number}" for number in range(20_000)) + '="' + "\\" * 40_001
    with pytest.raises(HeaderError, match="expected ';' and a parameter"):
        SessionExpires.parse(value)
