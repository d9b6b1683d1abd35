"""The card on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .machine_rows import machine_tables, sentences
from .result import Card
from .rows import rows

if TYPE_CHECKING:
    from rich.console import Console


def print_card(card: Card, console: Console) -> None:
    """The card as a table with a column for each weight, the break-even in words, then conformance and speed."""
    from rich.table import Table
    from rich.text import Text

    console.rule(f"[bold]{card.layout}[/]")
    console.print(Text(card.about.split("\n\n")[0]))
    console.print()
    table = Table(title="measured", title_justify="left", pad_edge=False)
    table.add_column("", style="dim")
    for measurement in card.measurements:
        table.add_column(f"{measurement.source}\n{' x '.join(map(str, measurement.shape))}", justify="right")
    for group in rows(card):
        for label, *cells in group:
            table.add_row(label, *cells)
        table.add_section()
    console.print(table)
    for measurement in card.measurements:
        console.print(Text(f"{measurement.source}, {' x '.join(map(str, measurement.shape))}:", style="bold"))
        for even in measurement.break_even:
            console.print(Text(f"  against {even.against}: {even.says}"))
    for title, lines in machine_tables(card).items():
        table = Table(*lines[0], title=title, title_justify="left", pad_edge=False)
        for line in lines[1:]:
            table.add_row(*map(Text, line))
        console.print(table)
    for sentence in sentences(card.speed) if card.speed else ():
        console.print(Text(sentence), soft_wrap=True)
