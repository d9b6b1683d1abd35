"""Energy kept against speed: n and g at equal density, what becomes of the tail, how columns are blocked.

`python asv_benchmarks/tradeoffs.py --plot tradeoffs.svg`; every product is checked before it is timed, torch's dense one takes
turns with each.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, replace
from math import comb
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import matplotlib
import numpy as np
import torch
import typer
from rich.progress import Progress
from sparseref_c import placing, preparing
from sparseref_c.library import library, where
from sparseref_c.multiplying import multiply, product, run
from sparseref_c.torch_kernel import borrow_threads

import sparseref as sr
from sparseref.bounds import error_ratio, expected_forward
from sparseref.registry import get_operator, parse_layout
from sparseref.sparsifiers.scores import magnitude

DENSITIES = {"50 %": 2, "75 %": 4, "87.5 %": 8, "90 %": 10}
"""Sparsity -> m over n."""
MOST_FIBRES = 2000
"""Of a chunk; where a row has far fewer, most of it is filling."""
BLOCKS = {"nmg:1:10:16": [80, 160, 320, 768], "nmg:1:4:16": [80, 160, 320, 768], "nmg:2:8:8": [2, 24],
          "nmg:2:4:8": [2, 24, 80, 320]}
"""At n = 1 columns of a block, else of a run at least: SINGLE_COLUMNS and n times RUN_COLUMNS of preparing.py."""
SAMPLE = 0.01


@dataclass(frozen=True)
class Point:
    """One format: what it keeps of the sum of magnitudes, and how many times as fast as torch's dense product it is."""

    group: str
    format: str
    energy: float
    speed: float
    columns: int | None = None


def main(rows: Annotated[int, typer.Option(min=1)] = 768, columns: Annotated[int, typer.Option(min=1)] = 768,
         tokens: Annotated[int, typer.Option(min=1)] = 128, rounds: Annotated[int, typer.Option(min=3)] = 7,
         weight: Annotated[Path | None, typer.Option(help="A .npy of float32; else normal numbers.")] = None,
         plot: Annotated[Path | None, typer.Option(help="An .svg or .png to draw.")] = None,
         json_file: Annotated[Path | None, typer.Option("--json", help="Write all points there.")] = None) -> None:
    """One thread. Prints a line for each format, the fastest of each density last."""
    torch.set_num_threads(1)
    borrow_threads()
    w = np.load(weight) if weight else np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((tokens, w.shape[1])).astype(np.float32)
    todo = [(group, text, None) for group, m in DENSITIES.items() for text in formats(m)]
    todo += [("tail", f"{text},tail={tail}", None) for text in ("nmg:2:20:4", "nmg:2:8:8", "nmg:1:10:16", "nmg:2:16:4")
             for tail in ("pad", "short")]
    todo += [("columns", text, size) for text, sizes in BLOCKS.items() for size in sizes]
    points = []
    with Progress(transient=True) as progress:
        for group, text, size in progress.track(todo, description="formats"):
            points.append(measured(w, x, group, text, size, rounds))
    for point in sorted(points, key=lambda point: (point.group, point.speed)):
        print(f"{point.group:8} {point.format:24} {point.columns or '':>4}  energy {point.energy:.3f}  speed {point.speed:.2f}")
    if json_file is not None:
        found = {"set": library().name, "shape": [*w.shape, tokens], "points": [asdict(point) for point in points]}
        json_file.write_text(json.dumps(found, indent=1) + "\n")
    if plot is not None:
        draw(points, plot, f"{w.shape[0]} x {w.shape[1]}, {tokens} tokens, one thread, {library().name}")


def formats(m: int) -> list[str]:
    """n from 1 to 4 at one density, g from 1 to 32."""
    return [f"nmg:{n}:{n * m}:{g}" for n in (1, 2, 3, 4) for g in (1, 2, 4, 8, 16, 32)
            if comb(n * m, n) * g <= MOST_FIBRES]


def measured(w: np.ndarray, x: np.ndarray, group: str, text: str, size: int | None, rounds: int) -> Point:
    """w [O, K], x [T, K], a format, and the size of a block of columns where it is not the default one."""
    layout: Any = parse_layout(text)
    single, run_columns = preparing.SINGLE_COLUMNS, preparing.RUN_COLUMNS
    try:
        if size is not None:
            mine = (size, run_columns) if layout.n == 1 else (single, size // layout.n)
            preparing.SINGLE_COLUMNS, preparing.RUN_COLUMNS = mine
        a = placing.sparsify(w, layout, magnitude(w))
        prepared = preparing.prepare(a)
        if size is not None:                                                               # joined block rows have their own
            prepared = replace(prepared, many=None)
    finally:
        preparing.SINGLE_COLUMNS, preparing.RUN_COLUMNS = single, run_columns
    expected, _ = expected_forward(get_operator("linear"), (x, a, None), {}, "float32")
    if error_ratio(multiply(prepared, x), expected).max() > 1:
        raise AssertionError(f"{text}: the product is wrong, so there is nothing to time")
    y, dense = np.empty((len(x), len(w)), np.float32), (torch.from_numpy(x), torch.from_numpy(w))
    what = product(prepared, where(x), where(y), None, tokens=len(x))
    calls = (lambda: torch.nn.functional.linear(*dense), lambda: run(what, prepared.dtype, 1))
    samples: list[tuple[float, ...]] = [tuple(seconds(call) for call in calls) for _ in range(rounds)]
    speed = statistics.median(one for one, _ in samples) / statistics.median(two for _, two in samples)
    return Point(group, text, sr.energy(w, a), speed, size)


def seconds(call: Any) -> float:
    """Of one call, of as many as take a while."""
    count, start = 0, perf_counter()
    while (spent := perf_counter() - start) < SAMPLE:
        call()
        count += 1
    return spent / count


def draw(points: list[Point], to: Path, title: str) -> None:
    """A panel for each density, one for tails, one for blocks of columns."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    colours = {1: "tab:blue", 2: "tab:orange", 3: "tab:green", 4: "tab:red"}
    for panel, group in zip(axes.flat, DENSITIES, strict=False):
        for n, colour in colours.items():
            mine = [point for point in points if point.group == group and point.format.startswith(f"nmg:{n}:")]
            panel.plot([point.energy for point in mine], [point.speed for point in mine], "o-", color=colour, markersize=4,
                       linewidth=0.8, label=f"n = {n}")
            for point in mine:
                panel.annotate(point.format.split(":")[-1], (point.energy, point.speed), fontsize=7, xytext=(3, 3),
                               textcoords="offset points")
        panel.set(title=f"{group} zeros; a number is g", xlabel="energy kept", ylabel="times as fast as torch dense")
        panel.legend(fontsize=7)
    tails = [point for point in points if point.group == "tail"]
    panel = axes.flat[4]
    for pad, short in zip(tails[::2], tails[1::2], strict=True):
        name = pad.format.removesuffix(",tail=pad")
        panel.plot([pad.energy, short.energy], [pad.speed, short.speed], "o-", markersize=4, label=f"{name}: pad to short")
    panel.set(title="the tail of a row", xlabel="energy kept", ylabel="times as fast as torch dense")
    panel.legend(fontsize=7)
    panel = axes.flat[5]
    for name in BLOCKS:
        mine = [point for point in points if point.group == "columns" and point.format == name]
        panel.plot([point.columns for point in mine], [point.speed for point in mine], "o-", markersize=4, label=name)
    panel.set(title="columns of a block (n = 1), of a run (n = 2)", xscale="log", xlabel="columns",
              ylabel="times as fast as torch dense")
    panel.legend(fontsize=7)
    figure.suptitle(title)
    figure.savefig(to, dpi=80)
    pyplot.close(figure)


if __name__ == "__main__":
    typer.run(main)
