"""The ledger of requirements tells the truth, or fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance import diagram, ledger, results
from tests.conformance.requirements import Asked, Gap, Requirement, load
from tests.conformance.results import Outcome, Recorder, merged, read

pytest_plugins = ["pytester"]

GAP = Gap("G-01", "What now?", "This.", ("headers.ABSOLUTE_MINIMUM",))
SHOWN = Requirement("UAS-9-05", 4028, "text", "Copy | the value.", where=("uas.answer",))
DECLINED = Requirement(
    "SEC-11-03", 4028, "text", "Explains.", others=("kamailio",), declined="It asks nothing."
)
COMPANION_RFC = Requirement(
    "S61-14.1-04", 3261, "SHOULD", "Back off.", where=("session.responses.glare_delay",), others=("asterisk",)
)
THEIRS = Requirement("UPD-4-01", 3311, "SHOULD", "List UPDATE.", others=("asterisk",))
PREFIXES = {"UAS": "section 9"}

UNIT = "tests/library/test_uas.py::test_copy"
WIRE = "tests/e2e/call/test_call.py::test_call"


def outcome(test: str, *requirements: str, result: str = "passed") -> Outcome:
    return Outcome(test, frozenset(requirements), frozenset({result}))


def drawn(*outcomes: Outcome) -> ledger.Ledger:
    asked = Asked(PREFIXES, (GAP,), (SHOWN, DECLINED, COMPANION_RFC))
    return ledger.draw_up(asked, (outcome(UNIT, "G-01"), *outcomes))


def test_the_requirements_are_the_227_and_the_gaps_17() -> None:
    asked = load()
    gaps, requirements = asked.gaps, asked.requirements
    assert len({gap.id for gap in gaps}) == len(gaps)
    assert sum(gap.id.startswith("G-") for gap in gaps) == 17
    assert len({row.id for row in requirements}) == len(requirements) == 227
    assert sum(row.rfc == 4028 for row in requirements) == 167
    assert {who for row in requirements for who in row.who} <= {
        "library",
        "edge",
        "companion",
        "asterisk",
        "kamailio",
    }
    assert all(row.asks and row.who for row in requirements)
    used = {gap.id.split("-")[0] for gap in gaps} | {row.id.split("-")[0] for row in requirements}
    assert used == set(asked.prefixes)


def test_what_is_shown_and_where() -> None:
    found = drawn(
        outcome(WIRE, "UAS-9-05", "S61-14.1-04"), outcome("tests/kamailio/test_x.py::test_y", "UAS-9-05")
    )
    assert found.problems == ()
    assert (
        found.summary() == "conformance: 2 of 3 shown (1 by unit tests, 2 on the wire), 1 declined, 0 missing"
    )
    text = found.as_text()
    row = (
        "| UAS-9-05 | 9 | text | Copy \\| the value. | library "
        "| [`uas.answer`](../pylib/session_timer/uas.py) | unit, wire "
        "| [e2e/call/test_call.py](../tests/e2e/call/test_call.py): `test_call`<br>"
        "[kamailio/test_x.py](../tests/kamailio/test_x.py): `test_y` |\n"
    )
    assert row in text
    assert "| SEC-11-03 | 11 | text | Explains. | kamailio |  | declined: It asks nothing. |  |\n" in text
    assert (
        "| G-01 | What now? | This. | library "
        "| [`headers.ABSOLUTE_MINIMUM`](../pylib/session_timer/headers.py) "
        "| [library/test_uas.py](../tests/library/test_uas.py): `test_copy` |\n"
    ) in text
    assert "| UAS | section 9 |\n" in text
    assert "| [`uas.answer`](../pylib/session_timer/uas.py) | UAS-9-05 |\n" in text
    assert text.index("## RFC 4028, session timers") < text.index("UAS-9-05") < text.index("## RFC 3261, SIP")


def test_what_nobody_shows_is_missing() -> None:
    found = drawn()
    assert (
        found.summary() == "conformance: 0 of 3 shown (0 by unit tests, 0 on the wire), 1 declined, 2 missing"
    )
    assert "**missing**" in found.as_text()
    assert found.not_run == ()


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (outcome(UNIT, "UAS-9-99"), f"UAS-9-99: no such requirement, but {UNIT} names it"),
        (outcome("tests/x/t.py::t", "UAS-9-05", result="failed"), "tests/x/t.py::t: failed"),
        (outcome("tests/x/t.py::t", "UAS-9-05", result="skipped"), "tests/x/t.py::t: skipped"),
        (outcome("tests/x/t.py::t", "UAS-9-05", result=results.NOT_RUN), "tests/x/t.py::t: not run"),
        (outcome(WIRE, "UAS-9-05", result="failed"), f"{WIRE}: failed"),
        (outcome(UNIT, "SEC-11-03"), f"SEC-11-03: declined, yet {UNIT} shows it"),
    ],
)
def test_what_is_wrong_is_named(bad: Outcome, problem: str) -> None:
    assert drawn(bad).problems == (problem,)


def test_a_decision_without_a_test_is_wrong() -> None:
    found = ledger.draw_up(Asked(PREFIXES, (GAP,), (SHOWN,)), ())
    assert found.problems == ("G-01: decided, but no test shows the decision",)


def test_a_test_of_our_code_shows_nothing_of_what_others_do() -> None:
    """A simulation of ours cannot show what Asterisk or Kamailio does."""
    asked = Asked(PREFIXES, (), (THEIRS,))
    found = ledger.draw_up(asked, (outcome(UNIT, "UPD-4-01"), outcome(WIRE, "UPD-4-01")))
    assert found.problems == (f"UPD-4-01: no code of ours performs it, yet {UNIT} calls our code",)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (replace(SHOWN, where=("uas.answr",)), "UAS-9-05: there is no uas.answr in our code"),
        (replace(GAP, where=("uas.answer.x",)), "G-01: there is no uas.answer.x in our code"),
        (replace(SHOWN, where=()), "UAS-9-05: requirements.toml says neither `where` nor `who`"),
        (replace(GAP, where=()), "G-01: requirements.toml says neither `where` nor `who`"),
    ],
)
def test_code_that_a_row_names_exists(row: Gap | Requirement, problem: str) -> None:
    asked = Asked(PREFIXES, (row,), ()) if isinstance(row, Gap) else Asked(PREFIXES, (), (row,))
    assert problem in ledger.draw_up(asked, ()).problems


def test_a_wire_test_that_was_left_out_shows_nothing_and_is_no_error() -> None:
    found = drawn(outcome(WIRE, "UAS-9-05", result=results.NOT_RUN))
    assert found.problems == ()
    assert [row.requirement.id for row in found.not_run] == ["UAS-9-05"]
    assert found.summary().endswith("1 declined, 2 missing")
    assert "| wire |" in found.as_text()


def test_cases_of_one_function_count_together(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(
        json.dumps(
            {
                "tests/library/t.py::t[a-1]": {"requirements": ["X"], "result": "passed"},
                "tests/library/t.py::t[b]": {"requirements": ["Y"], "result": "failed"},
            }
        )
    )
    (found,) = read(file).values()
    assert found == Outcome("tests/library/t.py::t", frozenset("XY"), frozenset({"passed", "failed"}))
    assert found.ran
    assert not found.passed


def test_what_ran_counts_as_it_ended_and_the_rest_as_not_run() -> None:
    ran, known = outcome(UNIT, "A"), outcome(UNIT, "A", result=results.NOT_RUN)
    other = outcome(WIRE, "B", result=results.NOT_RUN)
    assert list(merged({UNIT: ran}, {UNIT: known, WIRE: other})) == [ran, other]


def test_a_run_is_recorded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.requirement("A", "B")
        def test_good(): pass

        @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.requirement("C"))])
        def test_bad(n): assert n == 1

        @pytest.fixture
        def broken():
            yield
            raise RuntimeError

        def test_teardown(broken): pass

        @pytest.mark.skip
        def test_skipped(): pass
        """
    )
    pytester.makeini("[pytest]\nmarkers = requirement\nasyncio_default_fixture_loop_scope = function")
    file = pytester.path / "out" / "results.json"
    pytester.inline_run("-p", "no:cacheprovider", plugins=[Recorder(file)])
    name = "test_a_run_is_recorded.py::"
    assert {
        test.removeprefix(name): (facts["requirements"], facts["result"])
        for test, facts in json.loads(file.read_text()).items()
    } == {
        "test_good": (["A", "B"], "passed"),
        "test_bad[1]": ([], "passed"),
        "test_bad[2]": (["C"], "failed"),
        "test_teardown": ([], "failed"),
        "test_skipped": ([], "skipped"),
    }


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose tests show everything, and whose pages are not written yet."""
    asked = load()
    unit = frozenset(row.id for row in asked.requirements if row.where and not row.declined)
    wire = frozenset(row.id for row in asked.requirements if not (row.where or row.declined))
    tests = {
        UNIT: Outcome(UNIT, unit | {gap.id for gap in asked.gaps}, frozenset({results.NOT_RUN})),
        WIRE: Outcome(WIRE, wire, frozenset({results.NOT_RUN})),
    }
    monkeypatch.setattr(ledger, "_collected", lambda _: tests)
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "rfc4028.md")
    monkeypatch.setattr(diagram, "PAGE", tmp_path / "session-states.md")
    ran = {
        f"{name}[1]": {"requirements": sorted(test.requirements), "result": "passed"}
        for name, test in tests.items()
    }
    (tmp_path / "ran.json").write_text(json.dumps(ran))
    return tmp_path


def test_pages_out_of_date_are_written_and_said(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--results", str(repository / "ran.json")]
    assert ledger.main(arguments) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "conformance: rfc4028.md: was out of date; it has been written again, commit it"
    assert said[1].startswith("conformance: session-states.md: was out of date")
    assert ledger.main(arguments) == 0
    (last,) = capsys.readouterr().out.splitlines()
    rows = load().requirements
    declined = sum(bool(row.declined) for row in rows)
    wire = sum(not (row.where or row.declined) for row in rows)
    assert last == (
        f"conformance: {227 - declined} of 227 shown "
        f"({227 - declined - wire} by unit tests, {wire} on the wire), {declined} declined, 0 missing"
    )


def test_the_pages_are_written_without_a_run(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ledger.main(["--pages"]) == 1
    written = (repository / "rfc4028.md").read_text()
    assert "was out of date" in capsys.readouterr().out
    assert ledger.main(["--pages"]) == 0
    assert capsys.readouterr().out == "conformance: no test ran\n"
    assert ledger.main(["--results", str(repository / "ran.json")]) == 0
    assert (repository / "rfc4028.md").read_text() == written


def test_a_run_in_parts_is_one_run(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = json.loads((repository / "ran.json").read_text())
    parts = [repository / "unit.json", repository / "wire.json"]
    for part, suites in zip(parts, (("tests/library/",), ("tests/e2e/",)), strict=True):
        part.write_text(json.dumps({case: facts for case, facts in ran.items() if case.startswith(suites)}))
    assert ledger.main(["--pages"]) == 1
    assert ledger.main(["--results", *map(str, parts)]) == 0
    assert ", 0 missing" in capsys.readouterr().out
    assert ledger.main(["--results", str(parts[1])]) == 1, "the other part has not run"


def test_a_named_test_that_is_gone_is_said(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = repository / "ran.json"
    ran = json.loads(file.read_text())
    file.write_text(json.dumps({**ran, "tests/library/t.py::old": {"requirements": [], "result": "passed"}}))
    assert ledger.main(["--results", str(file)]) == 1
    assert "conformance: tests/library/t.py::old: no longer exists" in capsys.readouterr().out


def test_a_requirement_that_no_test_names_is_said(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = load()
    lost = Requirement("UAS-9-99", 4028, "MUST", "Nobody shows it.", where=("uas.answer",))
    more = replace(asked, requirements=(*asked.requirements, lost))
    monkeypatch.setattr(ledger, "load", lambda: more)
    arguments = ["--results", str(repository / "ran.json")]
    for _ in range(2):  # the page, which is written the first time, says that it is missing and is no excuse
        assert ledger.main(arguments) == 1
    said = capsys.readouterr().out
    assert said.count("conformance: UAS-9-99: not declined, and no test names it\n") == 2


@pytest.mark.parametrize("text", [None, "", "{"])
def test_without_results_there_is_no_ledger(
    repository: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = repository / "none.json"
    if text is not None:
        file.write_text(text)
    assert ledger.main(["--results", str(file)]) == 1
    assert capsys.readouterr().err.startswith("conformance: no results of a test run: ")
    assert not (repository / "rfc4028.md").exists()
