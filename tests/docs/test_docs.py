"""What the docs show is what the code has."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from session_timer import Agreement, Asked, DialogTimer, EdgeSettings, Outcome, Policy, Record, Side, validate
from session_timer.config.file import parse
from session_timer.config.validation import _POLICY_KEYS

ROOT = Path(__file__).parents[2]
DOCS = [
    ROOT / "README.md",
    ROOT / "tests/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("[ak]*/README.md")),
]
CONFIGURATION = (ROOT / "docs/reference/configuration.md").read_text()


def keys(section: str) -> dict[str, str]:
    """The first two columns of a section's table."""
    text = CONFIGURATION.split(f"## `{section}`", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", text, re.MULTILINE))


def test_every_key_of_a_profile_is_documented() -> None:
    assert set(keys("session_timer")) == set(_POLICY_KEYS)


def test_the_documented_defaults_are_the_defaults() -> None:
    defaults = {name: str(getattr(Policy(), name)).lower() for name in _POLICY_KEYS}
    shown = {"none": "none", "RFC": "none"}
    assert {name: shown.get(value, value) for name, value in keys("session_timer").items()} == defaults


def test_every_key_of_the_edge_is_documented() -> None:
    assert set(keys("edge")) == set(EdgeSettings.__dataclass_fields__)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_in_the_docs_is_valid(path: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL):
        data = parse(block, str(path))
        if isinstance(data, dict) and "session_timer" in data:
            validate(data, str(path))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_in_the_docs_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^(?:    )?make ([a-z0-9-]+)|`make ([a-z0-9-]+)", path.read_text(), re.MULTILINE))
    assert {one or other for one, other in named} <= targets


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_the_docs_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"^ *```.*?^ *```|^ {4}.*?$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", prose)
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    plain = [
        re.sub(r"`|\[([^]]*)\]\([^)]*\)", r"\1", head)
        for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    ]
    return {re.sub(r"[^\w -]", "", head.strip().lower()).replace(" ", "-") for head in plain}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_a_heading_find_it(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#]*)#([^)]+)\)", path.read_text())
    pages = [(path.parent / page if page else path, heading) for page, heading in links]
    missing = [
        (page.name, head) for page, head in pages if page.suffix == ".md" and head not in anchors(page)
    ]
    assert not missing


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_the_docs_run_exist(path: Path) -> None:
    named = set(re.findall(r"python3? -m ([a-z_]+(?:\.[a-z_]+)*)", path.read_text()))
    assert not [name for name in named if importlib.util.find_spec(name) is None]


RENAMED = ("mode: watch", "userfield", "rpc_timeout", "edge.rpc", "rpc_up", "refreshes_suppressed")
"""Words of release 0.1.0 that mean nothing any more, or not what they meant."""

TELL_OF_IT = {"upgrade.md", "companion.md", "configuration.md"}
"""The pages that say what they became."""


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_words_of_the_release_before_are_on_no_other_page(path: Path) -> None:
    """The reason of a hang-up went to `userfield` once: a page may name that beside the key that says so."""
    if path.name not in TELL_OF_IT:
        lines = [line for line in path.read_text().splitlines() if "cdr_field" not in line]
        assert not [line for line in lines if any(word in line for word in RENAMED)]


def test_every_statistic_of_the_edge_is_documented() -> None:
    declared = re.findall(
        r'"variable", "(session_timer_\w+)"', (ROOT / "kamailio/session-timer.cfg").read_text()
    )
    shown = re.findall(r"^\| `(session_timer_\w+)` \|", (ROOT / "docs/reference/edge.md").read_text(), re.M)
    assert sorted(declared) == sorted(shown)


def test_every_field_of_a_record_is_documented() -> None:
    refused = Asked("INVITE", 2, 1.0, Outcome.REFUSED, 500, ended=1.5, retry_after=5, clock="d")
    written = Record(
        "t",
        DialogTimer(Agreement(90, Side.LOCAL)),
        "c",
        at=1.0,
        last="local:2",
        earlier="local:1",
        peer="p",
        placed=Side.LOCAL,
        far="192.0.2.1",
        ours=refused,
        theirs=refused,
    ).encode()
    shown = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", (ROOT / "docs/reference/edge.md").read_text(), re.M)
    names = {name for row in shown for name in re.findall(r"`(\w+)`", row)}
    assert {pair.split("=")[0] for pair in written.split(";")} <= names


README = (ROOT / "README.md").read_text()


def test_the_readme_counts_the_requirements_right() -> None:
    ledger = tomllib.loads((ROOT / "tests/conformance/requirements.toml").read_text())
    rows = ledger["requirement"]
    declined = [row for row in rows if row.get("declined")]
    assert f"beside it, {len(rows)} in all" in README
    assert f"for {len(declined)}, with the reason" in README


def test_the_readme_shows_every_line_that_a_script_gains() -> None:
    (block,) = re.findall(r"^ *```python\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)
    shown = [line.split("  #")[0].strip() for line in block.splitlines()]
    page = (ROOT / "docs/how-to/kemi.md").read_text()
    added = [line[1:].strip() for line in page.splitlines() if line.startswith("+")]
    assert sorted(line for line in shown if line != "...") == sorted(added)


def test_the_readme_does_not_hide_what_it_costs() -> None:
    measured = (ROOT / "docs/reference/performance.md").read_text()
    found = re.search(r"native\+timers/native\+sst (\S+), kemi\+timers/kemi (\S+),", measured)
    assert found
    text = " ".join(README.split())
    assert f"took {found[1]} times the CPU" in text
    assert f"{found[2]} times that of the script alone" in text
