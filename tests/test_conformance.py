"""The kit itself: good backends pass, mutants die, a third party's layout is taken in, and nothing shrinks unseen."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from third_party.diagonal_block import DiagonalBlock, DiagonalOnly

import sparseref as sr
from sparseref.conformance import inventory, runner
from sparseref.conformance.case import Case
from sparseref.conformance.forms import FORMS, guarded
from sparseref.conformance.inputs import disordered, has_padding, poisoned
from sparseref.conformance.judge import Wanted, compare, judge
from sparseref.conformance.laws import LAWS, run_laws
from sparseref.conformance.mutants import all_mutants, run_mutants
from sparseref.conformance.outcome import Verdict
from sparseref.conformance.runner import all_cases, filtered, run_conformance
from sparseref.conformance.testing import LayoutConformance


@pytest.fixture(scope="module")
def cases():
    return all_cases("quick")


@pytest.fixture(scope="module")
def reports():
    return run_mutants()


@pytest.mark.slow
def test_the_reference_conforms_to_itself_in_float32():
    """Every case of one dtype; the other dtypes run in `make test` through torch."""
    result = run_conformance("reference", operations=["linear", "encode", "decode", "validate", "select"])
    expected = {"pass": len(result.outcomes)}
    actual = result.counts

    assert expected == actual
    assert result.conforms
    assert result.level_reached() == "L3"


@pytest.mark.slow
def test_every_mutant_dies(reports):
    """A survivor is a gap in the kit."""
    expected = []
    actual = [report.name for report in reports if not report.killed]

    assert expected == actual


@pytest.mark.slow
def test_a_mutant_dies_by_the_clause_that_it_breaks(reports, cases):
    """The verdict names the right clause, so that whoever reads it looks in the right place."""
    expected = {mutant.name: mutant.clause for mutant in all_mutants(cases)}
    actual = {report.name: report.clause for report in reports}

    assert expected == actual


@pytest.mark.slow
def test_every_clause_that_the_kit_checks_has_a_mutant(reports, cases):
    """Whatever a case claims to check, some bug shows that it does."""
    expected = set()
    actual = {clause for case in cases for clause in case.clauses} - {report.clause for report in reports}

    assert expected == actual


def test_the_catalogue_is_large_and_told_apart(cases):
    """At least 60 bugs, each with a name of its own and a sentence that says what it does."""
    mutants = all_mutants(cases)

    assert len(mutants) >= 60
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    assert all(mutant.what.endswith(".") for mutant in mutants)


def test_case_ids_are_unique(cases):
    """Known-failure lists and seeds rest on them."""
    expected = []
    actual = [name for name, count in Counter(case.id for case in cases).items() if count > 1]

    assert expected == actual


def test_the_inventory_is_what_the_kit_makes(cases):
    """More cases than the inventory: count anew, read the difference, commit it."""
    expected = inventory.inventory("quick")
    actual = dict(sorted(Counter(map(inventory.group, cases)).items()))

    assert expected == actual


def test_a_suite_that_shrank_is_no_pass(monkeypatch):
    """The tripwire: one case fewer, and the run does not conform."""
    monkeypatch.setattr(runner, "all_cases", lambda profile: all_cases(profile)[1:])
    result = run_conformance("reference", levels=["L0"], operations=["decode"], layouts=["ell"])

    assert not any(outcome.bad for outcome in result.outcomes)
    assert result.expected == len(result.outcomes) + 1
    assert not result.conforms


@pytest.fixture
def diagonal_blocks():
    """The third party's layout and sparsifier, registered for one test."""
    sr.registry.layouts.add(DiagonalBlock)
    sr.registry.sparsifiers.add(DiagonalOnly)
    yield DiagonalBlock(3)
    sr.registry.layouts.remove("diagonal-block")
    sr.registry.sparsifiers.remove("diagonal-only")


def test_a_third_partys_layout_obeys_the_laws(diagonal_blocks):
    """All laws run on it, and hold."""
    outcomes = run_laws(diagonal_blocks)

    assert {law.__name__.replace("_", "-") for _, law in LAWS} == {outcome.case.rsplit("/", 1)[1] for outcome in outcomes}
    assert not [outcome for outcome in outcomes if outcome.bad]


@pytest.mark.slow
def test_a_third_partys_layout_gets_the_whole_kit(diagonal_blocks):
    """Every operation of the specification is run with it, without a word in the kit about it."""
    found = filtered(all_cases("quick"), layouts=["diagonal-block"])
    bad = [outcome for outcome in (judge(case, sr.Reference()) for case in found) if outcome.bad]
    expected = {"encode", "decode", "validate", *sr.registry.operators.names()}
    actual = {case.cell.operation.partition(".")[0] for case in found}

    assert expected == actual
    assert not bad


class Leaky(DiagonalBlock):
    """A third party's bug: decode reads the blocks column by column, encode writes them row by row."""

    def positions(self, a):
        return super().positions(a).swapaxes(1, 2)


def test_a_wrong_layout_breaks_a_law(diagonal_blocks):
    """The picture and the clause are in the outcome."""
    bad = [outcome for outcome in run_laws(Leaky(3)) if outcome.bad]

    assert any(outcome.clauses == ("CORE-V1",) and "x" in outcome.counterexample for outcome in bad)


class TestOwnLayouts(LayoutConformance):
    """The pytest class, as a third party would use it."""

    layouts = tuple(text for kind in sr.layouts.ALL for text in kind.examples)


class Wrong(sr.Reference):
    """Adds one to every output of linear."""

    name = "wrong"

    def call(self, operation, *operands, **parameters):
        result = super().call(operation, *operands, **parameters)
        return result + 1 if operation == "linear" else result


def test_a_failure_comes_with_a_small_counterexample():
    """The smallest shape that fails, the first differing entry, the clause, and a call to paste that repeats it."""
    result = run_conformance(Wrong(), levels=["L1"], operations=["linear"], layouts=["csr"])
    failure = next(outcome for outcome in result.outcomes if outcome.bad and not outcome.case.endswith("/1x1"))
    program = failure.counterexample[failure.counterexample.index("import json"):]
    names = {}
    exec(program, names)

    assert failure.verdict is Verdict.FAIL
    assert "smaller, at 1x1" in failure.counterexample
    assert f"clause {failure.clauses[0]}" in failure.counterexample
    assert names["call"].operation == "linear"
    assert result.level_reached() == "none"


class Fallen(sr.Reference):
    """Raises what no clause asks for."""

    def call(self, operation, *operands, **parameters):
        raise RuntimeError("out of fuel")


def test_an_accident_is_an_error_not_a_failure(cases):
    """RuntimeError is no refusal."""
    outcome = judge(next(case for case in cases if case.cell.operation == "linear"), Fallen())

    assert outcome.verdict is Verdict.ERROR
    assert outcome.reason == "RuntimeError: out of fuel"


class Densifying(sr.Backend):
    """Multiplies structural zeros, and says so."""

    name = "densifying"

    def __init__(self, says_so):
        self.says_so = says_so

    def declines(self, cell):
        return None if cell.operation.startswith(("linear", "matmul")) else "only linear and matmul"

    def densifies(self, cell):
        return self.says_so

    def call(self, operation, *operands, **parameters):
        own = operands[1:] if operation.endswith(".gradient") else operands
        dense = [sr.decode(operand) if isinstance(operand, sr.SparseArray) else operand for operand in own]
        got = sr.get_backend("reference").call(operation, *operands[:len(operands) - len(own)], *dense, **parameters)
        if not operation.endswith(".gradient"):
            return got
        return tuple(sr.reference.in_slots(value, operand) if isinstance(operand, sr.SparseArray) else value
                     for value, operand in zip(got, own, strict=True))


@pytest.mark.parametrize(("says_so", "expected"), [(True, set()), (False, {"CORE-P2"})])
def test_densified_cells_may_give_nan_where_declared(says_so, expected, cases):  # CORE-P4
    """The same answers pass where the backend declares them, and fail by CORE-P2 where it does not."""
    chosen = [case for case in filtered(cases, operations=["linear", "matmul"], layouts=["csr", "nmg"])
              if case.name.endswith("special-partner")]
    outcomes = [judge(case, Densifying(says_so)) for case in chosen]
    actual = {outcome.clauses[0] for outcome in outcomes if outcome.bad}

    assert any(outcome.verdict is Verdict.PASS for outcome in outcomes)
    assert expected == actual


@given(st.sampled_from(FORMS), st.lists(st.integers(0, 4), max_size=3), st.sampled_from(["float32", "int8", "bool"]))
def test_guarded_operands_are_equal_and_guarded(form, shape, dtype):  # CORE-M1, CORE-M2
    """The same entries in another memory form, inside canaries that show a write."""
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    found = guarded(array, form)

    assert np.array_equal(array, found.operand)
    assert array.shape == found.operand.shape
    assert found.intact()
    found.buffers[0][0] ^= 1
    assert not found.intact()


@given(st.sampled_from(["coo", "csr", "csc"]), st.integers(0, 2**32 - 1))
def test_disordered_arrays_are_valid_and_decode_to_sums(layout, seed):  # CORE-V2, CORE-C2
    """What the kit feeds as duplicates is valid, and adds up to the dense sum of its slots."""
    rng = np.random.default_rng(seed)
    a = disordered(sr.sparsify(rng.integers(-2, 3, (4, 5)).astype(np.float32), layout), rng)
    sr.validate(a)
    expected = np.zeros(20, np.float32)
    np.add.at(expected, a.layout.positions(a), a.values)
    actual = sr.decode(a).reshape(-1)

    assert np.array_equal(expected, actual)


def test_poison_is_where_padding_is():
    """NaN in padding slots, and nowhere else."""
    a = sr.sparsify(np.ones((5, 7), np.float32), "nmg:2:4:2")
    expected = a.layout.positions(a) < 0
    actual = np.isnan(poisoned(a).values)

    assert has_padding(a)
    assert np.array_equal(expected, actual)


def test_other_shapes_dtypes_and_types_are_problems():
    """An answer of the wrong form is never compared element by element."""
    want = Wanted(np.zeros((2, 3), np.float32))
    sparse = sr.sparsify(np.ones((2, 3)), "csr")
    answers = [np.zeros((3, 2), np.float32), np.zeros((2, 3)), None, (np.zeros(1), np.zeros(1)), sparse]

    assert all(compare(answer, want)[1] is not None for answer in answers)
    assert compare(np.zeros((2, 3), np.float32), want) == (0.0, None)


def test_an_unknown_profile_is_refused():  # KIT-1
    """With the names of those that exist."""
    with pytest.raises(sr.SpecError, match="quick or full"):
        all_cases("slow")


def test_a_case_builds_the_same_call_every_time(cases):
    """Its random numbers come from its own id."""
    case = next(case for case in cases if case.shape and case.cell.operation == "encode")
    expected, actual = case.call(), case.call()

    assert isinstance(case, Case)
    assert sr.same_bits(expected.operands[0], actual.operands[0])
    assert not sr.same_bits(expected.operands[0], replace(case, name="other").call().operands[0])


def test_a_failure_at_a_large_shape_is_looked_for_at_few_smaller_ones():
    """From one entry upwards, and never so many that a backend with many failures takes hours."""
    found = runner.smaller_shapes((9, 300))
    expected = sorted(found, key=lambda shape: (shape[0] * shape[1], shape))
    actual = found

    assert expected == actual
    assert found[0] == (1, 1)
    assert (9, 262) in found
    assert len(found) <= 400
    assert all(rows * columns < 9 * 300 for rows, columns in found)
