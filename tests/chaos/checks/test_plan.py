"""What is played together touches no part twice, and a seed draws the same again."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.chaos.faults.listed import FAULTS, named
from tests.chaos.plan import everything, go_together, must_go_together, pairs


def test_there_are_more_than_twenty_faults_and_no_name_twice() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 20
    assert not [name for name in names if "," in name], "ONLY has commas between names"


def test_a_seed_draws_the_same_pairs_again() -> None:
    drawn = [tuple(fault.name for fault in pair) for pair in islice(pairs(FAULTS, 4028), 40)]
    assert drawn == [tuple(fault.name for fault in pair) for pair in islice(pairs(FAULTS, 4028), 40)]
    assert drawn != [tuple(fault.name for fault in pair) for pair in islice(pairs(FAULTS, 1), 40)]


def test_a_pair_touches_no_part_twice_and_nearly_every_fault_has_its_turn() -> None:
    drawn = list(islice(pairs(FAULTS, 4028), 60))
    assert all(go_together(pair) for pair in drawn)
    played = {fault.name for pair in drawn for fault in pair}
    assert len(played) >= 20


def test_everything_at_once_is_a_fault_of_most_parts() -> None:
    chosen = everything(FAULTS, 4028)
    assert go_together(chosen)
    assert {"edge", "companion", "ami", "network", "order", "stranger"} <= {
        part for fault in chosen for part in fault.parts
    }


def test_an_unknown_name_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no fault is called nonsense; there are: .*AMI cut"):
        named(["AMI cut", "nonsense"])


def test_faults_that_cannot_be_played_at_once_are_an_error_that_says_why() -> None:
    must_go_together(named(["Asterisk restarted", "edge's memory full"]))
    with pytest.raises(ValueError, match=r"edge killed \+ edge's memory full .* touches edge"):
        must_go_together(named(["edge killed", "edge's memory full"]))
    with pytest.raises(ValueError, match="stacks of different kinds"):
        must_go_together(named(["AMI cut", "edge's address moved"]))
