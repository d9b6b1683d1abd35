"""Known-failure lists excuse what they name and nothing else, and cannot go stale (KNOWN-1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance.known import Known, apply, read_known
from sparseref.conformance.outcome import BAD, Outcome, RunResult, Verdict

CELL = sr.Cell("linear", ("array", "csr"), "float32")
CASE = f"L2/{CELL}/csr/bias/strided/3x3"


def outcome(verdict, case=CASE):
    return Outcome(case, "L2", CELL, ("CORE-M2",), verdict, reason="a bit differs")


@pytest.mark.parametrize(("verdict", "expected"), [
    (Verdict.FAIL, [Verdict.KNOWN_FAILURE]),
    (Verdict.ERROR, [Verdict.KNOWN_FAILURE]),
    (Verdict.CRASH, [Verdict.KNOWN_FAILURE]),
    (Verdict.TIMEOUT, [Verdict.KNOWN_FAILURE]),
    (Verdict.PASS, [Verdict.STALE]),
    (Verdict.UNSUPPORTED, [Verdict.UNSUPPORTED, Verdict.STALE]),      # it did not run, so the entry names nothing
])
def test_a_listed_case_is_judged_anew(verdict, expected):
    """A failure is known, a pass makes the list stale; either says why."""
    judged = apply([outcome(verdict)], [Known(CASE, "issue 12")])
    actual = [one.verdict for one in judged]

    assert expected == actual
    assert "issue 12" in judged[-1].reason


@pytest.mark.parametrize("verdict", Verdict)
def test_an_unlisted_case_is_left_alone(verdict):
    """Only what the list names changes."""
    given_outcomes = (outcome(verdict), outcome(Verdict.FAIL, "L1/other"))
    expected = given_outcomes[:1]
    actual = apply(given_outcomes, [Known("L1/other", "issue 12")])[:1]

    assert expected == actual


def test_an_entry_without_a_case_is_one_more_outcome():
    """A misspelt or outlived entry fails the run, though every case passes."""
    judged = apply([outcome(Verdict.PASS)], [Known("L2/liner*", "a typing error")])
    expected = [(CASE, Verdict.PASS), ("L2/liner*", Verdict.STALE)]
    actual = [(one.case, one.verdict) for one in judged]

    assert expected == actual
    assert not RunResult("b", "1", "quick", 1, judged).conforms


def test_an_entry_for_what_was_not_asked_is_not_judged():
    """A run of one level says nothing of a list's entries for another."""
    passed = outcome(Verdict.PASS)
    entries = [Known("L3/*", "issue 12"), Known("L4/*", "a typing error")]
    expected = ["L4/*"]
    actual = [one.case for one in apply([passed], entries, left_out=["L3/select"]) if one is not passed]

    assert expected == actual


def test_a_run_with_known_failures_alone_conforms():
    """That is what the list is for."""
    judged = apply([outcome(Verdict.FAIL)], [Known(CASE, "issue 12")])

    assert RunResult("b", "1", "quick", 1, judged).conforms


@given(st.text("L2/[]x !-*?"))
def test_every_id_without_wildcards_names_itself(case):  # KNOWN-1
    """Brackets mean themselves: an id can be pasted from a report."""
    case = case.replace("*", "").replace("?", "")

    assert Known(case, "why").names(case)


@pytest.mark.parametrize(("glob", "expected"), [
    ("L2/linear[[]array x csr, float32]*", False),
    ("L2/linear[array x *, float32]/*", True),
    ("*/strided/?x?", True),
    ("*/strided/?", False),
    ("L2/linear[abc]*", False),
    ("l2/*", False),
])
def test_globs(glob, expected):
    """* and ? are wild, brackets are not, case counts."""
    actual = Known(glob, "why").names(CASE)

    assert expected == actual


def test_bad_verdicts_are_all_excused_once_listed():
    """No bad verdict of a case is forgotten in the rule; STALE is made by the list itself."""
    expected = {Verdict.KNOWN_FAILURE}
    actual = {apply([outcome(verdict)], [Known(CASE, "why")])[0].verdict for verdict in BAD if verdict is not Verdict.STALE}

    assert expected == actual


def test_read_known(tmp_path):
    """[[known]] tables in order; an empty file is an empty list."""
    path = tmp_path / "known.toml"
    path.write_text('[[known]]\ncase = "L1/*"\nreason = "one"\n[[known]]\nreason = "two"\ncase = "L2/*"\n')
    (tmp_path / "empty.toml").write_text("# nothing is known\n")
    expected = ((Known("L1/*", "one"), Known("L2/*", "two")), ())
    actual = (read_known(path), read_known(tmp_path / "empty.toml"))

    assert expected == actual


@pytest.mark.parametrize("text", [
    "[[known]", '[[known]]\ncase = "L1/*"', '[[known]]\ncase = "L1/*"\nreason = ""', '[[known]]\ncase = 1\nreason = "x"',
    '[[known]]\ncase = "a"\nreason = "b"\nuntil = "c"', '[known]\ncase = "a"\nreason = "b"',
    '[[nown]]\ncase = "a"\nreason = "b"', 'known = ["L1/*"]', "\xff",
])
def test_a_malformed_list_is_refused(tmp_path, text):
    """A list that is misread would excuse nothing, or everything."""
    path = tmp_path / "known.toml"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(sr.SpecError, match="KNOWN-1"):
        read_known(path)


def test_a_missing_list_is_refused(tmp_path):
    """A list that is named must be there."""
    with pytest.raises(sr.SpecError, match="KNOWN-1"):
        read_known(tmp_path / "none.toml")
