"""How fast the loop over a weight can be at most on this machine, and what that leaves of a format's speed-up.

`python asv_benchmarks/roofline.py`.  At n = m every fibre is full: there is one pattern, so that runs are as long as a block
of columns, and next to nothing is left of what patterns cost.  Of such a product, less what turning x and y takes, remains the
loop alone: for a column and V vectors of tokens it has

    n V multiplications, V loads of x, n broadcasts of a value, one load of a column's number.

Where block rows are joined, n is the rows of all: what a format can reach at most is that of their loop.

It is timed with blocks of columns that the first-level cache holds, and with all columns in one, which lie in the second.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sparseref_c import placing
from sparseref_c.library import library
from sparseref_c.multiplying import multiply
from sparseref_c.peers import fma_peak
from sparseref_c.preparing import prepare
from sparseref_c.torch_kernel import borrow_threads
from tradeoffs import seconds

import sparseref as sr
from sparseref.bench.machine import processor, use_cores
from sparseref.bounds import error_ratio, expected_forward
from sparseref.registry import get_operator, parse_layout
from sparseref.sparsifiers.scores import magnitude

NEAR = 96
"""Columns of which a tile fits the first-level cache beside what else goes through it."""
FORMATS = ["nmg:1:10:16", "nmg:2:20:4", "nmg:1:8:16", "nmg:2:16:4", "nmg:1:4:16", "nmg:2:8:8", "nmg:2:4:8", "nmg:3:6:4"]
LOOPS = (1, 2, 3, 4)
"""The n of which there is a loop; more rows are several runs."""


def main(formats: Annotated[list[str], typer.Option("--format", help="nmg, what is to be explained.")] = FORMATS,
         rows: Annotated[int, typer.Option(min=1)] = 768, columns: Annotated[int, typer.Option(min=NEAR)] = 768,
         tokens: Annotated[int, typer.Option(min=1)] = 128, rounds: Annotated[int, typer.Option(min=3)] = 9,
         json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures there.")] = None) -> None:
    """One thread; medians of rounds in turns. Every product is checked before it is timed."""
    wanted = {text: layout_of(text) for text in formats}
    use_cores(1)
    torch.set_num_threads(1)
    borrow_threads()
    rng = np.random.default_rng(0)
    w, x = (rng.standard_normal((side, columns)).astype(np.float32) for side in (rows, tokens))
    full = {(n, g): sr.NMG(n, n, g) for n in LOOPS for g in (NEAR, columns)}
    calls, stored, shared = {}, {}, {}
    for layout in (*full.values(), *wanted.values()):
        calls[str(layout)], stored[str(layout)], shared[str(layout)] = product(w, x, layout)
    nothing, y = prepare(sr.encode(np.zeros_like(w), "csr", np.zeros(w.shape, bool))), np.empty((tokens, rows), np.float32)
    calls["turning"] = lambda: multiply(nothing, x, out=y, at_most=1)
    dense = torch.from_numpy(x), torch.from_numpy(w)
    calls["dense"] = lambda: torch.nn.functional.linear(*dense)
    took = in_turns(calls, rounds)
    peak = max(fma_peak(1) for _ in range(5))

    def loop(layout: sr.NMG) -> float:
        return 2 * tokens * stored[str(layout)] / (took[str(layout)] - took["turning"]) / peak

    found: dict[str, Any] = {"processor": processor(), "set": library().name, "peak": peak, "seconds": took, "loop": {},
                             "formats": {}}
    table = Table("n", "x in the first-level cache", "in the second", title="the loop alone, as a share of the machine's peak")
    for n in LOOPS:
        near, far = loop(full[n, NEAR]), loop(full[n, columns])
        found["loop"][n] = near, far
        table.add_row(str(n), f"{near:.2f}", f"{far:.2f}")
    share, turning = 2 * tokens * w.size / took["dense"] / peak, took["turning"] / took["dense"]
    limits = Table("format", "its loop", "times torch", "at most, x in the first", "in the second",
                   title=f"torch's dense product: {share:.2f} of the peak; turning x and y: {turning:.3f} of its time")
    for text, layout in wanted.items():
        own, ratio = loop(layout), took["dense"] / took[str(layout)]
        at_most = [took["dense"] / (took["turning"] + 2 * tokens * stored[str(layout)] / (of_peak * peak))
                   for of_peak in found["loop"][shared[text]]]
        found["formats"][text] = {"loop": own, "ratio": ratio, "at_most": at_most}
        limits.add_row(text, f"{own:.2f}", f"{ratio:.2f}", *(f"{limit:.2f}" for limit in at_most))
    console = Console()
    console.print(f"{found['processor']}, {library().name}, {rows} x {columns}, {tokens} tokens, one thread, "
                  f"peak {peak / 1e9:.0f} GFLOP/s", highlight=False)
    console.print(table, limits)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1) + "\n")


def layout_of(text: str) -> sr.NMG:
    """A format of which there is a loop."""
    layout = parse_layout(text)
    if not isinstance(layout, sr.NMG) or layout.n not in LOOPS:
        raise typer.BadParameter(f"wanted: nmg with n of 1 to 4; given: {text}")
    return layout


def product(w: np.ndarray, x: np.ndarray, layout: sr.NMG) -> tuple[Callable[[], Any], int, int]:
    """w [O, K], x [T, K] -> a call of the product, how many entries the weight stores, and how many rows share a load of x."""
    a = placing.sparsify(w, layout, magnitude(w))
    weight, y = prepare(a), np.empty((len(x), len(w)), np.float32)
    if layout.n == layout.m:
        weight = replace(weight, many=None)                                              # the loop of n rows, not of more
    expected, _ = expected_forward(get_operator("linear"), (x, a, None), {}, "float32")
    if error_ratio(multiply(weight, x), expected).max() > 1:
        raise AssertionError(f"{layout}: the product is wrong, so there is nothing to time")
    return lambda: multiply(weight, x, out=y, at_most=1), a.nnz, weight.runs_for(len(x)).widest_run


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """-> the median of the seconds of a call, each sample of as many as take a while."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    with Progress(transient=True) as progress:
        for _ in progress.track(range(rounds), description="rounds"):
            for name, call in calls.items():
                samples[name].append(seconds(call))
    return {name: statistics.median(one) for name, one in samples.items()}


if __name__ == "__main__":
    typer.run(main)
