"""The card as JSON and as one HTML page that needs no other file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..atomic import write_text
from ..templates import environment
from .plots import all_plots
from .result import Card
from .rows import rows


def write_json(card: Card, path: Path) -> Path:
    """Everything that the card says, as data."""
    return write_text(path, json.dumps(asdict(card), indent=1, allow_nan=False) + "\n")


def write_html(card: Card, path: Path) -> Path:
    """The card as a page with plots.  Errors: MissingDependency without jinja2 or matplotlib."""
    templates = environment("sparseref.card", ".", "a card as a page")
    page = templates.get_template("page.html.j2").render(card=card, groups=rows(card), plots=all_plots(card))
    return write_text(path, page)
