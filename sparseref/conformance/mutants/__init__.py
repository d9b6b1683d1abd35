"""The mutants: realistic bugs, each of which the kit must kill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from ...backend import Backend
from ...reference import Reference
from ..case import Case
from ..judge import Wanted, judge, wanted_of
from ..runner import all_cases, filtered
from . import computing, converting, decoding, differentiating, encoding, selecting, sizes  # noqa: F401 - they fill the catalogue
from .conduct import missing_checks
from .mutant import CATALOGUE, Mutant, Sick


@dataclass(frozen=True)
class MutantReport:
    """What became of a mutant: the clause that killed it, its own where a case of that clause did, and the case."""

    name: str
    what: str
    clause: str
    case: str
    killed: bool


def all_mutants(cases: list[Case]) -> list[Mutant]:
    """The catalogue, and for every clause that some case expects to refuse, a backend without that check."""
    refusals: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.refusal:
            refusals[case.refusal].add(case.cell.operation.partition(".")[0])
    return [*CATALOGUE, *missing_checks({clause: tuple(sorted(names)) for clause, names in refusals.items()})]


def run_mutants(backend: Backend | None = None,
                on_mutant: Callable[[MutantReport, int, int], None] | None = None) -> list[MutantReport]:
    """Every mutant of a good backend, the reference by default, against the quick profile, up to its first bad outcome."""
    good, cases = backend or Reference(), all_cases("quick")
    mutants, reports = all_mutants(cases), []
    known: dict[str, Wanted] = {}                              # what is wanted of a case is the same for every mutant
    for done, mutant in enumerate(mutants, 1):
        report = hunt(mutant, good, filtered(cases, operations=mutant.operations), known)
        reports.append(report)
        if on_mutant is not None:
            on_mutant(report, done, len(mutants))
    return reports


def hunt(mutant: Mutant, good: Backend, cases: list[Case], known: dict[str, Wanted]) -> MutantReport:
    """Run a mutant through cases until one is bad; the cases of the clause that it breaks come first."""
    sick = Sick(good, mutant)
    for case in sorted(cases, key=lambda case: mutant.clause not in (*case.clauses, case.refusal)):
        if case.id not in known:
            known[case.id] = wanted_of(case, case.call(), good.accumulator(case.cell.dtype))
        outcome = judge(case, sick, known[case.id])
        if outcome.bad:
            clause = mutant.clause if mutant.clause in outcome.clauses else outcome.clauses[0]
            return MutantReport(mutant.name, mutant.what, clause, outcome.case, True)
    return MutantReport(mutant.name, mutant.what, "", "", False)
