"""Which level each installed backend reaches with a layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..conformance.outcome import RunResult, Verdict
from ..layouts.base import Layout
from .result import Conformance

OPERATIONS = ("encode", "decode", "linear")
"""What is asked of a backend: to place values, to read them, and the product that is timed."""

OnCase = Callable[[str, int, int], None]


def conformance_of(layouts: Sequence[Layout], dtype: str, on_case: OnCase = lambda what, done, total: None,
                   ) -> dict[str, tuple[Conformance, ...]]:
    """layouts, the dtype of the values -> {name of a layout's class: what each backend reached, by name}.

    The cases are those of the quick profile with an operand in that layout, whatever its parameters, and of that dtype; a
    backend that cannot be made here has a reason.  Errors: MissingDependency without the conformance extra.
    """
    from ..conformance.runner import run_conformance
    from ..conformance.subjects import installed

    found, missing = installed()
    names = list(dict.fromkeys(layout.name for layout in layouts))
    reached = {}
    for layout in names:
        lines = [Conformance(name, "none", 0, 0, 0, 0.0, reason) for name, reason in missing.items()]
        for name, backend in found.items():
            def told(outcome: object, done: int, total: int, what: str = f"{name}, {layout}: conformance") -> None:
                on_case(what, done, total)
            lines.append(_line(name, run_conformance(backend, "quick", operations=OPERATIONS, layouts=[layout],
                                                     on_outcome=told, dtypes=[dtype])))
        reached[layout] = tuple(lines)
    return reached


def _line(name: str, result: RunResult) -> Conformance:
    counts, bad = result.counts, [outcome for outcome in result.outcomes if outcome.bad]
    declined = [outcome.reason for outcome in result.outcomes if outcome.verdict is Verdict.UNSUPPORTED]
    reason = f"{bad[0].case}: {bad[0].reason}" if bad else declined[0] if declined else ""
    return Conformance(name, result.level_reached(), counts.get(Verdict.PASS.value, 0), len(declined), len(bad),
                       result.worst_ratio, reason.partition("\n")[0])
