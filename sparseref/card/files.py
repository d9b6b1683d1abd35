"""The card as JSON and as one HTML page that needs no other file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..atomic import write_text
from ..bench.report import data_of
from ..bench.run import Measured
from ..conformance.report.results import number_of
from ..templates import environment
from .machine_rows import machine_tables, sentences
from .plots import all_plots
from .result import Card
from .rows import rows
from .speed import against_dense


def write_json(card: Card, path: Path) -> Path:
    """Everything that the card says, as data."""
    return write_text(path, json.dumps(data_of_card(card), indent=1, allow_nan=False) + "\n")


def data_of_card(card: Card) -> dict[str, Any]:
    """A card as data: an infinite worst ratio as text, as in every report of the kit; a ratio that there is not as None."""
    data = asdict(card)
    for line in data["conformance"]:
        line["worst_ratio"] = number_of(line["worst_ratio"])
    if card.speed is not None:
        data["speed"] |= {part: list(map(_data_of_measured, getattr(card.speed, part))) for part in ("measured", "family")}
    return data


def _data_of_measured(measured: Measured) -> dict[str, Any]:
    """The ratios are to the fastest dense product, as in the tables."""
    data = data_of(measured)
    for one in data["timed"]:
        ratio = against_dense(measured, one["name"])
        one["ratio"] = None if math.isnan(ratio) else ratio
    return data


def write_html(card: Card, path: Path) -> Path:
    """The card as a page with plots.  Errors: MissingDependency without jinja2 or matplotlib."""
    templates = environment("sparseref.card", ".", "a card as a page")
    page = templates.get_template("page.html.j2").render(
        card=card, groups=rows(card), plots=all_plots(card), machine=machine_tables(card), sentences=sentences)
    return write_text(path, page)
