"""What `make bench-edge` says of our code alone."""

from __future__ import annotations

import re
import subprocess
import sys


def test_each_verb_of_a_call_is_measured_with_warm_and_with_cold_caches() -> None:
    """The program itself fails where a call has no record of its refresh."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.edge_verbs", "20"], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    *verbs, whole = done.stdout.splitlines()
    assert [re.split(r"  +", line.strip())[0] for line in verbs] == [
        "INVITE, branch route", "INVITE, 2xx", "UPDATE, branch route", "UPDATE, 2xx",
    ]  # fmt: skip
    found = re.fullmatch(r"  of one call +([0-9]+) us warm +([0-9]+) us cold", whole)
    assert found is not None
    assert int(found[1]) > 0
    assert int(found[2]) > 0
