"""asterisk/profiles.example.yaml and the pages on providers: every profile can be used, and has sources."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from session_timer import validate

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "asterisk/profiles.example.yaml"
EXAMPLES: dict[str, Any] = yaml.safe_load(PROFILES.read_text(encoding="utf-8"))
GUIDE = (ROOT / "docs/how-to/test-with-a-provider.md").read_text(encoding="utf-8")
KNOWN = (ROOT / "docs/reference/providers.md").read_text(encoding="utf-8")
LEAST = {"telekom": 900, "ribbon-edge": 600, "cisco-cucm": 1800, "signalwire": 120, "twilio": 120}
"""The Min-SE that sources tell of: an offer below it costs a 422."""
MOST = {"signalwire": 600, "audiocodes": 180}
"""What sources say that these ask for: our own min_se must not be above it."""


def named(name: str) -> dict[str, Any]:
    (found,) = [each for each in EXAMPLES["peers"] if each["name"] == name]
    profile: dict[str, Any] = found
    return profile


def test_the_file_as_a_whole_is_valid() -> None:
    assert len(validate(EXAMPLES, str(PROFILES)).peers) == len(EXAMPLES["peers"]) >= 25


@pytest.mark.parametrize("name", [each["name"] for each in EXAMPLES["peers"]])
def test_each_profile_can_be_copied_alone(name: str) -> None:
    alone = {"session_timer": {"enabled": True}, "peers": [named(name)]}
    (peer,) = validate(alone, name).peers
    assert peer.policy.default_expires >= LEAST.get(name, 90)
    assert peer.policy.min_se <= MOST.get(name, 1800)


def test_every_value_tells_where_it_is_from() -> None:
    text = PROFILES.read_text(encoding="utf-8").split("\npeers:", 1)[1]
    keys = "default_expires|min_se|use_update|one_sided|require_timer|request_timer|max_expires"
    rows = [row for row in text.splitlines() if re.match(rf" +(?:# )?(?:{keys}): ", row)]
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"\[(?:D|R|T|ours)\b", row)] == []


def test_nothing_reads_the_examples() -> None:
    code = [path for folder in ("pylib", "kamailio", "asterisk") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in code if "profiles.example" in path.read_text(encoding="utf-8")] == []


def test_the_profile_that_the_guide_begins_with_is_valid() -> None:
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
    (peer,) = validate({"session_timer": {}, **yaml.safe_load(block)}, "guide").peers
    assert (str(peer.policy.expiry), peer.policy.probe) == ("report", False)


def test_every_source_has_an_address_or_a_name_and_every_row_its_mark() -> None:
    table = KNOWN.split("## Who does what", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| Subject")]
    assert len(rows) >= 25
    for row in rows:
        assert re.search(r"[DRT\u2013?]", row.rstrip("| ").rsplit("|", 1)[1]), row
    assert len(re.findall(r"<https?://", KNOWN)) > 50
