"""Runs as one HTML page that needs no other file: operator x layout x dtype x level."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...atomic import write_text
from ...templates import environment
from ..outcome import Outcome, RunResult, Verdict
from .summary import SIGNS, Square, by_reason, conclusion, count, inventory, ratio_text, squares

SHOWN_FAILURES = 5
"""How many failures of one cell and level are spelt out; the JSON report has all."""


@dataclass(frozen=True)
class Line:
    """One line of the matrix: what one backend, by its number, makes of operands in these layouts.

    dtypes: dtype -> label -> Square, a label being "L3" or, of the gradient, "L3 ∂".
    """

    layouts: str
    run: int
    backend: str
    dtypes: dict[str, dict[str, Square]]

    @property
    def verdicts(self) -> str:
        """For the filter."""
        return " ".join({square.verdict.name for levels in self.dtypes.values() for square in levels.values()})

    @property
    def seconds(self) -> float:
        """Spent in the backend."""
        return sum(square.seconds for levels in self.dtypes.values() for square in levels.values())


@dataclass(frozen=True)
class Section:
    """What the page says of one run below the matrix; failures: anchor -> the bad outcomes of one cell and level."""

    result: RunResult
    failures: dict[str, Square]
    gaps: dict[str, Square]
    known: dict[str, Square]


def write_html(results: Sequence[RunResult], path: str | Path, missing: Mapping[str, str] | None = None) -> None:
    """One page for one run or several; every text from a backend is escaped.  missing: {name: why} of those that did not run.

    Errors: MissingDependency without jinja2.
    """
    templates = environment("sparseref.conformance.report", "templates", "the HTML report")
    templates.filters["ratio"] = ratio_text
    templates.globals.update(signs=SIGNS, shown=SHOWN_FAILURES, anchor=anchor, conclusion=conclusion, count=count,
                             inventory=inventory)
    sections = [_section(result, number) for number, result in enumerate(results)]
    dtypes = list(dict.fromkeys(outcome.cell.dtype for result in results for outcome in _cases(result)))
    page = templates.get_template("matrix.html").render(sections=sections, operations=_operations(results), dtypes=dtypes,
                                                         missing=missing or {})
    write_text(path, page)


def _operations(results: Sequence[RunResult]) -> dict[str, list[Line]]:
    """operation -> its lines, those of the same layouts side by side."""
    operations: dict[str, dict[tuple[str, ...], dict[int, Line]]] = {}
    for number, result in enumerate(results):
        found = squares(_cases(result), lambda outcome: (outcome.level, outcome.cell))
        for (level, cell), square in sorted(found.items(), key=lambda item: item[0][0]):   # a stable sort: by level alone
            operation, _, gradient = cell.operation.partition(".")
            lines = operations.setdefault(operation, {}).setdefault(cell.layouts, {})
            line = lines.setdefault(number, Line(" × ".join(cell.layouts), number, result.backend, {}))
            line.dtypes.setdefault(cell.dtype, {})[f"{level} ∂" if gradient else level] = square
    return {operation: [line for lines in by_layouts.values() for line in lines.values()]
            for operation, by_layouts in operations.items()}


def _cases(result: RunResult) -> list[Outcome]:
    """Entries of a known-failure list, which have no level, are no cases."""
    return [outcome for outcome in result.outcomes if outcome.level]


def _section(result: RunResult, number: int) -> Section:
    return Section(result, squares((outcome for outcome in result.outcomes if outcome.bad), lambda o: anchor(number, o)),
                   by_reason(result, Verdict.UNSUPPORTED), by_reason(result, Verdict.KNOWN_FAILURE))


def anchor(number: int, outcome: Outcome) -> str:
    """Where on the page the failures of an outcome's cell and level stand; `number` of the run."""
    return re.sub(r"[^\w.]+", "-", f"run{number}-{outcome.level}-{outcome.cell}")
