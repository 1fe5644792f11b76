"""Writes the figures of docs/reference/scale.md from the files that the runs wrote: ``make scale-page``.

The page's sentences are written by hand; what stands between ``<!-- NAME -->`` and ``<!-- end -->`` is not.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.scale import paper, picture
from tests.bench.scale.growth import MEASURED
from tests.bench.soak import picture as soak_picture
from tests.bench.soak import samples
from tests.bench.soak.judge import HOUR, Soak
from tests.bench.soak.samples import Sample
from tests.lab.stack import ROOT

PAGE = ROOT / "docs" / "reference" / "scale.md"
GROWTH_PICTURE = ROOT / "docs" / "images" / "growth.svg"
SOAK_PICTURE = ROOT / "docs" / "images" / "soak.svg"
SOAK_SAMPLES = MEASURED.with_name("soak.csv")


def written(page: str, measured: Mapping[str, Any], seen: Sequence[Sample]) -> str:
    """The page with the figures of these runs in it. ValueError for a place that nothing is known for."""
    blocks = {
        "companion": _companion(measured["companion"]),
        "edge": _edge(measured["edge"]),
        "paper": _paper(measured),
        "soak": _soak(seen),
    }

    def block(found: re.Match[str]) -> str:
        if found[1] not in blocks:
            raise ValueError(
                f"docs/reference/scale.md: nothing is written between <!-- {found[1]} --> and its end"
            )
        return f"<!-- {found[1]} -->\n{blocks[found[1]]}\n<!-- end -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", block, page, flags=re.DOTALL)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _run(part: Mapping[str, Any]) -> str:
    run = part["run"]
    return f"Measured {run['at']} on commit `{run['code']}`, while the machine had a load of {run['load']:g}."


def _companion(part: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{row['sessions']:,}",
            f"{row['bytes_a_session']:,}",
            f"{row['refreshes_a_second']:g}",
            f"{row['cpu_share']:.1%}",
            f"{row['microseconds_a_refresh']}",
            f"{row['late_p99'] * 1000:.0f} ms",
            f"{row['armed_seconds']:.1f} s",
        ]
        for row in part["rows"]
    ]
    titles = [
        "Sessions",
        "bytes a session",
        "refreshes/s",
        "CPU",
        "us a refresh",
        "late, p99",
        "tracked after",
    ]
    return f"{_run(part)}\n\n{_table(titles, rows)}"


def _edge(part: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{row['records']:,}",
            f"{row['microseconds_a_call']:,} us",
            f"{row['ratio']:.3f}",
            f"{row['bytes_a_record']}" if row["records"] else "",
            f"{row['idle_share']:.2%}",
            str(row["lost"]),
        ]
        for row in part["rows"]
    ]
    titles = ["Records", "CPU a call", "of an empty table's", "bytes a record", "CPU without calls", "lost"]
    return f"{_run(part)}\n\n{_table(titles, rows)}"


def _paper(measured: Mapping[str, Any]) -> str:
    one = paper.companion(measured["companion"]["rows"])
    way = paper.edge(measured["edge"]["rows"])
    many = paper.hundred(measured["companion"]["rows"], measured["edge"]["rows"])
    rows = [
        ["one companion, half a processor", f"{one.refreshes:,.0f} refreshes a second"],
        ["", f"{one.sessions:,} calls at 1,800 s, or {one.at_90:,} at 90 s, all of them refreshed by us"],
        ["", f"{one.sessions * one.bytes_a_session / 2**20:,.0f} MiB for those at 1,800 s"],
        [
            "one edge, half of each processor",
            f"{way.calls_a_second:,.0f} calls a second with a refresh each, for each processor",
        ],
        ["", f"{way.at_once:,} calls at once, if a call lasts {paper.CALL} s"],
        ["", f"{way.bytes_a_record} bytes a record: {way.records_in_64_mb:,} in half of Kamailio's 64 MB"],
        [
            f"a hundred Asterisks, {paper.ONE_ASTERISK:,} calls each",
            f"{many.calls:,} calls, {many.refreshes:,.0f} refreshes a second, "
            f"{many.new_calls:,.0f} new calls a second",
        ],
        [
            "",
            f"one companion: {many.companion_share:.0%} of a processor, "
            f"{many.companion_bytes / 2**20:,.0f} MiB",
        ],
        [
            "",
            f"edges: {many.edges} processors at half their load, "
            f"{many.record_bytes / 2**20:,.0f} MiB of shared memory in each that has all records",
        ],
    ]
    return _table(["What", "carries, or needs"], rows)


def _soak(seen: Sequence[Sample]) -> str:
    soak = Soak.of(seen)
    runs = sorted({sample.run for sample in seen})
    text = [str(growth) for growth in soak.growth]
    use = _use(seen)
    return "\n".join(
        [
            f"{len(runs)} run{'s' if len(runs) > 1 else ''}: {', '.join(f'`{run}`' for run in runs)}. {use}",
            "",
            *(f"    {line}" for line in text),
            f"    {soak}",
        ]
    )


def _use(seen: Sequence[Sample]) -> str:
    """What each part used of a processor, in the longest run."""
    longest = max({s.run for s in seen}, key=lambda run: max(s.second for s in seen if s.run == run))
    whole = [s for s in seen if s.run == longest and not s.last]
    first, last = whole[0], whole[-1]
    seconds = max(1.0, last.second - first.second)
    shares = {
        name: (getattr(last, name) - getattr(first, name)) / seconds
        for name in ("companion_cpu", "edge_cpu", "asterisk_cpu")
    }
    return (
        f"In the longest, of {seconds / HOUR:.2g} hours, the companion used {shares['companion_cpu']:.1%} "
        f"of a processor, the edge {shares['edge_cpu']:.1%}, Asterisk {shares['asterisk_cpu']:.1%}."
    )


def main() -> int:
    """Write the page and its pictures."""
    measured, seen = json.loads(MEASURED.read_text()), samples.read(SOAK_SAMPLES)
    PAGE.write_text(written(PAGE.read_text(), measured, seen))
    GROWTH_PICTURE.write_text(picture.drawn(measured))
    SOAK_PICTURE.write_text(soak_picture.drawn(seen))
    print(f"{PAGE.relative_to(ROOT)}, {GROWTH_PICTURE.relative_to(ROOT)}, {SOAK_PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
