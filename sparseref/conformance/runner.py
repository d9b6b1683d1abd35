"""Running the kit: all cases of a profile against one backend."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from ..backend import CODING, Backend, cell_of
from ..dtypes import FLOATS
from ..errors import SpecError
from ..registry import get_backend, operators
from .case import Ask, Case
from .coding_cases import coding_cases
from .inputs import Shape
from .inventory import missing_cases
from .judge import judge
from .known import apply, read_known
from .operator_cases import operator_cases
from .outcome import LEVELS, Outcome, RunResult, Verdict
from .parallel import judged_in_parallel
from .selection_cases import selection_cases
from .subjects import backend_at
from .vectors import Vector, load

PROFILES = ("quick", "full")
HANGS = 5
"""After so many timeouts in a row the run stops: the worker hangs, and the cases it did not reach are missing."""

OnOutcome = Callable[[Outcome, int, int], None]


def checked_profile(profile: str) -> str:
    """The name of a profile, as it is; a name that no profile has is refused (KIT-1)."""
    if profile not in PROFILES:
        raise SpecError("KIT-1", "there is no such profile.", wanted=" or ".join(PROFILES), given=repr(profile))
    return profile


def all_cases(profile: str) -> list[Case]:
    """Every case of a profile, level by level.  Errors: KIT-1."""
    checked_profile(profile)
    running = list(operator_cases(profile))
    cases = [*vector_cases(), *coding_cases(profile), *running, *selection_cases(profile), *repeat_cases(running)]
    return sorted(cases, key=lambda case: case.level)          # stable: within a level the order above


def repeat_cases(running: Iterable[Case]) -> Iterator[Case]:
    """One case of each operation and layouts in float32, run again and from several threads at once (OPS-6)."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for case in running:
        key = (case.cell.operation, case.cell.layouts)
        if case.cell.dtype == "float32" and case.name.endswith("normal") and key not in seen:
            seen.add(key)
            yield replace(case, level="L3", name=f"{case.name}/repeated", ask=Ask.REPEAT, clauses=("OPS-6",))


def vector_cases() -> Iterator[Case]:
    """Every frozen vector whose operation a backend can be asked for: coding, select, operators and their gradients."""
    askable = {*CODING, "select", *operators.names()}
    for vector in load():
        if vector.call.operation.partition(".")[0] in askable:
            yield _vector_case(vector)


def _vector_case(vector: Vector) -> Case:
    operation = vector.call.operation
    level = "L0" if operation in CODING else "L3" if operation == "select" or operation.endswith(".gradient") else "L2"
    refusal = vector.expect["error"] if vector.kind == "negative" else ""
    ask = Ask.ANSWER
    if operation == "select" and str(vector.call.parameters["sparsifier"]).startswith("nmg-optimal"):
        ask = Ask.SAME_ENERGY
    cell = cell_of(operation, vector.call.operands, vector.call.parameters)
    return Case(level, cell, f"vector {vector.id}", vector.clauses, lambda shape, rng: vector.call,
                ask=Ask.REFUSAL if refusal else ask, refusal=refusal)


def filtered(cases: Iterable[Case], levels: Iterable[str] = LEVELS, operations: Iterable[str] | None = None,
             layouts: Iterable[str] | None = None, dtypes: Iterable[str] | None = None) -> list[Case]:
    """The cases of these levels, operations ("linear" means "linear.gradient" too), layouts (any operand's) and dtypes."""
    levels, operations, layouts, dtypes = set(levels), set(operations or ()), set(layouts or ()), set(dtypes or ())
    return [case for case in cases if case.level in levels
            and (not operations or operations & {case.cell.operation, case.cell.operation.partition(".")[0]})
            and (not layouts or layouts & set(case.cell.layouts))
            and (not dtypes or case.cell.dtype in dtypes)]


def run_conformance(backend: str | Backend, profile: str = "quick", levels: Iterable[str] = LEVELS,
                    operations: Iterable[str] | None = None, layouts: Iterable[str] | None = None,
                    known_failures: Path | None = None, on_outcome: OnOutcome | None = None, jobs: int = 1,
                    dtypes: Iterable[str] | None = None) -> RunResult:
    """Run a backend through the cases of a profile; `on_outcome(outcome, done, total)` hears of each.

    jobs: how many processes judge; each makes a backend of its own, so that an object, which has no name to find it by in a new
    process, is judged by one whatever is asked for.
    Errors: KIT-1, DSP-6, REG-3, and those of the known-failure list.
    """
    chosen = backend_at(backend) if isinstance(backend, str) else get_backend(backend)
    every = all_cases(profile)
    cases = filtered(every, levels, operations, layouts, dtypes)
    known = read_known(known_failures) if known_failures else ()
    started, outcomes = time.perf_counter(), list[Outcome]()
    if jobs > 1 and isinstance(backend, str):
        found: Any = judged_in_parallel(backend, profile, cases, jobs)
    else:
        found = (judged(case, chosen) for case in cases)
    with closing(found):                                       # what is interrupted here ends its processes at once
        for done, outcome in enumerate(found, 1):
            outcomes.append(outcome)
            if on_outcome is not None:
                on_outcome(outcome, done, len(cases))
            if hangs(outcomes):
                break
    asked = {case.id for case in cases}
    left_out = [case.id for case in every if case.id not in asked]
    return RunResult(chosen.name, chosen.version, profile, len(cases) + missing_cases(profile, every),
                     apply(outcomes, known, left_out), time.perf_counter() - started, versions(), _flushes(chosen))


def hangs(outcomes: Sequence[Outcome]) -> bool:
    """True after so many timeouts that it is not worth going on."""
    return len(outcomes) >= HANGS and all(recent.verdict is Verdict.TIMEOUT for recent in outcomes[-HANGS:])


def judged(case: Case, backend: Backend) -> Outcome:
    """The outcome of one case, of a failure with the smallest counterexample."""
    outcome = judge(case, backend)
    return smaller(case, backend, outcome) if outcome.verdict in (Verdict.FAIL, Verdict.ERROR) else outcome


def _flushes(backend: Backend) -> tuple[str, ...]:
    """What a declaration that cannot be read leaves open is judged case by case."""
    try:
        return tuple(dtype for dtype in FLOATS if backend.flushes(dtype))
    except Exception:  # a backend may raise anything
        return ()


def smaller(case: Case, backend: Backend, outcome: Outcome) -> Outcome:
    """A bad outcome -> the counterexample of the smallest shape at which the same case fails the same way."""
    if not case.shape or 0 in case.shape:
        return outcome
    for shape in smaller_shapes(case.shape):
        found = judge(case.at(shape), backend)
        if found.verdict is outcome.verdict:
            return replace(outcome, counterexample=f"smaller, at {shape[0]}x{shape[1]}: {found.reason}\n{found.counterexample}")
    return outcome


def smaller_shapes(shape: Shape) -> list[Shape]:
    """Matrix shapes with fewer entries, fewest first: every side up to 12, then eighths of the longer side."""
    if len(shape) != 2:
        return []
    longest = max(shape)
    sides = sorted({*range(1, min(longest, 13)), *(longest * eighth // 8 for eighth in range(1, 8)), *shape} - {0})
    found = [(r, c) for r in sides for c in sides if r * c < shape[0] * shape[1]]
    return sorted(found, key=lambda s: (s[0] * s[1], s))


def versions() -> dict[str, str]:
    """What the run ran on, for the report."""
    from .. import __version__

    return {"sparseref": __version__, "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
            "machine": platform.machine()}
