"""Several backends as data: what each one reached, its gaps, and one table of operation x layouts x dtype x level x backend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ... import spec
from ...atomic import write_text
from ..outcome import Outcome, RunResult, Verdict
from .results import number_of, outcome_data
from .summary import Square, by_reason, squares

FORMAT = "sparseref-matrix-1"


@dataclass(frozen=True)
class Matrix:
    """results: one of each backend; differential: that of all of them together, if it was asked for; missing: {name: reason}
    of backends that are installed and cannot be loaded here."""

    results: Sequence[RunResult]
    differential: RunResult | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def every(self) -> list[RunResult]:
        """All runs."""
        return [*self.results, *([self.differential] if self.differential else [])]

    @property
    def conforms(self) -> bool:
        """What ran conforms, and something did; a backend that declines everything, for want of a compiler, say, is a gap."""
        ran = [result for result in self.every if result.ran]
        return bool(ran) and all(result.conforms for result in ran)


def write_matrix(matrix: Matrix, path: str | Path) -> None:
    """Everything but the cases that passed, which are counted; bad outcomes are there as in the report of one run."""
    data = {"format": FORMAT, "date": datetime.now(UTC).date().isoformat(), "spec": spec.version(), "conforms": matrix.conforms,
            "profile": matrix.every[0].profile, "versions": matrix.every[0].versions, "missing": dict(matrix.missing),
            "runs": [_run(result) for result in matrix.every], "cells": list(map(_cell, _cells(matrix).items()))}
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def _run(result: RunResult) -> dict[str, Any]:
    gaps = [{"reason": reason, "cases": len(square.outcomes), "cells": sorted({str(gap.cell) for gap in square.outcomes})}
            for reason, square in by_reason(result, Verdict.UNSUPPORTED).items()]
    return {"backend": result.backend, "version": result.version, "conforms": result.conforms, "level": result.level_reached(),
            "expected": result.expected, "counts": result.counts, "worst_ratio": number_of(result.worst_ratio),
            "seconds": round(result.seconds, 1), "flushes": result.flushes, "gaps": gaps,
            "bad": [outcome_data(outcome) for outcome in result.outcomes if outcome.bad]}


Key = tuple[str, tuple[str, ...], str, str, str]


def _cells(matrix: Matrix) -> dict[Key, Square]:
    """(operation, layouts, dtype, level, backend) -> its outcomes, the backends of one cell side by side."""
    found: dict[Key, Square] = {}
    for result in matrix.results:
        def key(outcome: Outcome, backend: str = result.backend) -> Key:
            return outcome.cell.operation, outcome.cell.layouts, outcome.cell.dtype, outcome.level, backend
        found.update(squares(result.outcomes, key))
    place = {key[:-1]: number for number, key in reversed(list(enumerate(found)))}         # where a cell comes first
    return dict(sorted(found.items(), key=lambda item: place[item[0][:-1]]))


def _cell(item: tuple[Key, Square]) -> dict[str, Any]:
    (operation, layouts, dtype, level, backend), square = item
    return {"operation": operation, "layouts": layouts, "dtype": dtype, "level": level, "backend": backend,
            "counts": {verdict.value: count for verdict, count in square.counts.items()},
            "worst_ratio": number_of(square.ratio), "seconds": round(square.seconds, 3)}
