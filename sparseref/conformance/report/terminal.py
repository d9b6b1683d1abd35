"""A run on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from rich.table import Table
from rich.text import Text

from ..differential import hands_of
from ..outcome import LEVELS, Outcome, RunResult, Verdict
from .matrix import Matrix
from .summary import SIGNS, Square, by_reason, conclusion, inventory, ratio_text, squares

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_CELLS = 5
"""In how many cells a failure is spelt out, the first of each; the JSON and HTML reports have more."""

LEGEND = "  ".join(f"{sign} {verdict.value}" for verdict, sign in SIGNS.items())
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
    """The table operation x level, and what `print_details` says."""
    console.print(_table(result))
    print_details(result, console)


def print_matrix(matrix: Matrix, console: Console) -> None:
    """The table operation x backend, for the differential run who encoded x who computed, and the details of each run."""
    if matrix.results:
        found = [squares(result.outcomes, lambda outcome: outcome.cell.operation) for result in matrix.results]
        table = Table("operation", *(result.backend for result in matrix.results), caption=LEGEND,
                      title="Cases, worst error / bound, seconds in the backend")
        for operation in dict.fromkeys(operation for squared in found for operation in squared):
            table.add_row(operation, *(_entry(squared.get(operation), timed=True) for squared in found))
        table.add_section()
        table.add_row("level reached", *(result.level_reached() for result in matrix.results))
        console.print(table)
    if matrix.differential is not None:
        console.print(_hands_table(matrix.differential))
    for result in matrix.every:
        print_details(result, console)
    for name, reason in matrix.missing.items():
        console.print(Text(f"{name}: not here: {reason}", "yellow"))


def _hands_table(result: RunResult) -> Table:
    """Who encoded x who computed; all readers of one pair together."""
    found = squares(result.outcomes, lambda outcome: hands_of(outcome)[:2])
    names = list(dict.fromkeys(name for pair in found for name in pair))
    title = "Each other's arrays: cases and worst error / bound"
    table = Table("encoded by, computed by:", *names, caption=LEGEND, title=title)
    for encoder in names:
        table.add_row(encoder, *(_entry(found.get((encoder, computer))) for computer in names))
    return table


def print_details(result: RunResult, console: Console) -> None:
    """The failures with a counterexample a cell, gaps by reason, inventory, conclusion."""
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
    title = f"{result.backend} {result.version}, {result.profile}: cases and worst error / bound"
    table = Table("operation", *LEVELS, title=title, caption=LEGEND)
    found = squares(result.outcomes, lambda outcome: (outcome.cell.operation, outcome.level))
    for operation in dict.fromkeys(operation for operation, level in found if level):
        table.add_row(operation, *(_entry(found.get((operation, level))) for level in LEVELS))
    return table


def _entry(square: Square | None, timed: bool = False) -> Text:
    """e.g. "✗ 2  ✓ 118  0.41", and "  3.2 s" behind it."""
    text = Text()
    if square is not None:
        for verdict, count in square.counts.items():
            text.append(f"{SIGNS[verdict]} {count:,}  ", STYLES.get(verdict, BAD_STYLE))
        text.append(ratio_text(square.ratio), "" if square.ratio <= 1 else BAD_STYLE)
        text.append(f"  {square.seconds:.1f} s" if timed else "")
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
