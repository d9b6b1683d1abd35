"""Runs as one HTML page that needs no other file: operator x layout x dtype x level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...atomic import write_text
from ...errors import MissingDependency
from ..outcome import Outcome, RunResult, Verdict
from .summary import SIGNS, Square, by_reason, conclusion, count, inventory, ratio_text, squares

SHOWN_FAILURES = 5
"""How many failures of one cell and level are spelt out; the JSON report has all."""


@dataclass(frozen=True)
class Row:
    """One line of the matrix: operands in these layouts; dtype -> label -> Square, a label being "L3" or "L3 ∂"."""

    layouts: str
    dtypes: dict[str, dict[str, Square]]

    @property
    def verdicts(self) -> str:
        """For the filter."""
        return " ".join({square.verdict.name for levels in self.dtypes.values() for square in levels.values()})


@dataclass(frozen=True)
class Section:
    """What the page shows of one run; failures: anchor -> the bad outcomes of one cell and level."""

    result: RunResult
    operations: dict[str, list[Row]]
    dtypes: list[str]
    failures: dict[str, Square]
    gaps: dict[str, Square]
    known: dict[str, Square]


def write_html(results: Sequence[RunResult], path: str | Path) -> None:
    """One page for one run or several; every text from a backend is escaped.  Errors: MissingDependency."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as missing:
        raise MissingDependency("jinja2", "the HTML report", "conformance") from missing
    environment = Environment(loader=PackageLoader("sparseref.conformance.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters["ratio"] = ratio_text
    environment.globals.update(signs=SIGNS, shown=SHOWN_FAILURES, anchor=anchor, conclusion=conclusion, count=count,
                               inventory=inventory)
    sections = [_section(result, number) for number, result in enumerate(results)]
    write_text(path, environment.get_template("matrix.html").render(sections=sections))


def _section(result: RunResult, number: int) -> Section:
    cases = [outcome for outcome in result.outcomes if outcome.level]           # entries of a known-failure list have none
    rows: dict[tuple[str, tuple[str, ...]], Row] = {}
    found = squares(cases, lambda outcome: (outcome.level, outcome.cell))
    for (level, cell), square in sorted(found.items(), key=lambda item: item[0][0]):       # a stable sort: by level alone
        operation, _, gradient = cell.operation.partition(".")
        row = rows.setdefault((operation, cell.layouts), Row(" × ".join(cell.layouts), {}))
        row.dtypes.setdefault(cell.dtype, {})[f"{level} ∂" if gradient else level] = square
    operations: dict[str, list[Row]] = {}
    for (operation, _), row in rows.items():
        operations.setdefault(operation, []).append(row)
    return Section(result, operations, list(dict.fromkeys(outcome.cell.dtype for outcome in cases)),
                   squares((outcome for outcome in result.outcomes if outcome.bad), lambda outcome: anchor(number, outcome)),
                   by_reason(result, Verdict.UNSUPPORTED), by_reason(result, Verdict.KNOWN_FAILURE))


def anchor(number: int, outcome: Outcome) -> str:
    """Where on the page the failures of an outcome's cell and level stand; `number` of the run."""
    return re.sub(r"[^\w.]+", "-", f"run{number}-{outcome.level}-{outcome.cell}")
