"""The README's table of backends: made from what was kept of a whole run, and from nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from checking import refusal

import sparseref as sr
from sparseref import spec
from sparseref.conformance import readme
from sparseref.conformance.outcome import Outcome, RunResult, Verdict
from sparseref.conformance.report import Matrix, write_matrix

ROOT = Path(__file__).parents[1]
RELU, SELECT = sr.Cell("relu.gradient", ("csr",), "float32"), sr.Cell("select", ("nmg-greedy",), "int8")


def outcomes(*verdicts):
    return tuple(Outcome(str(at), "L3", RELU if at % 2 else SELECT, ("OPS-1",), verdict, 0.5 * (at % 2),
                         "not in C" if verdict is Verdict.UNSUPPORTED else "") for at, verdict in enumerate(verdicts))


FINE = RunResult("fine", "2-1", "quick", 4, outcomes(*[Verdict.PASS] * 4), 90.0, flushes=("float32",))
PART = RunResult("part", "0", "quick", 4, outcomes(Verdict.PASS, Verdict.UNSUPPORTED, Verdict.PASS, Verdict.UNSUPPORTED))
TOGETHER = replace(FINE, backend="differential")


@pytest.fixture
def small(monkeypatch):
    """A kit of four cases."""
    monkeypatch.setattr(readme, "inventory", lambda profile: {"L3 relu": 2, "L3 select": 2})


def written(folder, *results, together=TOGETHER):
    write_matrix(Matrix(results, together), folder / "matrix.json")
    return folder / "matrix.json"


def test_the_readme_is_what_was_kept():
    """`python -m sparseref.conformance.readme` makes it; the specification has not moved on since it was measured."""
    kept = json.loads((ROOT / readme.KEPT).read_text())
    text = (ROOT / readme.README).read_text()

    assert readme.replaced(text, kept) == text
    assert kept["spec"] == spec.version()


def test_the_block_says_what_passed_and_what_is_declined(small, tmp_path):
    """Badges, sums, operations with their gradients, reasons."""
    block = readme.block(readme.sums_of(written(tmp_path, FINE, PART)))

    assert "![fine: L3](https://img.shields.io/badge/fine-L3-brightgreen)" in block
    assert "| fine 2-1 | L3 | 4 | 0 | 0.5 | 1.5 |" in block
    assert "| part | L3 | 2 | 2 | 0.5 | 0.0 |" in block
    assert "| relu | ✓ 0.5 | declined |" in block
    assert "| select | ✓ | ✓ |" in block
    assert "* not in C: relu.gradient (2 cases)" in block
    assert "fine reads and gives subnormal numbers as 0" in block


@pytest.mark.parametrize("spoil", [
    lambda folder: written(folder, replace(FINE, outcomes=FINE.outcomes[:3], expected=3)),             # part of the cases
    lambda folder: written(folder, replace(FINE, outcomes=outcomes(*[Verdict.FAIL] * 4))),
    lambda folder: written(folder, FINE, together=None),
    lambda folder: folder / "none.json",
    lambda folder: folder])
def test_no_table_is_made_of_less_than_a_whole_good_run(small, tmp_path, spoil):            # REPORT-1
    """Nor of another file."""
    assert refusal(readme.sums_of, spoil(tmp_path)) == "REPORT-1"


def test_the_command_keeps_the_sums_and_checks(small, tmp_path, monkeypatch):
    """Exit code 1 where README.md is not what was kept."""
    monkeypatch.chdir(tmp_path)
    Path("backends").mkdir()
    Path("README.md").write_text(f"before\n{readme.BEGIN}old\n{readme.END}after\n")
    codes = [readme.main([str(written(tmp_path, FINE)), "--check"]), readme.main([str(tmp_path / "matrix.json")]),
             readme.main(["--check"])]
    text = Path("README.md").read_text()
    again = readme.main([])

    assert codes == [1, 0, 0]
    assert (text.startswith("before\n"), text.endswith("after\n"), "old" in text) == (True, True, False)
    assert (again, Path("README.md").read_text()) == (0, text)


def test_nothing_runs_in_a_matrix_of_gaps_alone():
    """A backend that declines everything is a gap; if all do, nothing is said to conform."""
    nothing = replace(PART, outcomes=outcomes(*[Verdict.UNSUPPORTED] * 4))
    expected = [False, True, False]
    actual = [Matrix([nothing]).conforms, Matrix([FINE, nothing]).conforms, Matrix([FINE, replace(FINE, expected=5)]).conforms]

    assert expected == actual
