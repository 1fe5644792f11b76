"""What is looked at each minute, and the file that it goes into: a row a look, one run after another."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the whole stack. Memory is bytes; counts of calls are those since the run began."""

    run: str
    """When the run began, and on which code: rows of one run hang together."""
    second: float
    """Since the load was whole."""
    calls: int
    """Asterisk's calls at this moment."""
    sessions: int
    """Calls that the companion tracks."""
    records: int
    """Entries of the edge's table of records."""
    changes: int
    """Entries of its list of changes."""
    transactions: int
    """SIP transactions that the edge keeps."""
    companion_memory: int
    companion_files: int
    companion_cpu: float
    """Seconds since it started; so for the others."""
    edge_memory: int
    """What its processes have each for themselves."""
    edge_shared: int
    """Of Kamailio's shared memory what is in use."""
    edge_files: int
    edge_cpu: float
    asterisk_memory: int
    asterisk_files: int
    asterisk_cpu: float
    lag: float
    """Seconds that calls were woken late, the mean since the look before."""
    refresh_latest: float
    """Seconds from a 2xx to our next refresh, on the wire; the longest since the look before."""
    dead_longest: float
    """Seconds that a dead call stood, on the wire; the longest since the look before."""
    faults: int
    """Errors in the companion's code, and exceptions in the edge's."""
    live: int
    """Live calls that were made."""
    dead: int
    """Dead calls that were made."""
    live_lost: int
    dead_standing: int
    """Dead calls that stood longer than the interval."""
    last: bool = False
    """The load is over and every call should have ended."""


FIELDS = tuple(field.name for field in dataclasses.fields(Sample))


def append(path: Path, sample: Sample) -> None:
    """Write one row at the end of the file, so that a run that is cut loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(FIELDS)
        writer.writerow(_written(getattr(sample, name)) for name in FIELDS)


def read(path: Path) -> list[Sample]:
    """Every row of the file, in its order. ValueError where the file is of another form."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    if not rows or tuple(rows[0]) != FIELDS:
        raise ValueError(f"{path}: the columns are not those of a soak of this release; take another file")
    # A run that was killed may have left half a row.
    return [_sample(row) for row in rows[1:] if len(row) == len(FIELDS)]


def _written(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return round(value, 4) if isinstance(value, float) else value


def _sample(row: list[str]) -> Sample:
    kinds: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": lambda text: text == "1"}
    return Sample(
        *(kinds[str(field.type)](value) for field, value in zip(dataclasses.fields(Sample), row, strict=True))
    )
