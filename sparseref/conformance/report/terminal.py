"""A run on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from rich.table import Table
from rich.text import Text

from ..outcome import LEVELS, Outcome, RunResult, Verdict
from .summary import SIGNS, Square, by_reason, conclusion, inventory, ratio_text, squares

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_CELLS = 5
"""In how many cells a failure is spelt out, the first of each; the JSON and HTML reports have more."""

STYLES = {Verdict.PASS: "green", Verdict.UNSUPPORTED: "dim", Verdict.KNOWN_FAILURE: "yellow"}
BAD_STYLE = "bold red"


class MutantReport(Protocol):
    """What became of one mutant: its name, what is wrong in it, the clause and the case that killed it."""

    @property
    def name(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def clause(self) -> str: ...
    @property
    def case(self) -> str: ...
    @property
    def killed(self) -> bool: ...


def print_result(result: RunResult, console: Console) -> None:
    """The table operation x level, the failures with a counterexample a cell, gaps by reason, inventory, conclusion."""
    console.print(_table(result))
    _print_failures(result, console)
    for verdict in (Verdict.UNSUPPORTED, Verdict.KNOWN_FAILURE):
        for reason, square in by_reason(result, verdict).items():
            operations = ", ".join(dict.fromkeys(outcome.cell.operation for outcome in square.outcomes))
            console.print(Text(f"{len(square.outcomes):,} {verdict.value}: {reason}  ({operations})", STYLES[verdict]))
    console.print(Text(inventory(result)))
    console.print(Text(f"{result.backend} {result.version}, {result.profile}: {conclusion(result)}",
                       "bold green" if result.conforms else BAD_STYLE))


def print_mutants(reports: Sequence[MutantReport], console: Console) -> None:
    """Each mutant with the clause and the case that killed it; survivors last, where they are seen."""
    table = Table("mutant", "what is wrong in it", "killed by", "case", title="Mutants")
    for report in sorted(reports, key=lambda report: not report.killed):
        verdict = Text(report.clause, "green") if report.killed else Text("SURVIVED", BAD_STYLE)
        table.add_row(Text(report.name), Text(report.what), verdict, Text(report.case))
    console.print(table)
    killed = sum(report.killed for report in reports)
    console.print(Text(f"{killed:,} of {len(reports):,} killed", "bold green" if killed == len(reports) else BAD_STYLE))


def _table(result: RunResult) -> Table:
    signs = "  ".join(f"{sign} {verdict.value}" for verdict, sign in SIGNS.items())
    title = f"{result.backend} {result.version}, {result.profile}: cases and worst error / bound"
    table = Table("operation", *LEVELS, title=title, caption=signs)
    found = squares(result.outcomes, lambda outcome: (outcome.cell.operation, outcome.level))
    for operation in dict.fromkeys(operation for operation, level in found if level):
        table.add_row(operation, *(_entry(found.get((operation, level))) for level in LEVELS))
    return table


def _entry(square: Square | None) -> Text:
    """e.g. "✗ 2  ✓ 118  0.41"."""
    text = Text()
    if square is not None:
        for verdict, count in square.counts.items():
            text.append(f"{SIGNS[verdict]} {count:,}  ", STYLES.get(verdict, BAD_STYLE))
        text.append(ratio_text(square.ratio), "" if square.ratio <= 1 else BAD_STYLE)
    return text


def _print_failures(result: RunResult, console: Console) -> None:
    bad = squares((outcome for outcome in result.outcomes if outcome.bad), lambda outcome: (outcome.level, outcome.cell))
    for square in list(bad.values())[:SHOWN_CELLS]:
        _print_failure(square.outcomes[0], console)
        if len(square.outcomes) > 1:
            console.print(Text(f"  and {len(square.outcomes) - 1:,} more in this cell"))
    if len(bad) > SHOWN_CELLS:
        hidden = sum(len(square.outcomes) for square in list(bad.values())[SHOWN_CELLS:])
        console.print(Text(f"and {hidden:,} more in {len(bad) - SHOWN_CELLS:,} other cells: see the JSON report", BAD_STYLE))


def _print_failure(outcome: Outcome, console: Console) -> None:
    console.rule(Text(f"{SIGNS[outcome.verdict]} {outcome.verdict.value}  {outcome.case}", BAD_STYLE), align="left")
    console.print(Text(f"{outcome.reason}\nclauses: {', '.join(outcome.clauses)}"))
    if outcome.counterexample:
        console.print(Text(outcome.counterexample), soft_wrap=True)             # unbroken lines: the call is to be pasted
