"""The configuration file: a broken one stops the start with its reasons, and changes nothing on a reload."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from session_timer import ConfigError
from session_timer_kemi.config_file import read

from tests.kamailio.fakes.edge import CONFIG, Edge, MakeEdge
from tests.kamailio.fakes.fake_ksr import RELEASES

START = """
import sys
from tests.kamailio.fakes.fake_ksr import FakeKsr
fake = sys.modules["KSR"] = FakeKsr("{release}")
class Log(list):
    def append(self, line):
        print(*line, flush=True)
fake.log = Log()
from session_timer_kemi import SessionTimers
SessionTimers("{path}")
print("started")
"""


def start(path: Path, release: str = RELEASES[0]) -> subprocess.CompletedProcess[str]:
    """Start in a process of its own: a broken configuration ends it."""
    return subprocess.run(
        [sys.executable, "-c", START.format(path=path, release=release)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )


@pytest.mark.parametrize("release", RELEASES)
def test_a_good_file_starts(tmp_path: Path, release: str) -> None:
    path = tmp_path / "session-timer.yaml"
    path.write_text("session_timer:\n  default_expires: 600\nasterisk: [192.0.2.20]\nedge: {key_file: key}\n")
    path.with_name("key").write_text("a-key-of-forty-characters-or-even-more-of-them\n")
    assert start(path, release).stdout == "started\n"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.requirement("SE-4-03", "UAS-9-04", "PRX-8.1-12")
def test_a_broken_file_ends_the_start_with_every_reason_and_no_traceback(
    tmp_path: Path, release: str
) -> None:
    path = tmp_path / "session-timer.yaml"
    path.write_text("session_timer: {min_se: 60, colour: red}\npeers: [{session_timer: {mode: proxi}}]\n")
    run = start(path, release)
    assert run.returncode == 1
    assert run.stderr == ""
    *reasons, last = run.stdout.splitlines()
    assert last == "err session timer: Kamailio does not start with this configuration"
    paths = ["session_timer.colour", "session_timer.min_se", "peers[0].name", "peers[0].session_timer.mode"]
    assert len(reasons) == len(paths)
    for reason, where in zip(reasons, paths, strict=True):
        assert reason.startswith(f"err session timer: {path}: {where}: ")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("s.yaml", None, "cannot be read: No such file or directory"),
        ("s.yaml", b"\xff", "is not UTF-8 at byte 0"),
        ("s.yaml", b"a: [1\nb: 2\n", "is no YAML: while parsing a flow sequence"),
        (
            "s.yaml",
            b"a: !!python/object/apply:os.system [id]",
            "is no YAML: could not determine",
        ),
        ("s.yaml", b"a: 2026-99-99", "is no YAML: month must be in 1..12"),
        ("s.yaml", b"? [a]\n: b", "is no YAML: while constructing a mapping"),
        ("s.yaml", b"a: 1\na: 2\n", "the key 'a' is here twice"),
        ("s.json", b'{"a": 1, "a": 2}', "the key 'a' is here twice"),
        ("s.json", b"{", "is no JSON: Expecting property name"),
        ("s.json", b"[" * 100_000, "is no JSON: "),
        ("s.yaml", b"[" * 3_000, "is no YAML: "),
        ("s.yaml", b"- 1\n- 2\n", "expected keys and values, got a list"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_name(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as told:
        read(str(path))
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert reason in line


def test_without_pyyaml_json_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "session-timer.yaml"
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"needs PyYAML: apt-get install python3-yaml, or write .* \.json"):
        read(str(path))
    other = path.with_suffix(".json")
    other.write_text(json.dumps(CONFIG))
    path.with_name("key").write_text("a-key-of-forty-characters-or-even-more-of-them\n")
    assert read(str(other)).config.peers[1].name == "strict"


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "session-timer.yaml"
    path.write_text("# nothing yet\n")
    assert read(str(path)).config.policy.default_expires == 1800


def test_a_reload_takes_a_good_file(edge: Edge) -> None:
    edge.config = {**CONFIG, "session_timer": {"default_expires": 600}}
    edge.start()
    assert edge.send(from_us=True).sent.value("Session-Expires") == "600"
    assert edge.ksr.lines("err") == []


def test_a_reload_with_a_broken_file_changes_nothing_and_says_so(make_edge: MakeEdge) -> None:
    edge = make_edge(config={**CONFIG, "session_timer": {"default_expires": 900}})
    edge.config = {**CONFIG, "session_timer": {"default_expires": "soon"}}
    edge.start()
    assert edge.send(from_us=True).sent.value("Session-Expires") == "900"
    told, kept = edge.ksr.lines("err")
    assert told.startswith(
        f"session timer: {edge.path}: session_timer.default_expires: expected a whole number"
    )
    assert kept == "session timer: the configuration that was in force before stays in force"


def test_a_file_that_has_gone_changes_nothing_either(edge: Edge) -> None:
    edge.path.unlink()
    edge.timers = type(edge.timers)(str(edge.path), clock=lambda: edge.ksr.now)
    assert edge.send(from_us=True).sent.value("Session-Expires") == "1800"
    assert "cannot be read" in edge.ksr.lines("err")[0]


def test_an_edge_that_speaks_for_an_asterisk_needs_a_key(tmp_path: Path) -> None:
    path = tmp_path / "session-timer.yaml"
    path.write_text("asterisk: [192.0.2.20]\n")
    with pytest.raises(ConfigError, match=r"edge\.key_file: is missing.*make_key FILE") as missing:
        read(str(path))
    assert len(missing.value.problems) == 1


@pytest.mark.parametrize(
    ("key", "reason"),
    [(None, "No such file"), ("short\n", "at least 32 characters"), ("a" * 40 + "!", "letters")],
)
def test_a_key_that_cannot_be_used_is_an_error_that_does_not_show_it(
    tmp_path: Path, key: str | None, reason: str
) -> None:
    path = tmp_path / "session-timer.yaml"
    path.write_text("asterisk: [192.0.2.20]\nedge: {key_file: key}\n")
    if key is not None:
        path.with_name("key").write_text(key)
    with pytest.raises(ConfigError, match=reason) as wrong:
        read(str(path))
    assert key is None or key.strip() not in str(wrong.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "session_timer: {enabled: true}\nsession_timer: {enabled: false}\n"),
        ("s.yaml", "session_timer: {min_se: 90, min_se: 120}\n"),
        ("s.yaml", "peers: [{name: a, name: b}]\n"),
        ("s.json", '{"session_timer": {"min_se": 90, "min_se": 120}}'),
    ],
)
def test_a_key_that_appears_twice_is_an_error(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match="is here twice"):
        read(str(path))


def test_an_asterisk_that_is_given_by_name_is_known_by_its_addresses(tmp_path: Path) -> None:
    path = tmp_path / "session-timer.yaml"
    path.write_text("asterisk: [localhost, 198.51.100.0/24]\nedge: {key_file: key}\n")
    path.with_name("key").write_text("a-key-of-forty-characters-or-even-more-of-them\n")
    config = read(str(path)).config
    assert all(map(config.is_asterisk, ("localhost", "127.0.0.1", "198.51.100.7")))
    assert not config.is_asterisk("127.0.0.2")


def test_an_asterisk_whose_name_nobody_knows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "session-timer.yaml"
    path.write_text("asterisk: [asterisk.invalid]\nedge: {key_file: key}\n")
    with pytest.raises(ConfigError, match=r"asterisk\.invalid' cannot be resolved"):
        read(str(path))
