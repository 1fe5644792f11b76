"""The companion's configuration: what is taken, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from session_timer import ConfigError
from session_timer_companion.config import Configuration, load

GOOD = """
session_timer: {min_se: 90}
edge: {door: "http://198.18.0.10:5060", key_file: key}
companion:
  ami:
    - {name: ast1, host: 198.18.0.20, secret: pass-word}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "session-timer.yaml"
    file.write_text(text)
    (folder / "key").write_text("k" * 40)
    return file


def read(folder: Path, text: str, **environment: str) -> Configuration:
    return load(written(folder, text), environment)


def problems(folder: Path, text: str, **environment: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, **environment)
    assert all(line.startswith(f"{folder}/session-timer.yaml: ") for line in str(caught.value).splitlines())
    return {problem.path: problem.reason for problem in caught.value.problems}


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    configuration = read(tmp_path, GOOD)
    (account,) = configuration.settings.ami
    assert (account.name, account.host, account.port) == ("ast1", "198.18.0.20", 5038)
    assert (account.username, account.secret) == ("session-timer", "pass-word")
    assert [(edge.name, edge.door) for edge in configuration.edges] == [("edge", "http://198.18.0.10:5060")]
    assert configuration.key is not None
    assert configuration.settings.http.host == "127.0.0.1"


def test_every_problem_of_both_parts_is_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
        session_timer: {min_se: 30, colour: red}
        companion:
          ami:
            - {name: "a b", host: h, secret: s, prot: 5038}
            - {name: b, host: h, port: 70000}
          http: {port: eighty}
          log: {format: xml}
          poll_interval: 0
        """,
    )
    assert found["session_timer.min_se"] == "expected 90 to 4294967295 seconds, got 30"
    assert found["session_timer.colour"].startswith("unknown key")
    assert found["companion.ami[0].prot"].startswith("unknown key; known here: action_timeout, alone, ")
    assert found["companion.ami[0].prot"].endswith("secret, secret_credential, secret_file, tls, username")
    assert found["companion.ami[0].name"] == "only letters, digits, '.', '_' and '-' can be used"
    assert found["companion.ami[1].port"] == "expected at most 65535"
    assert found["companion.http.port"] == "expected a whole number"
    assert found["companion.log.format"] == "expected 'logfmt' or 'json'"
    assert found["companion.poll_interval"] == "expected at least 0.1"


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("companion: [", "line 1, column 13", "is no YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1", "the key 'a' is here twice"),
        ("", "companion", "is missing"),
        ("- 1\n", "(top level)", "expected keys and values"),
        ("companion: {}", "companion.ami", "is missing"),
        ("companion: {ami: []}", "companion.ami", "expected at least 1 entry"),
        ("companion: {ami: [{name: a, host: h}]}", "companion.ami[0]", "give the password once"),
        ("companion: {ami: [{ping_interval: .inf}]}", "companion.ami[0].ping_interval", "seconds that ends"),
        ("companion: {ami: [{ping_interval: .nan}]}", "companion.ami[0].ping_interval", "seconds that ends"),
        ("companion: {poll_interval: .inf}", "companion.poll_interval", "at most 60"),
        ("companion: {door_timeout: .nan}", "companion.door_timeout", "at most 10"),
        ("companion: {http: {host: ''}}", "companion.http.host", "at least 1 character"),
        (
            "companion: {ami: [{name: a, host: h, secret: x, secret_file: y}]}",
            "companion.ami[0]",
            "give the password once",
        ),
        (
            "companion: {ami: [{name: a, host: h, secret: x}, {name: a, host: i, secret: x}]}",
            "companion.ami",
            "two servers are called 'a'",
        ),
        (
            "companion: {ami: [{name: a, host: h, secret: x, tls: {ca_file: /nowhere/ca.pem}}]}",
            "companion.ami[0]",
            "/nowhere/ca.pem",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, path: str, reason: str) -> None:
    assert reason in problems(tmp_path, text)[path]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2020-13-45", "month must be in 1..12"),
        ("9" * 5000, "4300 digits"),
        ("[" * 50_000, "recursion"),
    ],
)
def test_what_no_yaml_reader_can_take_is_told(tmp_path: Path, value: str, reason: str) -> None:
    assert reason in problems(tmp_path, f"session_timer: {value}")["(file)"]
    found = problems(tmp_path, GOOD, SESSION_TIMER_COMPANION__HTTP__PORT=value)
    assert set(found) == {"companion.http.port"}
    assert found["companion.http.port"].startswith("expected a whole number")


@pytest.mark.parametrize("host", ["pbx..example", "x" * 64])
def test_a_host_that_no_resolver_takes_is_told_before_a_start(tmp_path: Path, host: str) -> None:
    text = GOOD.replace("198.18.0.20", host) + f"  http: {{host: {host}}}\n"
    found = problems(tmp_path, text.replace("secret:", f"tls: {{server_name: {host}}}, secret:"))
    assert set(found) == {"companion.ami[0].host", "companion.ami[0].tls.server_name", "companion.http.host"}
    assert all("is no name of a host" in reason for reason in found.values())


@pytest.mark.parametrize("key", ["secret_file", "secret_credential"])
def test_a_path_that_no_system_takes_is_told(tmp_path: Path, key: str) -> None:
    text = GOOD.replace("secret: pass-word", f'{key}: "a\\0b", tls: {{ca_file: "a\\0b"}}')
    found = problems(tmp_path, text, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert set(found) == {f"companion.ami[0].{key}", "companion.ami[0].tls.ca_file"}


def test_a_section_whose_keys_are_all_commented_out_is_as_if_absent(tmp_path: Path) -> None:
    text = GOOD + "  http:\n    # port: 8081\n  log:\n"
    assert read(tmp_path, text).settings.http.port == 8080
    port = {"SESSION_TIMER_COMPANION__HTTP__PORT": "8082"}
    assert read(tmp_path, text, **port).settings.http.port == 8082


def test_a_section_that_is_none_is_told_once_and_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "companion: [1]")
    assert [problem.reason for problem in caught.value.problems] == ["expected keys and values, got a list"]
    found = problems(tmp_path, GOOD.replace("secret: pass-word", "secret: 1234") + "  http: 8080\n")
    assert found["companion.http"] == "expected keys and values"
    assert found["companion.ami[0].secret"] == "expected text: put it between quotes"


def test_what_profiles_have_in_common_may_be_written_once(tmp_path: Path) -> None:
    """YAML's anchors and merge keys, which the edge takes, the second of two merges included."""
    configuration = read(
        tmp_path,
        """
        session_timer: &general {min_se: 120}
        edge: {door: "http://198.18.0.10:5060", key_file: key}
        peers:
          - {name: a, session_timer: &slow {<<: *general, min_se: 300}}
          - {name: b, session_timer: {<<: *slow, max_expires: 7200}}
        companion: {ami: [{name: ast1, host: h, secret: s}]}
        """,
    )
    assert [peer.policy.min_se for peer in configuration.shared.peers] == [300, 300]


def test_a_merge_hides_no_key_that_is_there_twice(tmp_path: Path) -> None:
    text = "a: &a {b: 1}\nsession_timer: {<<: *a, min_se: 90, min_se: 100}"
    assert "'min_se' is here twice" in problems(tmp_path, text)["line 2, column 37"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: \(file\): cannot be read: No such file"):
        load(tmp_path / "nowhere.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match="is not UTF-8 at byte 3"):
        load(tmp_path / "latin.yaml", {})


@pytest.mark.parametrize("written_as", [b"from-file\n", b"from-file\r\n", b"\xef\xbb\xbffrom-file"])
def test_the_password_comes_from_a_file_beside_the_configuration(tmp_path: Path, written_as: bytes) -> None:
    """By whatever editor: some begin a file with a mark that nobody sees."""
    (tmp_path / "ami-secret").write_bytes(written_as)
    text = GOOD.replace("secret: pass-word", "secret_file: ami-secret")
    assert read(tmp_path, text).settings.ami[0].secret == "from-file"  # noqa: S105


def test_the_password_comes_from_a_systemd_credential(tmp_path: Path) -> None:
    (tmp_path / "ami").write_text("from-systemd")
    text = GOOD.replace("secret: pass-word", "secret_credential: ami")
    (account,) = read(tmp_path, text, CREDENTIALS_DIRECTORY=str(tmp_path)).settings.ami
    assert account.secret == "from-systemd"  # noqa: S105
    told = problems(tmp_path, text)["companion.ami[0].secret_credential"]
    assert "LoadCredential" in told
    assert "in a shell CREDENTIALS_DIRECTORY=" in told


@pytest.mark.parametrize(("content", "reason"), [(None, "cannot be read"), ("\n", "is empty")])
def test_a_password_file_without_password_is_named(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "ami-secret").write_text(content)
    text = GOOD.replace("secret: pass-word", "secret_file: ami-secret")
    assert reason in problems(tmp_path, text)["companion.ami[0].secret_file"]


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    configuration = read(
        tmp_path,
        GOOD,
        SESSION_TIMER_COMPANION__AMI__0__HOST="other.example",
        SESSION_TIMER_COMPANION__AMI__0__PORT="5039",
        SESSION_TIMER_COMPANION__LOG__FORMAT="json",
    )
    assert configuration.settings.ami[0].host == "other.example"
    assert configuration.settings.ami[0].port == 5039
    assert configuration.settings.log.format == "json"


def test_an_override_that_names_no_place_is_told(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        GOOD,
        SESSION_TIMER_COMPANION__AMI__7__HOST="x",
        SESSION_TIMER_COMPANION__LOG__COLOUR="x",
    )
    assert "$SESSION_TIMER_COMPANION__AMI__7__HOST" in found
    assert found["companion.log.colour"].startswith("unknown key; known here: format, level (set by $")


def test_a_problem_names_the_variable_that_has_set_it(tmp_path: Path) -> None:
    """The file is right, and an operator would search it in vain."""
    found = problems(
        tmp_path,
        GOOD,
        SESSION_TIMER_COMPANION__HTTP__PORT="eighty",
        SESSION_TIMER_COMPANION__AMI__0__PORT="0",
        SESSION_TIMER_COMPANION__LOG__LEVEL="loud",
    )
    for place in ("http.port", "ami[0].port", "log.level"):
        variable = place.upper().replace("[", "__").replace("]", "").replace(".", "__")
        assert found[f"companion.{place}"].endswith(f" (set by $SESSION_TIMER_COMPANION__{variable})")
    guarded = problems(tmp_path, GOOD, SESSION_TIMER_COMPANION__HTTP__HOST="192.0.2.21")
    assert guarded["companion.http"].endswith(" (set by $SESSION_TIMER_COMPANION__HTTP__HOST)")
    assert "$" not in str(problems(tmp_path, GOOD.replace("name:", "nome:")))


def test_a_password_shows_in_no_error_and_no_repr(tmp_path: Path) -> None:
    configuration = read(tmp_path, GOOD)
    assert "pass-word" not in repr(configuration)
    found = problems(tmp_path, GOOD.replace("secret: pass-word", "secret: [pass-word]"))
    assert "pass-word" not in str(found)


ALONE = "companion: {ami: [{name: a, host: h, secret: x, alone: true}]}"
EDGE = "companion: {ami: [{name: a, host: h, secret: x}]}\n"


def test_an_asterisk_behind_an_edge_needs_a_door_and_a_key(tmp_path: Path) -> None:
    found = problems(tmp_path, EDGE)
    assert "session-timer make-key FILE" in found["edge.key_file"]
    assert "door:" in found["edge.door"]
    alone = read(tmp_path, ALONE)
    assert (alone.edges, alone.key) == ((), None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("short", "at least 32"),
        ("none", "key is missing: systemd found no file for other"),
        ("a key with blanks in it, and more..", "may"),
    ],
)
def test_a_key_that_is_none_is_told_and_shown_nowhere(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "other").write_text(content)
    found = problems(tmp_path, EDGE + "edge: {door: 'http://h:5060', key_file: other}")
    assert reason in found["edge.key_file"]
    assert content is None or content not in found["edge.key_file"]


def test_the_key_comes_from_a_systemd_credential_where_there_is_one(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "edge-key").write_text("c" * 40)
    text = EDGE + "edge: {door: 'http://h:5060', key_file: key, key_credential: edge-key}"
    in_unit = read(tmp_path, text, CREDENTIALS_DIRECTORY=str(credentials))
    in_shell = read(tmp_path, text)
    assert in_unit.key is not None
    assert in_shell.key is not None
    assert in_unit.key.door_token != in_shell.key.door_token


@pytest.mark.parametrize(
    ("edges", "path", "reason"),
    [
        ("[{name: a, door: 'udp:h:8090'}]", "companion.edges[0].door", "expected http://"),
        ("[{name: 'a b', door: 'http://h:1'}]", "companion.edges[0].name", "letters"),
        (
            "[{name: a, door: 'http://h:1'}, {name: a, door: 'http://i:1'}]",
            "companion.edges",
            "two edges are called 'a'",
        ),
        ("[{name: a, door: 'http://h:1', stand_ins: [b]}]", "companion.edges", "'b', a stand-in of 'a'"),
        (
            "[{name: a, door: 'https://h:1', ca_file: /nowhere.pem}]",
            "companion.edges[0].ca_file",
            "/nowhere.pem",
        ),
    ],
)
def test_a_mistake_in_the_list_of_edges_is_named(tmp_path: Path, edges: str, path: str, reason: str) -> None:
    text = f"edge: {{key_file: key}}\ncompanion: {{ami: [{{name: a, host: h, secret: x}}], edges: {edges}}}"
    assert reason in problems(tmp_path, text)[path]


def test_settings_of_release_0_1_are_answered_with_the_line_to_write(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace("door:", "rpc: 'udp:h:8090', door:") + "  rpc_timeout: 2\n")
    assert "door:" in found["edge.rpc"]
    assert "door_timeout" in found["companion.rpc_timeout"]


@pytest.mark.parametrize(("calls", "allowed"), [(1, 10), (50, 10), (300, 30), (10_000, 60)])
def test_the_brake_lets_so_many_hang_ups_a_minute_pass(tmp_path: Path, calls: int, allowed: float) -> None:
    assert read(tmp_path, GOOD).settings.brake.allowed(calls) == allowed
    off = read(tmp_path, GOOD + "  brake: {hangups_a_minute: 0}\n")
    assert off.settings.brake.allowed(calls) == float("inf")
