"""`sparseref bench`: linears of several libraries side by side on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .common import WRONG, checked_threads, clean_exit, file_option, parse_shape, progress_bar, say_where

SHAPES = ["768x768", "3072x768", "768x3072"]
FORMATS = ["nmg:2:4:8", "nmg:2:8:8", "nmg:1:8:16", "nmg:2:20:4"]
TOKENS = [1, 128, 1024]


def bench(
    peers: Annotated[bool, typer.Option("--peers", help=(
        "Also scipy's and torch's csr, JAX's BCSR, onnxruntime, OpenVINO, DeepSparse ...; those that are missing are named, "
        "each with what brings it, or why nothing does."))] = False,
    shape: Annotated[list[str], typer.Option(metavar="RxC", help=(
        "Rows x columns of the weight; may be given several times."))] = SHAPES,
    formats: Annotated[list[str], typer.Option("--format", metavar="FORMAT", help=(
        "Of the weight, nmg:2:8:8 or csr:0.9; may be given several times."))] = FORMATS,
    tokens: Annotated[list[int], typer.Option(min=1, help="Rows of x; may be given several times.")] = TOKENS,
    threads: Annotated[int, typer.Option(min=1, help="Of every contender; the process stays on as many cores.")] = 1,
    rounds: Annotated[int, typer.Option(min=3, help="Samples of each contender.")] = 7,
    json_file: Annotated[Path | None, file_option("Write every sample as data.", "--json")] = None,
    html_file: Annotated[Path | None, file_option("Write a page: tables, speed against density, energy against speed.",
                                                  "--html")] = None,
) -> None:
    """Time y = x W^T + b with a sparse W: our backends, and with --peers everybody else's.

    All contenders multiply the same entries in one process, in turns, each after a pause; every output is checked against the
    bound derived for it first, and a contender that is wrong is named and not timed. Ratios are to torch's dense product, at
    one token to NumPy's. A contender whose library takes activations the other way round (feature-major) comes twice: with
    what turning them costs, and without. Beside each ratio stand the spread and the shares of the machine's peak and memory.

    All shapes, formats and token counts with all peers take about half an hour. Exit code: 0, or 1 where one of ours is wrong.

    Examples:

    \b
      sparseref bench --shape 768x768 --tokens 128
      sparseref bench --peers --html bench.html --json bench.json
      sparseref bench --peers --format csr:0.9 --tokens 1 --threads 2
    """
    from ..bench.report import print_bench, write_html, write_json
    from ..bench.run import run_bench

    console = Console()
    with clean_exit():
        shapes = [checked_shape(text) for text in shape]
        checked_threads(threads)
        with progress_bar() as step:
            found = run_bench(shapes, formats, tokens, threads, rounds, peers, step)
        print_bench(found, console)
        if json_file is not None:
            write_json(found, json_file)
            say_where(json_file, console)
        if html_file is not None:
            write_html(found, html_file)
            say_where(html_file, console)
        if found.ours_wrong:
            raise typer.Exit(WRONG)


def checked_shape(text: str) -> tuple[int, int]:
    """`"768x3072"` -> (768, 3072); a weight has two sides, and neither is 0."""
    sides = parse_shape(text)
    if len(sides) != 2 or 0 in sides:
        raise typer.BadParameter(f"{text!r} is no shape of a weight; write rows x columns, e.g. 768x3072", param_hint="--shape")
    return sides[0], sides[1]
