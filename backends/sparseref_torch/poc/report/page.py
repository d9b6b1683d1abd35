"""The study as one HTML page that needs no other file, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sparseref.templates import environment

from .plots import all_plots
from .terminal import cells
from .variant import Study
from .verdict import verdicts


def to_html(study: Study) -> str:
    """The page."""
    templates = environment(__package__ or "", ".", "the page of a proof of concept", "models")
    plots = {"curve": "", "trade": "", "latency": "", **all_plots(study)}
    headings = [study.metric, "of dense", "sparsity", "p50 ms", "p95 ms", "of dense", "MB", "of dense", "training s"]
    return templates.get_template("page.html.j2").render(study=study, plots=plots, verdicts=verdicts(study), cells=cells,
                                                           headings=headings)


def to_json(study: Study) -> dict[str, Any]:
    """All figures, with the shares of dense that the page shows; times in milliseconds and seconds, sizes in bits."""
    return {**asdict(study), "verdicts": [asdict(verdict) for verdict in verdicts(study)],
            "variants": [{**asdict(one), "score": one.score, "spread": one.spread, "kept": study.kept(one),
                          "size": study.size(one), "time": study.time(one)} for one in study.variants]}
