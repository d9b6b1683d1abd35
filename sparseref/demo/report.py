"""The result as JSON and as one HTML page that needs no other file."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..atomic import write_text
from ..templates import environment
from .measures import Measures
from .plots import all_plots
from .result import DemoResult
from .retrieval import Estimate


def write(result: DemoResult, folder: Path, json_file: Path | None = None) -> Path:
    """Write FORMAT.html and FORMAT.json to the folder, the JSON also to `json_file`; -> the page's path."""
    stem = re.sub(r"[^\w.=]+", "-", result.settings.format)    # nmg:2:8:8 -> nmg-2-8-8, a name for every file system
    page, data = to_html(result), json.dumps(to_json(result), indent=1, allow_nan=False) + "\n"
    if json_file is not None:
        write_text(json_file, data)
    write_text(folder / f"{stem}.json", data)
    return write_text(folder / f"{stem}.html", page)


def to_json(result: DemoResult) -> dict[str, Any]:
    """Everything that the page shows, as data; sizes in bits, times in seconds, a ratio without a number as a text."""
    dense, sparse = result.model_bits
    return {
        "settings": asdict(result.settings), "versions": result.versions, "seconds": result.seconds,
        "verified": result.verified, "routes": result.routes,
        "layers": [{"name": layer.name, "shape": list(layer.shape), "route": layer.route, "problems": list(layer.problems),
                    **_measures(layer.measures)} for layer in result.layers],
        "total": _measures(result.total),
        "model": {"entries": result.model_entries, "dense_bits": dense, "sparse_bits": sparse, "size": sparse / dense},
        "quality": {"queries": result.quality.queries, "recall@1": _estimates(result.quality.recall()),
                    "recall@10": _estimates(result.quality.recall(10)), "mrr": _estimates(result.quality.mrr())},
    }


def _measures(of: Measures) -> dict[str, Any]:
    derived = {"density": of.density, "energy": of.energy, "best_energy": of.best_energy, "bits": of.storage.bits,
               "bits_per_entry": of.bits_per_entry, "size": of.size}
    ratio = of.error_ratio if math.isfinite(of.error_ratio) else str(of.error_ratio)       # JSON has no inf
    return {**asdict(of), **derived, "error_ratio": ratio}


def _estimates(estimates: tuple[Estimate, Estimate, Estimate]) -> dict[str, Any]:
    return dict(zip(("dense", "sparse", "difference"), map(asdict, estimates), strict=True))


def to_html(result: DemoResult) -> str:
    """The page."""
    templates = environment("sparseref.demo", ".", "the demo's page", "models")
    return templates.get_template("page.html.j2").render(result=result, plots=all_plots(result))
