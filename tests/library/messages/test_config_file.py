"""The text of the configuration file: YAML or JSON, strict in both."""

from __future__ import annotations

import sys

import pytest
from session_timer import ConfigError
from session_timer.config.file import parse


def wrong(text: str, source: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, source)
    (problem,) = caught.value.problems
    return problem.path, problem.reason


@pytest.mark.parametrize("source", ["s.yaml", "s.json"])
def test_both_forms_give_the_same_data(source: str) -> None:
    assert parse('{"session_timer": {"min_se": 120}, "peers": [1, "two"]}', source) == {
        "session_timer": {"min_se": 120},
        "peers": [1, "two"],
    }


def test_a_key_that_is_there_twice_is_an_error_in_yaml() -> None:
    assert wrong("a: {b: 1}\nc: {d: 1,\n  d: 2}\n", "s.yaml") == (
        "line 3, column 3",
        "is no YAML: the key 'd' is here twice",
    )


def test_a_key_that_is_there_twice_is_an_error_in_json() -> None:
    assert wrong('{"a": {"d": 1, "d": 2}}', "s.json") == ("(file)", "is no JSON: the key 'd' is here twice")


def test_keys_that_a_merge_brings_are_not_twice() -> None:
    merged = parse("a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}", "s.yaml")
    assert merged == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}


def test_a_key_is_text_also_where_yaml_1_1_takes_it_for_something_else() -> None:
    """`on` is one of a hook's keys; YAML 1.1 reads it as true."""
    text = "hooks: [{on: [hung_up]}]\nno: yes\n1: {~: 2}\n"
    assert parse(text, "s.yaml") == {"hooks": [{"on": ["hung_up"]}], "no": True, "1": {"~": 2}}
    assert wrong('{on: 1, "on": 2}', "s.yaml")[1] == "is no YAML: the key 'on' is here twice"


def test_a_value_that_is_named_again_as_a_key_stays_a_value() -> None:
    assert parse("a: &a on\nb: {*a : 1}", "s.yaml") == {"a": True, "b": {"on": 1}}


def test_json_needs_no_yaml_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert parse("{}", "s.json") == {}
    assert "needs PyYAML" in wrong("a: 1", "s.yaml")[1]
