"""Judging one case: run the call, look at the answer, the operands and their surroundings, and say what differs."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..array import SparseArray, same_bits
from ..backend import CODING, Backend
from ..bounds import Expected, error_ratio, expected_forward, expected_gradient, without_subnormals
from ..coding import encode
from ..dtypes import smallest_subnormal
from ..errors import SpecError
from ..operators.base import Pair, Rounding, as_pair, full
from ..reference import Reference
from ..registry import get_operator
from ..render import difference
from ..selecting import energy
from .case import Ask, Case
from .forms import Guarded, guarded
from .outcome import Outcome, Verdict
from .wire import Call, to_json
from .worker import WorkerCrash, WorkerTimeout

REFERENCE = Reference()
LEAST = smallest_subnormal(np.dtype(np.float64))
"""A bound below any difference between two integers, and yet not 0, which would decide the sign of a zero."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with an answer: the sentence, the picture, and the clause if it is not the case's own."""

    what: str
    picture: str = ""
    clause: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the clauses say of a call: the reference's result, its bounds where rounding is free, or a refusal."""

    result: Any = None
    expected: tuple[Expected | None, ...] = ()
    refusal: SpecError | None = None


def judge(case: Case, backend: Backend, wanted: Wanted | None = None) -> Outcome:
    """Run one case on a backend.  `wanted`, what `wanted_of` gives, may be passed to save its time."""
    try:
        why_not = backend.declines(case.cell)
        accumulator, flushes = backend.accumulator(case.cell.dtype), backend.flushes(case.cell.dtype)
    except Exception as accident:  # a declaration that cannot be read is the backend's error, and not the end of the run
        undeclared = Problem(f"asked what it declares: {type(accident).__name__}: {accident}")
        return _outcome(case, case.call(), Verdict.ERROR, undeclared, 0.0, 0.0)
    if why_not is not None:
        return Outcome(case.id, case.level, case.cell, case.clauses, Verdict.UNSUPPORTED, reason=why_not)
    call = case.call()
    if wanted is None:
        wanted = wanted_of(case, call, accumulator, flushes)
    operands = [guarded(operand, case.form) for operand in call.operands]
    started = time.perf_counter()
    try:
        answer = _answer(case, backend, call, operands)
    except SpecError as refusal:
        verdict, problem = Verdict.FAIL, _judge_refusal(wanted, refusal)
    except WorkerCrash as crash:
        verdict, problem = Verdict.CRASH, Problem(str(crash))
    except WorkerTimeout as timeout:
        verdict, problem = Verdict.TIMEOUT, Problem(str(timeout))
    except Exception as accident:  # a backend may raise anything, and every accident is a verdict
        verdict, problem = Verdict.ERROR, Problem(f"{type(accident).__name__}: {accident}")
    else:
        seconds = time.perf_counter() - started
        ratio, problem = _judge_answer(case, backend, call, wanted, answer, operands)
        if problem is None:
            return Outcome(case.id, case.level, case.cell, case.clauses, Verdict.PASS, ratio, seconds=seconds)
        return _outcome(case, call, Verdict.FAIL, problem, ratio, seconds)
    if problem is None:
        return Outcome(case.id, case.level, case.cell, case.clauses, Verdict.PASS, seconds=time.perf_counter() - started)
    return _outcome(case, call, verdict, problem, 0.0, time.perf_counter() - started)


def wanted_of(case: Case, call: Call, accumulator: str, flushes: bool = False) -> Wanted:
    """A call -> what the reference gives, and how far from it an answer may lie."""
    if case.refusal:
        return Wanted(refusal=SpecError(case.refusal, "", wanted="", given=""))
    try:
        result = REFERENCE.call(call.operation, *call.operands, **call.parameters)
    except SpecError as refusal:
        assert case.ask is Ask.SAME_VERDICT, f"{case.id}: the reference refuses its own case: {refusal}"
        return Wanted(refusal=refusal)
    name, _, is_gradient = call.operation.partition(".")
    if name in (*CODING, "select") or get_operator(name).rounding is Rounding.NONE or case.cell.dtype.startswith("int"):
        return Wanted(result)                                  # every bit is decided
    if is_gradient:
        found = expected_gradient(get_operator(name), call.operands[0], call.operands[1:], call.parameters, accumulator,
                                  flushes)
    else:
        found = (expected_forward(get_operator(name), call.operands, call.parameters, accumulator, flushes)[0],)
    if case.ask is Ask.EXACT:                                  # no error is allowed; the sign of a zero sum is free
        found = tuple(e and Expected(e.value, np.full(e.value.shape, LEAST), e.dtype) for e in found)
    return Wanted(result, found)


def _answer(case: Case, backend: Backend, call: Call, operands: list[Guarded]) -> Any:
    def once(_: int = 0) -> Any:
        return backend.call(call.operation, *(operand.operand for operand in operands), **call.parameters)

    if case.ask is not Ask.REPEAT:
        return once()
    other = case.build(case.shape, np.random.default_rng(0))   # other values: a thread that reads its neighbour's shows it

    def alternate(turn: int) -> Any:
        return once() if turn % 2 == 0 else backend.call(other.operation, *other.operands, **other.parameters)

    answers = [once(), once()]
    with ThreadPoolExecutor(4) as pool:
        answers += list(pool.map(alternate, range(8)))[::2]
    return answers


def _judge_refusal(wanted: Wanted, refusal: SpecError) -> Problem | None:
    if wanted.refusal is None:
        return Problem(f"refused, though no clause refuses it: {refusal}")
    if wanted.refusal.clause != refusal.clause:
        return Problem(f"refused by {refusal.clause}, but the clause that refuses it is {wanted.refusal.clause}")
    return None


def _judge_answer(case: Case, backend: Backend, call: Call, wanted: Wanted, answer: Any,
                  operands: list[Guarded]) -> tuple[float, Problem | None]:
    if not all(operand.intact() for operand in operands):
        return 0.0, Problem("an operand, or memory beside it, was written to", clause="CORE-M1")
    if wanted.refusal is not None:
        return 0.0, Problem(f"accepted, but {wanted.refusal.clause} refuses it", clause=wanted.refusal.clause)
    if case.ask is Ask.REPEAT:
        return _judge_repeat(answer)
    if any(operand.shares_memory(answer) for operand in operands):
        return 0.0, Problem("the result shares memory with an operand", clause="CORE-M1")
    if case.ask is Ask.SAME_ENERGY:
        return _judge_energy(call, wanted.result, answer)
    accumulator = backend.accumulator(case.cell.dtype) if backend.flushes(case.cell.dtype) else None
    ratio, problem = compare(answer, wanted, _nan_allowed(call, backend.densifies(case.cell), accumulator))
    return (np.inf if case.ask is Ask.EXACT and problem else ratio), problem


def compare(answer: Any, wanted: Wanted, nan_allowed: tuple[np.ndarray | None, ...] = ()) -> tuple[float, Problem | None]:
    """An answer, what is wanted, and where NaN is allowed besides [each result] -> the worst ratio, and the first problem."""
    results = wanted.result if isinstance(wanted.result, tuple) else (wanted.result,)
    answers = answer if isinstance(answer, tuple) else (answer,)
    if len(answers) != len(results):
        return 0.0, Problem(f"{len(answers)} results, wanted {len(results)}")
    worst, bounds = 0.0, wanted.expected or (None,) * len(results)
    for got, want, bound, nan in zip(answers, results, bounds, nan_allowed or (None,) * len(results), strict=True):
        ratio, problem = _compare_one(got, want, bound, nan)
        worst = max(worst, ratio)
        if problem is not None:
            return worst, problem
    return worst, None


def _compare_one(got: Any, want: Any, bound: Expected | None, nan_allowed: np.ndarray | None) -> tuple[float, Problem | None]:
    if want is None or type(got) is not type(want):
        return 0.0, None if got is want else Problem(f"a {type(got).__name__}, wanted a {type(want).__name__}")
    if isinstance(want, np.ndarray):
        return _compare_arrays(got, want, bound, nan_allowed)
    if (got.layout, got.shape, got.dtype, set(got.arrays)) != (want.layout, want.shape, want.dtype, set(want.arrays)):
        return 0.0, Problem(f"{got!r} with fields {sorted(got.arrays)}, wanted {want!r} with {sorted(want.arrays)}")
    for name in want.arrays:
        if name != "values" and not same_bits(np.asarray(got[name]), want[name]):
            return 0.0, Problem(f"field {name!r} differs", difference(want[name], np.asarray(got[name])))
    nan_in_slots = None if nan_allowed is None else np.append(nan_allowed.reshape(-1), False)[want.layout.positions(want)]
    return _compare_arrays(got.values, want.values, None if bound is None else _in_slots(bound, want), nan_in_slots)


def _in_slots(bound: Expected, want: SparseArray) -> Expected:
    """What may stand at a position -> what may stand in each slot; padding slots hold +0, bit for bit (CORE-P5)."""
    positions = want.layout.positions(want)
    return Expected(np.append(bound.value.reshape(-1), 0.0)[positions], np.append(bound.bound.reshape(-1), 0.0)[positions],
                    bound.dtype)


def _compare_arrays(got: np.ndarray, want: np.ndarray, bound: Expected | None,
                    nan_allowed: np.ndarray | None) -> tuple[float, Problem | None]:
    if got.shape != want.shape or got.dtype != want.dtype:
        return 0.0, Problem(f"{got.dtype} {got.shape}, wanted {want.dtype} {want.shape}")
    if bound is None:
        return (0.0, None) if same_bits(got, want) else (np.inf, Problem("a bit differs", difference(want, got)))
    ratio = error_ratio(got, bound, nan_allowed)
    worst = float(ratio.max(initial=0.0))
    if worst <= 1:
        return worst, None
    first = np.unravel_index(int(np.argmax(ratio > 1)), ratio.shape)
    first_text = f"first at {tuple(map(int, first))}: got {got[first]}, wanted {bound.value[first]:.9g}"
    within = f"within {bound.bound[first]:.3g}" if bound.bound[first] > LEAST else "exactly"
    return worst, Problem(f"error / bound is {worst:.3g}, at most 1 conforms; {first_text} {within}",
                          difference(want, got))


def _judge_repeat(answers: list[Any]) -> tuple[float, Problem | None]:
    for number, answer in enumerate(answers[1:], 1):
        _, problem = compare(answer, Wanted(answers[0]))
        if problem is not None:
            who = "the second run" if number == 1 else f"thread run {number - 1}"
            return np.inf, Problem(f"{who} gives another answer than the first: {problem.what}", problem.picture)
    return 0.0, None


def _judge_energy(call: Call, best: np.ndarray, pattern: Any) -> tuple[float, Problem | None]:
    """nmg-optimal: any pattern of the largest total will do, if the layout can hold it (NMGO-S1)."""
    values, layout = call.operands[0], str(call.parameters["sparsifier"]).replace("nmg-optimal", "nmg")
    if not isinstance(pattern, np.ndarray) or pattern.shape != best.shape or pattern.dtype != bool:
        return 0.0, Problem(f"{type(pattern).__name__}, wanted bool {best.shape}")
    try:
        encode(values, layout, pattern)
    except SpecError as refusal:
        return np.inf, Problem(f"a pattern that the layout cannot hold: {refusal}")
    kept, most = energy(values, pattern), energy(values, best)
    if kept < most * (1 - 1e-12):                              # float64 sums in another order, far below any real gap
        return np.inf, Problem(f"keeps {kept:.12f} of the magnitude, {most:.12f} is possible", difference(best, pattern))
    return 0.0, None


def _nan_allowed(call: Call, densifies: bool, flushes: str | None) -> tuple[np.ndarray | None, ...]:
    """For each result, where NaN may appear besides: where structural zeros that are multiplied (CORE-P4), or subnormal numbers
    of the accumulator `flushes` that are read as 0 (BOUND-5), meet infinity or NaN."""
    name, _, is_gradient = call.operation.partition(".")
    if not (densifies or flushes) or name in (*CODING, "select") or get_operator(name).rounding is Rounding.NONE:
        return ()
    operator, own = get_operator(name), call.operands[1:] if is_gradient else call.operands

    def read(value: np.ndarray) -> np.ndarray:
        return without_subnormals(value, flushes) if flushes and value.dtype.kind == "f" else value

    pairs = [None if operand is None else as_pair(operand) for operand in own]
    pairs = [pair and (full(read(pair.value)) if densifies else Pair(read(pair.value), pair.pattern)) for pair in pairs]
    with np.errstate(invalid="ignore", over="ignore"):
        if is_gradient:
            found = operator.gradient(read(call.operands[0].astype(np.float64)), *pairs, **call.parameters)
        else:
            found = (operator.meaning(*pairs, **call.parameters).value,)
    masks = [None if value is None else np.isnan(value) for value in found]
    return tuple(nan if densifies or (nan is not None and nan.any()) else None for nan in masks)     # only CORE-P4 frees signs


def _outcome(case: Case, call: Call, verdict: Verdict, problem: Problem, ratio: float, seconds: float) -> Outcome:
    clauses = (problem.clause, *case.clauses) if problem.clause else case.clauses
    picture = f"{problem.picture}\n" if problem.picture else ""
    return Outcome(case.id, case.level, case.cell, clauses, verdict, ratio, problem.what,
                   f"{picture}clause {clauses[0]}\n{paste_able(call)}", seconds)


def paste_able(call: Call) -> str:
    """A call -> Python that repeats it, every bit of the operands included."""
    text = json.dumps(to_json(call))
    return ("import json, sparseref as sr\nfrom sparseref.conformance.wire import from_json\n"
            f"call = from_json(json.loads('''{text}'''))\n"
            'sr.get_backend("reference").call(call.operation, *call.operands, **call.parameters)   # and your backend')
