"""What is written reads the same again: headers, the internal header, the record, the configuration."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_timer import (
    LARGEST_INTERVAL,
    Agreement,
    Asked,
    ConfigError,
    DialogTimer,
    HeaderError,
    InternalHeader,
    Outcome,
    Record,
    RecordError,
    RefreshRequest,
    RefreshResponse,
    Role,
    SessionExpires,
    SharedKey,
    Side,
    parse_min_se,
    record,
    validate,
)
from session_timer.headers import has_tag, without_tag

BLANKS = st.text(" \t", max_size=2)
TOKENS = st.text("abcXYZ019.!%*_+`'~-", min_size=1, max_size=8)
QUOTED = st.lists(st.sampled_from(["a", " ", ";", "=", ",", '\\"', "\\\\", "ü"]), max_size=6).map(
    lambda parts: f'"{"".join(parts)}"'
)
PARAM_VALUES = TOKENS | QUOTED | st.just("[2001:db8::1]")


@st.composite
def params(draw: st.DrawFn) -> str:
    value = draw(st.none() | PARAM_VALUES)
    name = draw(TOKENS)
    return name if value is None else f"{name}{draw(BLANKS)}={draw(BLANKS)}{value}"


def name_of(param: str) -> str:
    return param.partition("=")[0].strip().lower()


PARAM_LISTS = st.lists(params(), max_size=5, unique_by=name_of).filter(
    lambda found: "refresher" not in map(name_of, found)
)


@pytest.mark.requirement("SE-4-02", "SE-4-08", "PRX-8.1-09", "S61-7.3.1-03")
@given(
    seconds=st.integers(0, 2**40),
    zeros=st.integers(0, 30),
    named=st.sampled_from(["", "uac", "uas", "UAC", "Uas", "both", '"uac"']),
    others=PARAM_LISTS,
    place=st.integers(0, 5),
    blanks=st.tuples(BLANKS, BLANKS, BLANKS),
)
def test_session_expires_keeps_every_parameter_and_reads_the_refresher(
    seconds: int, zeros: int, named: str, others: list[str], place: int, blanks: tuple[str, str, str]
) -> None:
    written = list(others)
    if named:
        written.insert(place, f"Refresher{blanks[0]}={named}")
    value = (
        blanks[1] + "0" * zeros + str(seconds) + "".join(f"{blanks[2]};{blanks[0]}{each}" for each in written)
    )
    read = SessionExpires.parse(value)
    assert read.interval == min(seconds, LARGEST_INTERVAL)
    assert read.params == tuple(written)
    assert read.refresher == (Role(named.lower()) if named.lower() in ("uac", "uas") else None)
    assert SessionExpires.parse(str(read)) == read
    assert SessionExpires.parse(str(read.with_interval(90))) == SessionExpires(
        90, read.refresher, read.params
    )


@pytest.mark.requirement("S61-7.3.1-02")
@given(st.integers(0, 9999), TOKENS, st.none() | PARAM_VALUES, PARAM_LISTS)
def test_parameter_that_appears_twice_is_malformed(
    seconds: int, name: str, value: str | None, between: list[str]
) -> None:
    second = name.swapcase() if value is None else f"{name.swapcase()}={value}"
    with pytest.raises(HeaderError, match="twice"):
        SessionExpires.parse(";".join((str(seconds), name, *between, second)))


@pytest.mark.requirement("MSE-5-06")
@given(st.integers(0, 2**40), st.integers(0, 30), PARAM_LISTS)
def test_min_se_takes_any_number_of_digits_and_parameters(
    seconds: int, zeros: int, others: list[str]
) -> None:
    assert parse_min_se(";".join(("0" * zeros + str(seconds), *others))) == min(seconds, LARGEST_INTERVAL)


@given(st.text())
def test_text_is_a_header_or_a_header_error(text: str) -> None:
    for parse in (SessionExpires.parse, parse_min_se):
        with suppress(HeaderError):
            parse(text)
    with pytest.raises(HeaderError, match="is not signed"):
        InternalHeader.decode(text, KEY, "a@b")


OPTION_TAGS = ("timer", "100rel", "path", "replaces")


@pytest.mark.requirement("S61-7.3.1-01", "S61-7.3.1-03")
@given(
    st.lists(st.lists(st.sampled_from(["timer", "Timer", "100rel", "path", "", " "]), max_size=4), max_size=4)
)
def test_option_tags_are_found_and_removed_however_they_are_spread(lists: list[list[str]]) -> None:
    rows = [" , ".join(tags) for tags in lists]
    given_tags = {tag.strip().lower() for tags in lists for tag in tags} - {""}
    assert {tag for tag in OPTION_TAGS if has_tag(rows, tag)} == given_tags
    kept = [row for before in rows if (row := without_tag(before, "timer")) is not None]
    assert {tag for tag in OPTION_TAGS if has_tag(kept, tag)} == given_tags - {"timer"}
    assert all(row.strip() for row in kept)


@pytest.mark.requirement("MSE-5-02", "MSE-5-04", "SE-4-01", "SE-4-12")
@given(st.integers(100, 799), st.text(max_size=30), st.text(max_size=30), st.text(max_size=12))
def test_an_answer_is_read_whatever_its_headers(code: int, expires: str, min_se: str, later: str) -> None:
    rows = {"Session-Expires": [expires], "Min-SE": [min_se], "Retry-After": [later]}
    read = RefreshResponse.read(code, lambda name: rows.get(name, []))
    assert read.is_success or read.session_expires is None
    assert read.min_se is None or (code == 422 and read.min_se >= 90)
    assert read.retry_after is None or 0 <= read.retry_after <= LARGEST_INTERVAL


@pytest.mark.requirement("MSE-5-02")
@given(st.integers(0, 2**33))
def test_min_se_of_a_request_never_counts_below_90(seconds: int) -> None:
    read = RefreshRequest.read("UPDATE", lambda name: [str(seconds)] if name == "Min-SE" else [])
    assert read.min_se == min(max(seconds, 90), LARGEST_INTERVAL)


# blacklist_: the name that Debian 12's hypothesis knows.
WORDS = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
AGREEMENTS = st.builds(Agreement, st.integers(1, LARGEST_INTERVAL), st.sampled_from(Side), st.booleans())
DIALOGS = st.builds(
    DialogTimer,
    st.none() | AGREEMENTS,
    st.none() | st.integers(90, LARGEST_INTERVAL),
    st.booleans(),
    st.booleans(),
)
TIMES = st.integers(-(10**6), 10**12).map(lambda milliseconds: milliseconds / 1000)
TAGS = st.text(st.characters(blacklist_categories=[]) | st.sampled_from(";=%&\udcff"), max_size=12).filter(
    lambda tag: not any("\ud800" <= character < "\udc80" or character > "\udcff" for character in tag)
)
SLOTS = st.none() | st.builds(
    Asked,
    TAGS,
    st.integers(0, LARGEST_INTERVAL),
    TIMES,
    st.sampled_from(Outcome),
    st.integers(0, 699),
    st.none() | TIMES,
    st.none() | st.integers(0, 10**6),
    TAGS,
)
RECORDS = st.builds(
    Record,
    TAGS,
    DIALOGS,
    TAGS,
    TIMES,
    TAGS,
    st.integers(0, 10**6),
    TAGS,
    st.booleans(),
    st.none() | st.sampled_from(Side),
    TAGS,
    SLOTS,
    SLOTS,
    TAGS,
)


KEY = SharedKey.parse("0123456789abcdef0123456789abcdef")


@given(
    st.none() | AGREEMENTS,
    st.booleans(),
    TAGS,
    TAGS,
    st.none() | st.sampled_from(Side),
    TAGS,
    st.integers(0, 200),
)
def test_internal_header_round_trip_and_no_byte_of_it_can_be_changed(
    agreement: Agreement | None,
    update: bool,
    edge: str,
    peer: str,
    placed: Side | None,
    call_id: str,
    place: int,
) -> None:
    told = InternalHeader(agreement, update, edge, peer, placed)
    text = told.encode(KEY, call_id)
    assert InternalHeader.decode(text, KEY, call_id) == told
    whole = told.encode(KEY, call_id, edge or "tag")
    assert InternalHeader.decode(whole, KEY, call_id) == told
    if call_id:
        masked = InternalHeader.decode(whole, KEY, f"masked {call_id}", edge or "tag")
        assert masked == told._replace(call_id=call_id)
    place %= len(text)
    forged = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
    with pytest.raises(HeaderError, match="is not signed"):
        InternalHeader.decode(forged, KEY, call_id)


@given(RECORDS)
def test_record_round_trip_in_one_printable_line(held: Record) -> None:
    text = held.encode()
    assert text.isascii()
    assert text.isprintable()
    assert Record.decode(text) == held


@given(RECORDS, st.integers(0, 400), st.text("0123456789=;abv.-", max_size=3))
def test_damaged_record_is_a_record_or_a_record_error(held: Record, place: int, damage: str) -> None:
    text = held.encode()
    place %= len(text)
    try:
        read = Record.decode(text[:place] + damage + text[place + 1 :])
    except RecordError:
        return
    assert Record.decode(read.encode()).encode() == read.encode()


@given(TAGS, TAGS, TAGS)
def test_record_key_is_the_same_from_both_ends(call_id: str, one: str, other: str) -> None:
    assert record.key(call_id, one, other) == record.key(call_id, other, one)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
)
KEYS = (
    st.sampled_from(
        [
            "session_timer",
            "asterisk",
            "peers",
            "edge",
            "companion",
            "unsafe_lab_intervals",
            "name",
            "match",
            "address",
            "domain",
            "rpc",
            "door",
            "min_se",
            "default_expires",
            "max_expires",
            "prefer_refresher",
            "mode",
        ]
    )
    | SCALARS
)
YAML_LIKE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, YAML_LIKE, max_size=5) | YAML_LIKE)
def test_any_data_is_a_configuration_or_a_config_error(data: Any) -> None:
    refused: ConfigError | None
    try:
        read = validate(data, "any.yaml")
    except ConfigError as error:
        refused = error
    else:
        refused = None
        assert read.policy.floor <= read.policy.min_se <= read.policy.default_expires
    if refused is not None:
        assert refused.problems
        assert all(problem.path and problem.reason for problem in refused.problems)
        assert str(refused).count("any.yaml: ") >= len(refused.problems)


SECONDS = st.integers(90, 7200)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "default_expires": SECONDS,
        "min_se": SECONDS,
        "max_expires": SECONDS,
        "prefer_refresher": st.sampled_from(["uac", "uas"]),
        "use_update": st.booleans(),
        "expiry": st.sampled_from(["hang_up", "report"]),
        "expiry_guard": st.integers(1, 3600),
        "mode": st.sampled_from(["anchor", "proxy", "endpoint_timers"]),
    },
)


@pytest.mark.requirement("SE-4-03", "UAC-7.1-09")
@given(SETTINGS, SETTINGS)
def test_settings_are_taken_as_written_or_contradict_each_other(
    general: dict[str, Any], special: dict[str, Any]
) -> None:
    merged = {"default_expires": 1800, "min_se": 90, **general, **special}
    data = {"session_timer": general, "peers": [{"name": "p", "session_timer": special}]}
    contradictory = any(
        settings["default_expires"] < settings["min_se"]
        or settings.get("max_expires", LARGEST_INTERVAL) < settings["default_expires"]
        for settings in ({"default_expires": 1800, "min_se": 90, **general}, merged)
    )
    if contradictory:
        with pytest.raises(ConfigError, match="is below"):
            validate(data, "s.yaml")
        return
    policy = validate(data, "s.yaml").peer("p").policy
    assert {name: getattr(policy, name) for name in merged} == merged


def test_number_too_long_to_print_is_a_problem_like_any_other() -> None:
    with pytest.raises(ConfigError, match=r"session_timer\.min_se: expected 90 to"):
        validate({"session_timer": {"min_se": 1 << 40_000}}, "s.yaml")
