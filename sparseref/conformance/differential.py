"""One backend's arrays in another's hands: encoded by the first, computed with by the second, read by the third."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

from ..array import SparseArray
from ..backend import ARRAY, CODING, Backend, Cell
from ..coding import decode, encode
from ..errors import SpecError
from .case import Case
from .judge import Wanted, judge, wanted_of
from .outcome import LEVELS, Outcome, RunResult
from .runner import OnOutcome, all_cases, filtered, hangs, versions

BETWEEN, BEHIND = " > ", ": "
"""Between the names of the backends, and behind them, in the id of an outcome: "jax > c > torch: L2/linear[...]"."""


@dataclass(frozen=True)
class Chain(Backend):
    """Three backends as one.  `reads`: the layouts of the sparse results; where there are none, nobody is asked to read."""

    encoder: Backend
    computer: Backend
    reader: Backend | None
    reads: tuple[str, ...] = ()
    name: ClassVar[str] = "chain"

    @property
    def hands(self) -> tuple[str, ...]:
        """The names, in turn."""
        return tuple(backend.name for backend in (self.encoder, self.computer, self.reader) if backend is not None)

    def declines(self, cell: Cell) -> str | None:
        operands = cell.layouts[:1] if cell.operation.startswith("convert") else cell.layouts
        asked = [(self.encoder, Cell("encode", (layout,), cell.dtype)) for layout in operands if layout != ARRAY]
        asked.append((self.computer, cell))
        if self.reader is not None:
            asked += [(self.reader, Cell("decode", (layout,), cell.dtype)) for layout in self.reads]
        return next((why for backend, part in asked if (why := backend.declines(part)) is not None), None)

    def accumulator(self, dtype: str) -> str:
        return self.computer.accumulator(dtype)

    def flushes(self, dtype: str) -> bool:
        return self.computer.flushes(dtype)

    def densifies(self, cell: Cell) -> bool:
        return self.computer.densifies(cell)

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        return self._read(self.computer.call(operation, *map(self._placed, operands), **parameters))

    def _placed(self, operand: Any) -> Any:
        if not isinstance(operand, SparseArray):
            return operand
        return self.encoder.call("encode", decode(operand), operand.pattern, layout=operand.layout)

    def _read(self, result: Any) -> Any:
        """A sparse result -> what the reader finds in it, placed by the reference, so that it can be judged like any other."""
        if isinstance(result, tuple):
            return tuple(map(self._read, result))
        if self.reader is None or not isinstance(result, SparseArray):
            return result
        return encode(self.reader.call("decode", result), result.layout, result.pattern)


def run_differential(backends: Sequence[Backend], profile: str = "quick", levels: Iterable[str] = LEVELS,
                     operations: Iterable[str] | None = None, layouts: Iterable[str] | None = None,
                     on_outcome: OnOutcome | None = None, dtypes: Iterable[str] | None = None) -> RunResult:
    """Every backend's encodings given to every other one, and what that makes of them to every third.

    quick: one case of each operation and layouts in float32, decode and validate in every dtype; full: in every dtype.
    levels, operations, layouts, dtypes as for `run_conformance`.  Errors: KIT-1, DSP-6.
    """
    started, outcomes = time.perf_counter(), list[Outcome]()
    check_names([backend.name for backend in backends])
    cases = differential_cases(profile, filtered(all_cases(profile), levels, operations, layouts, dtypes))
    planned = [(case, chain) for case in cases for chain in _chains(case, backends)]
    wanted: dict[tuple[str, str, bool], Wanted] = {}           # the same for all who compute alike
    for done, (case, chain) in enumerate(planned, 1):
        outcome = judge(case, chain, _wanted(case, chain, wanted))
        outcomes.append(replace(outcome, case=f"{BETWEEN.join(chain.hands)}{BEHIND}{case.id}"))
        if on_outcome is not None:
            on_outcome(outcomes[-1], done, len(planned))
        if hangs(outcomes):
            break
    return RunResult("differential", "of " + ", ".join(backend.name for backend in backends), profile, len(planned),
                     tuple(outcomes), time.perf_counter() - started, versions())


def check_names(names: Sequence[str]) -> None:
    """Refuse backends that a report could not tell apart (DSP-6)."""
    for name in names:
        if names.count(name) > 1 or BETWEEN in name or BEHIND in name:                     # DSP-6
            raise SpecError("DSP-6", "backends that are compared have names of their own.", given=", ".join(map(repr, names)),
                            wanted=f"each name once, without {BETWEEN!r} and {BEHIND!r}", fix="rename one, or leave it out")


def differential_cases(profile: str, cases: Iterable[Case]) -> list[Case]:
    """The first plain case of each cell that has a sparse operand."""
    found: dict[Cell, Case] = {}
    for case in cases:
        whole = case.cell.dtype.startswith("int")              # operators have no other plain case in whole numbers
        plain = case.shape and case.name.rpartition("/")[2] in (("normal", "good", "exact") if whole else ("normal", "good"))
        wanted = profile == "full" or case.cell.dtype == "float32" or case.cell.operation in CODING
        if plain and wanted and case.cell.operation not in ("encode", "select"):
            found.setdefault(case.cell, case)
    return list(found.values())


def _chains(case: Case, backends: Sequence[Backend]) -> Iterator[Chain]:
    """Every chain of backends that are not all the same and that decline nothing; gaps are told of each backend."""
    result = wanted_of(case, case.call(), "float64").result
    sparse = [one for one in (result if isinstance(result, tuple) else (result,)) if isinstance(one, SparseArray)]
    reads = tuple(dict.fromkeys(one.layout.name for one in sparse))
    for encoder, computer, reader in product(backends, backends, backends if sparse else (None,)):
        chain = Chain(encoder, computer, reader, reads)
        if len(set(chain.hands)) > 1 and _takes(chain, case.cell):
            yield chain


def _takes(chain: Chain, cell: Cell) -> bool:
    """True also where what it declares cannot be read: that is an error, which is found when it is judged."""
    try:
        return chain.declines(cell) is None
    except Exception:  # a backend may raise anything
        return True


def _wanted(case: Case, chain: Chain, known: dict[tuple[str, str, bool], Wanted]) -> Wanted | None:
    """What the clauses want of the one who computes; None where it does not say how, which is found when it is judged."""
    try:
        key = case.id, chain.accumulator(case.cell.dtype), chain.flushes(case.cell.dtype)
    except Exception:  # a backend may raise anything
        return None
    if key not in known:
        known[key] = wanted_of(case, case.call(), *key[1:])
    return known[key]


def hands_of(outcome: Outcome) -> tuple[str, ...]:
    """The names of the backends that an outcome went through."""
    return tuple(outcome.case.partition(BEHIND)[0].split(BETWEEN))
