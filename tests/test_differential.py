"""Every installed backend at once: each other's arrays, processes, and who is there."""

import signal
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from checking import refusal
from cli_plugins import Broken, Twin

import sparseref as sr
from sparseref import registry
from sparseref.conformance import parallel
from sparseref.conformance.differential import hands_of, run_differential
from sparseref.conformance.outcome import Verdict
from sparseref.conformance.runner import all_cases, filtered, run_conformance
from sparseref.conformance.subjects import backend_at, installed

CHOICE = {"operations": ["linear", "relu", "decode"], "layouts": ["csr", "nmg"]}


class Narrow(sr.Reference):
    """One that has nmg alone."""

    name: ClassVar[str] = "narrow"

    def declines(self, cell):
        return "nmg alone" if "csr" in cell.layouts else None


class Backwards(sr.Reference):
    """One that places entries in an order of its own, and reads them so: consistent, and of no use to anyone else."""

    name: ClassVar[str] = "backwards"

    def call(self, operation, *operands, **parameters):
        if operation == "encode":
            return turned(super().call(operation, *operands, **parameters))
        return super().call(operation, *map(turned, operands), **parameters)


def turned(a):
    """The values of a csr array the other way round."""
    return a.with_values(a.values[::-1].copy()) if isinstance(a, sr.SparseArray) and a.layout.name == "csr" else a


def verdicts(result):
    """(who encoded, who computed) -> the set of verdicts."""
    found = {}
    for outcome in result.outcomes:
        found.setdefault(hands_of(outcome)[:2], set()).add(outcome.verdict)
    return found


def test_good_backends_read_each_others_arrays():
    """Every pair, a third reader where a result is sparse; never one backend alone."""
    result = run_differential([sr.Reference(), Twin()], **CHOICE)
    hands = {hands_of(outcome) for outcome in result.outcomes}

    assert result.conforms
    assert ("reference", "twin", "reference") in hands
    assert {len(set(names)) for names in hands} == {2}
    assert {outcome.cell.operation for outcome in result.outcomes} == {
        "decode", "linear", "linear.gradient", "relu", "relu.gradient"}


def test_a_private_order_is_found_out():
    """A backend that undoes its own mistake agrees with itself, and with no other one."""
    result = run_differential([sr.Reference(), Backwards()], operations=["decode"], layouts=["csr"])

    assert {pair: Verdict.FAIL in found for pair, found in verdicts(result).items()} == {
        ("reference", "backwards"): True, ("backwards", "reference"): True}
    assert not result.conforms


def test_what_one_of_them_declines_is_not_run():
    """Its gaps are told in its own run."""
    result = run_differential([sr.Reference(), Narrow()], **CHOICE)
    with_narrow = [outcome for outcome in result.outcomes if "csr" in outcome.cell.layouts]

    assert {outcome.verdict for outcome in result.outcomes} == {Verdict.PASS}
    assert with_narrow == []


def test_full_runs_every_dtype_and_tells_each_outcome():
    """quick has float32 alone, but for decode and validate."""
    told = []
    backends = [sr.Reference(), Twin()]
    quick = run_differential(backends, operations=["scale"], layouts=["ell"], on_outcome=lambda *told_of: told.append(told_of))
    full = run_differential(backends, "full", operations=["scale"], layouts=["ell"])
    expected = ({"float32"}, {"float64", "float32", "float16", "bfloat16", "int8", "int32"})
    actual = tuple({outcome.cell.dtype for outcome in result.outcomes} for result in (quick, full))

    decoded = run_differential(backends, operations=["decode"], layouts=["ell"])

    assert expected == actual
    assert {outcome.cell.dtype for outcome in decoded.outcomes} == expected[1]
    assert [done for _, done, _ in told] == list(range(1, len(quick.outcomes) + 1))


# ---- Processes


def test_processes_give_what_one_gives():
    """The same outcomes in the same order, but for the time they took."""
    chosen = {"operations": ["decode"], "layouts": ["ell"]}
    alone, together = (run_conformance("reference", jobs=jobs, **chosen) for jobs in (1, 2))
    expected, actual = ([replace(outcome, seconds=0.0) for outcome in result.outcomes] for result in (alone, together))

    assert expected == actual
    assert together.conforms


class Dying(sr.Reference):
    """A backend that takes its process with it."""

    name: ClassVar[str] = "dying"

    def call(self, operation, *operands, **parameters):
        import os

        os._exit(3)


def test_a_process_that_dies_is_a_crash_and_no_pass():
    """The cases that were not reached are missing."""
    result = run_conformance(f"{__name__}:Dying", operations=["decode"], layouts=["ell"], jobs=2)

    assert [outcome.verdict for outcome in result.outcomes] == [Verdict.CRASH]
    assert result.expected > 1
    assert not result.conforms


def test_what_a_process_does():
    """It keeps a backend and the cases, and leaves Ctrl-C to its parent."""
    before = signal.getsignal(signal.SIGINT)
    case = filtered(all_cases("quick"), operations=["decode"], layouts=["ell"])[0]
    try:
        parallel._start("reference", "quick")
        outcome = parallel._judged(case.id)

        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.case, outcome.verdict) == (case.id, Verdict.PASS)


# ---- Who is there


def test_backends_by_name_and_by_address():
    """A class is made, an object taken as it is."""
    assert isinstance(backend_at("reference"), sr.Reference)
    assert isinstance(backend_at("cli_plugins:Broken"), Broken)
    assert refusal(backend_at, "cli_plugins:Unmade") == "DSP-6"
    assert refusal(backend_at, "cli_plugins:run") == "DSP-6"


def test_what_is_installed_and_cannot_be_loaded_is_named(monkeypatch):
    """An entry point whose package is missing is no error, but is not passed over in silence."""
    def loaded(name):
        if name == "reference":
            return sr.Reference()
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr("sparseref.conformance.subjects.get_backend", loaded)
    monkeypatch.setattr(registry.backends, "names", lambda: ["reference", "torch"])
    found, missing = installed()

    assert [backend.name for backend in found] == ["reference"]
    assert missing == {"torch": "No module named 'torch'; pip install 'sparseref[torch]'"}


@pytest.mark.slow
def test_all_installed_backends_read_each_others_arrays():
    """Whatever is installed here: encoded by one, computed with by a second, read by a third."""
    found, _ = installed()
    result = run_differential(found, operations=["decode", "linear", "transpose"])
    bad = [(outcome.case, outcome.reason) for outcome in result.outcomes if outcome.bad]

    assert bad == []
    assert len({hands_of(outcome) for outcome in result.outcomes}) >= len(found) * (len(found) - 1)
    assert np.isfinite(result.worst_ratio)
