"""`sparseref card`: what a format costs and what it keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..card import (
    RANDOM_SHAPES,
    Card,
    Weight,
    conformance_of,
    format_at,
    make_card,
    print_card,
    print_comparison,
    random_weight,
    sparsifier_for,
    speed_of,
    trained_weights,
    write_comparison_html,
    write_comparison_json,
    write_html,
    write_json,
)
from .common import checked_threads, clean_exit, file_option, parse_dtype, parse_shape, progress_bar, say_where


def card(
    formats: Annotated[list[str], typer.Argument(metavar="FORMAT...", help=(
        "A layout with its parameters (nmg:2:8:8), one with the share to drop (csr:0.9, bsr:4:4:0.75), or the address of a "
        "class with its parameters (my_module:MyLayout:4,axis=1). Several with --compare."))],
    compare: Annotated[bool, typer.Option("--compare", help="Set formats side by side on the same weights.")] = False,
    shape: Annotated[list[str] | None, typer.Option(metavar="RxC", help=(
        "Measure on random weights of this shape; may be given several times. "
        "Default: 768x3072, 3072x768, and two trained weights where the models extra is installed."))] = None,
    dtype: Annotated[str, typer.Option(help="Of the values.")] = "float32",
    density: Annotated[float, typer.Option(min=0, max=1, help="The share kept, of a layout that leaves it free.")] = 0.25,
    backends: Annotated[bool, typer.Option("--backends/--no-backends", help=(
        "Whether to judge and to time the installed backends, too, which takes minutes."))] = True,
    threads: Annotated[int, typer.Option(min=1, help="Of everything that is timed.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the random weights.")] = 0,
    json_file: Annotated[Path | None, file_option("Write the card as data, too.", "--json")] = None,
    html_file: Annotated[Path | None, file_option("Write a page with plots, too.", "--html")] = None,
) -> None:
    """Measure what a layout costs, what it keeps, and whether it pays on this machine.

    The card shows bits with padding, index limits, energy kept and break-even. Energy is the kept share of the magnitude; it
    stands beside what unstructured pruning, n:m and, for nmg, the best possible assignment keep at the same density.
    Break-even is the density at which dense, or csr, takes as many bits.

    Then every installed backend is judged by the cases of encode, decode and linear with this layout, and its linears are timed
    beside the dense products that are installed, at 1 to 128 tokens and, where the layout has others, at other densities: from
    which token count on, and below which density, is it faster than dense? Speed is measured in float32, on random weights of
    the shapes of --shape.

    Examples:

    \b
      sparseref card nmg:2:8:8
      sparseref card nmg:2:8:8 --no-backends                     storage and energy alone
      sparseref card csr:0.9 --html csr.html
      sparseref card my_module:MyLayout:4 --shape 256x512
      sparseref card --compare nmg:2:8:8 vnm:8:2:8 csr:0.75
    """
    console = Console()
    if len(formats) > 1 and not compare:
        raise typer.BadParameter(f"a card is of one format, and {len(formats)} were given; --compare sets them side by side")
    with clean_exit():
        checked_threads(threads)
        chosen, on = [format_at(text) for text in formats], weights(shape, dtype, seed)
        with progress_bar() as step:
            def told(weight: Weight, done: int, total: int) -> None:
                step(f"{layout} {weight.source} {weight.values.shape}", len(made) * total + done, len(chosen) * total)

            made: list[Card] = []
            for sparsifier, layout in chosen:
                made.append(make_card(layout, on, density, sparsifier, told))
            if backends:
                speeds = [speed_of(layout, sparsifier or sparsifier_for(layout, density), shapes(shape), threads, on_step=step)
                          for sparsifier, layout in chosen]    # first: what loads a library decides how many threads it has
                reached = conformance_of([layout for _, layout in chosen], dtype, step)
                made = [replace(one, conformance=reached[layout.name], speed=speed)
                        for one, speed, (_, layout) in zip(made, speeds, chosen, strict=True)]
        if not compare:
            print_card(made[0], console)
            write(made[0], json_file, html_file, console)
            return
        print_comparison(made, console)
        if json_file is not None:
            say_where(write_comparison_json(made, json_file), console)
        if html_file is not None:
            say_where(write_comparison_html(made, html_file), console)


def weights(typed: list[str] | None, dtype: str, seed: int) -> list[Weight]:
    """Shapes as typed, or None for the usual ones -> the weights that a card is measured on."""
    kind = parse_dtype(dtype)
    return [*(random_weight(shape, kind, seed) for shape in shapes(typed)), *([] if typed else trained_weights(kind))]


def shapes(typed: list[str] | None) -> list[tuple[int, ...]]:
    """As typed, or the usual ones."""
    return list(map(parse_shape, typed)) if typed else list(RANDOM_SHAPES)


def write(made: Card, json_file: Path | None, html_file: Path | None, console: Console) -> None:
    """Write the files that were asked for."""
    if json_file is not None:
        say_where(write_json(made, json_file), console)
    if html_file is not None:
        say_where(write_html(made, html_file), console)
