"""The study on a terminal: one row a variant, then the verdicts."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from .variant import Study, Variant
from .verdict import BAD, GOOD, MIXED, verdicts

COLOURS = {GOOD: "green", MIXED: "yellow", BAD: "red"}


def print_study(study: Study, console: Console) -> None:
    """The table, a sentence for each format, the task's other figures, and what was taken from an interrupted run."""
    console.print(table(study))
    for verdict in verdicts(study):
        console.print(verdict.sentence, style=COLOURS[verdict.kind], highlight=False, markup=False)
    for line in study.also:
        console.print(line, highlight=False, markup=False)
    if study.resumed:
        console.print(f"{study.resumed} measurements were taken from an interrupted run; --work another folder measures anew",
                      highlight=False)


def table(study: Study) -> Table:
    """Quality with its spread over seeds, latency and storage, each beside the share of dense's."""
    shown = Table(title=f"{study.task}: {study.metric}, mean and spread of {study.seeds} seed{'s' if study.seeds > 1 else ''}",
                  title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("variant")
    for heading in (study.metric, "of\ndense", "spar-\nsity", "p50\nms", "p95\nms", "of\ndense", "MB", "of\ndense", "train\ns"):
        shown.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for one in study.variants:
        shown.add_row(one.name, *cells(study, one))
    return shown


def cells(study: Study, one: Variant) -> list[str]:
    """A variant's figures as texts; "" for what was not measured."""
    time, megabytes = study.time(one), one.bits / 8e6
    spread = f" ± {one.spread:.3f}" if len(one.scores) > 1 else ""
    return [f"{one.score:.3f}{spread}", f"{study.kept(one):.1%}", f"{one.sparsity:.1%}" if one.sparsity else "",
            "" if one.p50 is None else f"{one.p50:.2f}", "" if one.p95 is None else f"{one.p95:.2f}",
            "" if time is None else f"{time:.2f}", f"{megabytes:.1f}" if megabytes >= 1 else f"{megabytes:.3f}",
            f"{study.size(one):.1%}", f"{one.seconds:.0f}" if one.seconds else ""]
