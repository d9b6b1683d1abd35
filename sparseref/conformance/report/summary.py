"""Many outcomes, one square: counts, the worst verdict, the worst ratio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from ..outcome import BAD, Outcome, RunResult, Verdict

Key = TypeVar("Key", bound=Hashable)

WORST_FIRST = (Verdict.CRASH, Verdict.TIMEOUT, Verdict.ERROR, Verdict.FAIL, Verdict.STALE, Verdict.KNOWN_FAILURE, Verdict.PASS,
               Verdict.UNSUPPORTED)
SIGNS = {Verdict.CRASH: "☠", Verdict.TIMEOUT: "…", Verdict.ERROR: "!", Verdict.FAIL: "✗", Verdict.STALE: "?",
         Verdict.KNOWN_FAILURE: "~", Verdict.PASS: "✓", Verdict.UNSUPPORTED: "–"}
"""One sign a verdict, so that no report depends on colour."""


@dataclass(frozen=True)
class Square:
    """The outcomes that share one place of a table; at least one."""

    outcomes: tuple[Outcome, ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        """verdict -> how many cases, worst first, only those that occur."""
        counted = Counter(outcome.verdict for outcome in self.outcomes)
        return {verdict: counted[verdict] for verdict in WORST_FIRST if verdict in counted}

    @property
    def verdict(self) -> Verdict:
        """The worst there is."""
        return next(iter(self.counts))

    @property
    def bad(self) -> bool:
        return self.verdict in BAD

    @property
    def ratio(self) -> float:
        return max(outcome.ratio for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """Spent in the backend."""
        return sum(outcome.seconds for outcome in self.outcomes)

    @property
    def tip(self) -> str:
        return ", ".join(f"{count:,} {verdict.value}" for verdict, count in self.counts.items())


def squares(outcomes: Iterable[Outcome], key: Callable[[Outcome], Key]) -> dict[Key, Square]:
    """Outcomes -> {key: Square}, in the order in which the keys first occur."""
    groups: dict[Key, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome), []).append(outcome)
    return {name: Square(tuple(group)) for name, group in groups.items()}


def by_reason(result: RunResult, verdict: Verdict) -> dict[str, Square]:
    """reason -> the outcomes that have this verdict for it, the most frequent reason first."""
    found = squares((outcome for outcome in result.outcomes if outcome.verdict is verdict), lambda outcome: outcome.reason)
    return dict(sorted(found.items(), key=lambda item: -len(item[1].outcomes)))


def inventory(result: RunResult) -> str:
    """"N expected, N run, N unsupported", and what is missing."""
    cases = [outcome for outcome in result.outcomes if outcome.level]           # entries of a known-failure list have none
    unsupported = sum(outcome.verdict is Verdict.UNSUPPORTED for outcome in cases)
    line = f"{result.expected:,} expected, {len(cases) - unsupported:,} run, {unsupported:,} unsupported"
    missing = result.expected - len(cases)
    return line if missing <= 0 else f"{line}: {missing:,} missing, so this is no pass"


def conclusion(result: RunResult) -> str:
    """One sentence: conforms or not, the level reached, and for how much of the suite."""
    bad = sum(outcome.bad for outcome in result.outcomes)
    why = f": {count(bad, 'bad outcome')}" if bad else "" if result.ran else ": nothing ran"
    gaps = result.counts.get(Verdict.UNSUPPORTED.value, 0)
    part = f", without {count(gaps, 'unsupported case')}" if gaps else ""
    part += f"; flushes subnormal numbers in {', '.join(result.flushes)} (BOUND-5)" if result.flushes else ""
    return f"{'conforms' if result.conforms else 'does not conform'}{why}; level reached: {result.level_reached()}{part}"


def count(number: int, thing: str) -> str:
    """1, "case" -> "1 case"; 2000, "case" -> "2,000 cases"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def ratio_text(ratio: float) -> str:
    """0 -> "", 0.4137 -> "0.41", 12345 -> "1.2e+04", inf -> "inf"."""
    return "" if ratio == 0 else f"{ratio:.2g}"
