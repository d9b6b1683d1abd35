"""A run as JSON, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...atomic import write_text
from ...backend import Cell
from ...errors import SpecError
from ..outcome import Outcome, RunResult, Verdict

FORMAT = "sparseref-conformance-1"


def write_json(result: RunResult, path: str | Path) -> None:
    """Every outcome, and a summary for readers that do not know the rules; a ratio that is no number is a string."""
    summary = {"conforms": result.conforms, "level": result.level_reached(), "counts": result.counts,
               "worst_ratio": number_of(result.worst_ratio)}
    data = {"format": FORMAT, "backend": result.backend, "version": result.version, "profile": result.profile,
            "expected": result.expected, "seconds": result.seconds, "versions": result.versions,
            "flushes": result.flushes, "summary": summary,
            "outcomes": [outcome_data(outcome) for outcome in result.outcomes]}
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> RunResult:
    """What `write_json` wrote -> the RunResult; its summary is not read, but follows again.  Errors: REPORT-1."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            raise ValueError("its format is another one")
        del data["summary"]
        return RunResult(**{**data, "flushes": tuple(data.get("flushes", ())),
                            "outcomes": tuple(_read(outcome) for outcome in data["outcomes"])})
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as problem:
        raise SpecError("REPORT-1", f"{path} is no report of a run: {problem}.", wanted=f"JSON of format {FORMAT}", given=path,
                        fix="write one with sparseref conform --json FILE") from problem


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON has it."""
    return {**asdict(outcome), "verdict": outcome.verdict.value, "ratio": number_of(outcome.ratio)}


def _read(data: dict[str, Any]) -> Outcome:
    cell = Cell(data["cell"]["operation"], tuple(data["cell"]["layouts"]), data["cell"]["dtype"])
    return Outcome(**{**data, "cell": cell, "clauses": tuple(data["clauses"]), "verdict": Verdict(data["verdict"]),
                      "ratio": float(data["ratio"])})


def number_of(ratio: float) -> float | str:
    """JSON knows no inf."""
    return ratio if ratio < float("inf") else str(ratio)
