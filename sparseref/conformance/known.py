"""Known failures: a list that excuses what it names, and that cannot go stale."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..backend import Cell
from ..errors import SpecError
from .outcome import BAD, Outcome, Verdict


@dataclass(frozen=True)
class Known:
    """One entry: case, a glob of case ids in which * and ? are wild and brackets mean themselves; reason, why it fails."""

    case: str
    reason: str

    def names(self, case: str) -> bool:
        return fnmatchcase(case, self.case.replace("[", "[[]"))    # ids hold brackets: "L1/linear[array x csr, ..."


def read_known(path: str | Path) -> tuple[Known, ...]:
    """A TOML file of [[known]] tables, each with `case` and `reason` -> its entries.  Errors: KNOWN-1."""
    try:
        entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise _malformed(f"{path} cannot be read: {problem}", path) from problem
    known = entries.pop("known", [])
    if entries or not isinstance(known, list):
        raise _malformed(f"{path} holds something else", ", ".join(entries) or "known = ...")
    for entry in known:
        if (not isinstance(entry, dict) or set(entry) != {"case", "reason"}
                or not all(isinstance(text, str) and text.strip() for text in entry.values())):
            raise _malformed(f"{path} has an entry without a case and a reason", entry)
    return tuple(Known(**entry) for entry in known)


def apply(outcomes: Iterable[Outcome], known: Iterable[Known], left_out: Iterable[str] = ()) -> tuple[Outcome, ...]:
    """Outcomes of a run -> the same, where a listed failure is a KNOWN_FAILURE and a listed pass is STALE.

    An entry that names no case that ran (unsupported ones do not run) is one more outcome, STALE: the list must be mended.
    left_out: ids of cases that this run did not ask for, e.g. of other levels; an entry that names one of them is not judged.
    """
    outcomes, known = tuple(outcomes), tuple(known)
    judged = tuple(_judged(outcome, known) for outcome in outcomes)
    named = [outcome.case for outcome in outcomes if outcome.verdict is not Verdict.UNSUPPORTED]
    named += left_out
    return judged + tuple(_unused(entry) for entry in known if not any(map(entry.names, named)))


def _judged(outcome: Outcome, known: tuple[Known, ...]) -> Outcome:
    entry = next((entry for entry in known if entry.names(outcome.case)), None)
    if entry is None or outcome.verdict is Verdict.UNSUPPORTED:
        return outcome
    if outcome.verdict in BAD:
        reason = f"{entry.reason} ({outcome.verdict.value}: {outcome.reason})"
        return replace(outcome, verdict=Verdict.KNOWN_FAILURE, reason=reason)
    reason = f"listed as {entry.case!r} ({entry.reason}), but it passes: take it off the list"
    return replace(outcome, verdict=Verdict.STALE, reason=reason)


def _unused(entry: Known) -> Outcome:
    return Outcome(case=entry.case, level="", cell=Cell("known-failures", (), ""), clauses=("KNOWN-1",), verdict=Verdict.STALE,
                   reason=f"listed ({entry.reason}), but no case that ran has this id: mend it or take it off the list")


def _malformed(what: str, given: object) -> SpecError:
    return SpecError("KNOWN-1", f"{what}.", wanted="[[known]] tables with case and reason, and nothing else", given=given,
                     fix='e.g. [[known]] case = "L2/linear[array x csr, float32]/*" reason = "issue 12"')
