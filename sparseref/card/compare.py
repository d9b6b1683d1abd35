"""Formats side by side: what each costs and keeps of the same weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import write_text
from ..drawing import COLOURS, draw
from ..templates import environment
from .files import data_of_card
from .machine_rows import fastest
from .result import Card, Measurement
from .rows import percent

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = ("format", "chosen by", "density", "padding slots", "bits per entry", "of dense", "of csr", "energy kept",
           "of unstructured", "fastest of ours", "levels")
"""of csr: bits over those of csr with as many entries; of unstructured: energy over the most that as many entries can keep;
fastest of ours: how many times as fast as the fastest dense product at 128 tokens, where it was measured; levels: which
each backend reaches."""


def tables(cards: Sequence[Card]) -> dict[str, list[tuple[str, ...]]]:
    """weight -> a line of COLUMNS for each card; all cards are of the same weights."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for card in cards:
        for measurement in card.measurements:
            found.setdefault(_title(measurement), []).append(_line(card, measurement))
    return found


def _line(card: Card, m: Measurement) -> tuple[str, ...]:
    against = {even.against: f"{even.ratio:.3f}" for even in m.break_even}
    most = next((rival.energy for rival in m.rivals if rival.name == "unstructured"), None)
    return (card.layout, m.sparsifier, percent(m.density), percent(m.padding_share), f"{m.bits_per_entry:.3f}",
            against["dense"], against.get("csr", ""), percent(m.energy, 2), f"{m.energy / most:.3f}" if most else "",
            fastest(card).get(m.shape, ""), ", ".join(f"{line.backend} {line.level}" for line in card.conformance))


def print_comparison(cards: Sequence[Card], console: Console) -> None:
    """A table a weight."""
    from rich.table import Table

    for title, lines in tables(cards).items():
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(COLUMNS):
            table.add_column(column, justify="left" if number < 2 else "right")
        for line in lines:
            table.add_row(*line)
        console.print(table)


def write_comparison_json(cards: Sequence[Card], path: Path) -> Path:
    """Every card, whole."""
    return write_text(path, json.dumps(list(map(data_of_card, cards)), indent=1, allow_nan=False) + "\n")


def write_comparison_html(cards: Sequence[Card], path: Path) -> Path:
    """A page: energy over storage for each weight, and the tables.  Errors: MissingDependency without jinja2 or matplotlib."""
    templates = environment("sparseref.card", ".", "cards side by side as a page")
    plot = draw(10, 4.5, _energy_over_bits, cards)
    page = templates.get_template("compare.html.j2").render(names=list(map(_name, cards)), columns=COLUMNS,
                                                            tables=tables(cards), plot=plot)
    return write_text(path, page)


def _energy_over_bits(axes: Any, cards: Sequence[Card]) -> None:
    """A colour a format, a sign a weight: up and to the left is better."""
    signs = "osD^vP*X"
    for number, card in enumerate(cards):
        for at, m in enumerate(card.measurements):
            axes.plot(m.bits_per_entry, m.energy, signs[at % len(signs)], color=COLOURS[number % len(COLOURS)], markersize=8,
                      label=_name(card) if at == 0 else None)
    axes.set(xlabel="bits per entry, zeros counted", ylabel="energy kept",
             title="; ".join(f"{signs[at % len(signs)]} {_title(m)}" for at, m in enumerate(cards[0].measurements)))
    axes.title.set_fontsize(8)
    axes.grid(alpha=0.3)
    axes.legend()


def _name(card: Card) -> str:
    """Two formats of one layout differ in what chooses."""
    chooser = card.measurements[0].sparsifier if card.measurements else card.layout
    return card.layout if chooser == card.layout else f"{card.layout} by {chooser}"


def _title(measurement: Measurement) -> str:
    return f"{measurement.source}, {' x '.join(map(str, measurement.shape))} {measurement.dtype}"
