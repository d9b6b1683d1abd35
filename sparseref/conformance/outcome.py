"""What one case says of a backend, and what a whole run says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from ..backend import Cell

LEVELS = ("L0", "L1", "L2", "L3")
"""L0 layouts; L1 exact integers; L2 floating point and special values; L3 selection, determinism, gradients."""


class Verdict(Enum):
    """One case, one verdict.  The last two are listed failures (see KnownFailures)."""

    PASS = "pass"
    FAIL = "fail"                          # an answer that a clause does not allow
    UNSUPPORTED = "unsupported"            # declared by the backend, with the reason
    ERROR = "error"                        # an exception other than the SpecError that a clause asks for
    CRASH = "crash"                        # the worker process died
    TIMEOUT = "timeout"
    KNOWN_FAILURE = "known failure"        # listed, and it fails
    STALE = "stale known failure"          # listed, but it passes: the list must be mended


BAD = (Verdict.FAIL, Verdict.ERROR, Verdict.CRASH, Verdict.TIMEOUT, Verdict.STALE)


@dataclass(frozen=True)
class Outcome:
    """The verdict of one case.

    case: its id, stable over runs, e.g. "L2/linear[array x nmg, float32]/poisoned-padding/1"; clauses: those it checks;
    ratio: worst error / bound (0 where every bit is decided); reason: of a verdict other than pass; counterexample: the
    picture and the call to paste, of a failure; seconds: spent in the backend.
    """

    case: str
    level: str
    cell: Cell
    clauses: tuple[str, ...]
    verdict: Verdict
    ratio: float = 0.0
    reason: str = ""
    counterexample: str = ""
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        return self.verdict in BAD


@dataclass(frozen=True)
class RunResult:
    """All outcomes of one backend in one profile.

    expected: how many cases the inventory foresees for this profile; a run with fewer is no pass (the tripwire).
    """

    backend: str
    version: str
    profile: str
    expected: int
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)      # of Python, NumPy, ... for the report
    flushes: tuple[str, ...] = ()  # the value dtypes in which the backend says that it flushes subnormal numbers (BOUND-5)

    @property
    def counts(self) -> dict[str, int]:
        """verdict -> how many cases."""
        return dict(Counter(outcome.verdict.value for outcome in self.outcomes))

    @property
    def ran(self) -> bool:
        """Not everything was declined."""
        return any(outcome.verdict is not Verdict.UNSUPPORTED for outcome in self.outcomes)

    @property
    def conforms(self) -> bool:
        """Something ran, nothing went wrong, and there is not one case fewer than the inventory foresees."""
        return self.ran and len(self.outcomes) >= self.expected and not any(outcome.bad for outcome in self.outcomes)

    @property
    def worst_ratio(self) -> float:
        return max((outcome.ratio for outcome in self.outcomes), default=0.0)

    def level_reached(self) -> str:
        """The highest level with a pass such that no level up to it has a bad outcome; "none" where there is no such level.

        Levels that the run did not ask for do not count, nor does one at which the backend declared everything unsupported.
        """
        reached = "none"
        for level in LEVELS:
            here = [outcome for outcome in self.outcomes if outcome.level == level]
            if any(outcome.bad for outcome in here):
                break
            if any(outcome.verdict is Verdict.PASS for outcome in here):
                reached = level
        return reached
