"""Every installed backend at once: each other's arrays, processes, and who is there."""

import signal
from dataclasses import replace
from time import perf_counter, sleep
from typing import ClassVar

import numpy as np
import pytest
from checking import refusal
from cli_plugins import Broken, Twin

import sparseref as sr
from sparseref import registry
from sparseref.conformance import parallel
from sparseref.conformance.differential import differential_cases, hands_of, run_differential
from sparseref.conformance.outcome import Verdict
from sparseref.conformance.runner import HANGS, all_cases, filtered, run_conformance
from sparseref.conformance.subjects import backend_at, installed
from sparseref.conformance.worker import WorkerTimeout

CHOICE = {"operations": ["linear", "relu", "decode"], "layouts": ["csr", "nmg"]}


class Mute(sr.Reference):
    """One that cannot say what it implements, nor how it adds."""

    name: ClassVar[str] = "mute"

    def declines(self, cell):
        raise KeyError(cell.dtype)

    def accumulator(self, dtype):
        raise KeyError(dtype)


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


@pytest.mark.slow
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


def test_a_declaration_that_cannot_be_read_is_an_error_and_the_run_goes_on():
    """As in a run of one backend."""
    found = verdicts(run_differential([sr.Reference(), Mute()], operations=["relu"], layouts=["ell"]))

    assert found == {("reference", "mute"): {Verdict.ERROR}, ("mute", "reference"): {Verdict.ERROR},
                     ("reference", "reference"): {Verdict.ERROR}, ("mute", "mute"): {Verdict.ERROR}}


class Hanging(sr.Reference):
    """A worker that gives no reply."""

    name: ClassVar[str] = "hanging"

    def call(self, operation, *operands, **parameters):
        raise WorkerTimeout(30, "")


def test_a_worker_that_hangs_is_not_waited_for_again_and_again():
    """The chains that were not run are missing."""
    result = run_differential([Hanging(), Twin()], operations=["matmul"])

    assert len(result.outcomes) < result.expected
    assert [outcome.verdict for outcome in result.outcomes[-HANGS:]] == [Verdict.TIMEOUT] * HANGS


@pytest.mark.parametrize("name", ["reference", "a > b", "a: b"])
def test_backends_that_cannot_be_told_apart_are_refused(name):                             # DSP-6
    """A name twice, or one that would be read as two."""
    other = type("Other", (sr.Reference,), {"name": name})

    assert refusal(run_differential, [sr.Reference(), other()]) == "DSP-6"


def test_every_cell_with_a_sparse_operand_has_its_case():
    """Else the suite could shrink unseen: all that the quick profile has in float32, to read what others encode."""
    every = all_cases("quick")
    expected = {case.cell for case in every if case.cell.dtype == "float32" and case.shape and case.level != "L1"
                and case.cell.operation not in ("encode", "select") and not case.name.startswith("vector")}
    actual = {case.cell for case in differential_cases("quick", every) if case.cell.dtype == "float32"}

    assert expected == actual


# ---- Processes


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_process_that_dies_is_a_crash_and_no_pass():
    """The cases that were not reached are missing."""
    result = run_conformance(f"{__name__}:Dying", operations=["decode"], layouts=["ell"], jobs=2)

    assert [outcome.verdict for outcome in result.outcomes] == [Verdict.CRASH]
    assert result.expected > 1
    assert not result.conforms


@pytest.mark.slow
def test_a_backend_that_a_new_process_does_not_find_is_refused_there():                    # DSP-6
    """What went wrong in the process is told, not that it has gone."""
    registry.backends.add(type("Passing", (sr.Reference,), {"name": "passing"}))
    try:
        assert refusal(run_conformance, "passing", operations=["decode"], layouts=["ell"], jobs=2) == "DSP-6"
    finally:
        registry.backends.remove("passing")


@pytest.mark.slow
def test_what_is_interrupted_ends_its_processes():
    """Ctrl-C in the parent, wherever it strikes: nobody waits for the cases that are left."""
    def interrupted(*told):
        raise KeyboardInterrupt

    start = perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run_conformance(f"{__name__}:Slow", operations=["decode"], layouts=["ell"], jobs=2, on_outcome=interrupted)

    assert perf_counter() - start < 40                         # a process sleeps for a minute after some cases


class Slow(sr.Reference):
    """A backend that takes a minute for a call after its first ones."""

    name: ClassVar[str] = "slow"
    calls = 0

    def call(self, operation, *operands, **parameters):
        self.calls += 1
        if self.calls > 40:
            sleep(60)
        return super().call(operation, *operands, **parameters)


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
        if name in ("reference", "text"):
            return sr.Reference() if name == "reference" else "no backend"
        raise {"torch": ImportError, "theirs": ImportError, "gpu": OSError}[name]("it is not here")

    monkeypatch.setattr("sparseref.conformance.subjects.get_backend", loaded)
    monkeypatch.setattr(registry.backends, "names", lambda: ["reference", "torch", "theirs", "gpu", "text"])
    found, missing = installed()

    assert list(found) == ["reference"]
    assert missing == {"torch": "ImportError: it is not here; pip install 'sparseref[torch]'",
                       "theirs": "ImportError: it is not here", "gpu": "OSError: it is not here",
                       "text": "str is no sparseref.Backend"}


@pytest.mark.slow
def test_all_installed_backends_read_each_others_arrays():
    """Whatever is installed here: encoded by one, computed with by a second, read by a third."""
    found, _ = installed()
    result = run_differential(list(found.values()), operations=["decode", "linear", "transpose"])
    bad = [(outcome.case, outcome.reason) for outcome in result.outcomes if outcome.bad]

    assert bad == []
    assert len({hands_of(outcome) for outcome in result.outcomes}) >= len(found) * (len(found) - 1)
    assert np.isfinite(result.worst_ratio)
