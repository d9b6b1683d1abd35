"""One linear after another, C against torch's dense product: `python asv_benchmarks/linears.py --help`.

All contenders take turns in one process, so that what disturbs one disturbs all; each output is checked before it is timed, and
the machine's peak is measured beside them.  NumPy has as many threads as OPENBLAS_NUM_THREADS says.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sparseref_c import placing
from sparseref_c.library import CMatrix, library
from sparseref_c.multiplying import multiply, product, run
from sparseref_c.peers import fma_peak
from sparseref_c.preparing import prepare
from sparseref_c.torch_kernel import borrow_threads

from sparseref.bounds import error_ratio, expected_forward
from sparseref.registry import get_operator, parse_layout
from sparseref.sparsifiers.scores import magnitude

SHAPES = ["768x768", "3072x768", "768x3072"]
FORMATS = ["nmg:1:10:16", "nmg:2:20:4", "nmg:1:8:16", "nmg:2:16:4", "nmg:1:4:16", "nmg:2:8:8", "nmg:2:4:8", "nmg:3:6:4"]
TOKENS = [128, 1024]
SAMPLE = 0.02
"""Seconds that one sample takes at least: so many calls in a row."""

REST = 0.2
"""Seconds before each sample: threads of OpenMP and OpenBLAS wait busily for so long, in the way of the next contender."""


def main(shape: Annotated[list[str], typer.Option(help="Rows and columns of the weight.")] = SHAPES,
         formats: Annotated[list[str], typer.Option("--format", help="Formats of the weight.")] = FORMATS,
         tokens: Annotated[list[int], typer.Option(help="Rows of x.")] = TOKENS,
         threads: Annotated[int, typer.Option(help="Of both sides.", min=1)] = 1,
         rounds: Annotated[int, typer.Option(help="Samples of each contender.", min=3)] = 7,
         json_file: Annotated[Path | None, typer.Option("--json", help="Write all samples there.")] = None) -> None:
    """How many times as fast as torch's dense F.linear, bias included; in brackets the share of the machine's peak that the
    nonzeros reach. The instruction set is SPARSEREF_C_ISA's, else the best."""
    torch.set_num_threads(threads)
    borrow_threads()
    table = Table("weight", "tokens", "torch ms (of peak)", "numpy", *(text.removeprefix("nmg:") for text in formats),
                  title=f"sparseref_c {library().name}, {threads} threads, of {rounds} rounds the medians")
    found: list[dict[str, Any]] = []
    with Progress(transient=True) as progress:
        task = progress.add_task("linears", total=len(shape) * len(tokens))
        for text in shape:
            rows, columns = (int(side) for side in text.split("x"))
            for count in tokens:
                one = measured(rows, columns, count, formats, threads, rounds)
                found.append(one)
                table.add_row(text, str(count), *cells(one, formats))
                progress.advance(task)
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps({"set": library().name, "threads": threads, "measured": found}, indent=1) + "\n")


def measured(rows: int, columns: int, tokens: int, formats: list[str], threads: int, rounds: int) -> dict[str, Any]:
    """-> operations that count, seconds of every sample, and the machine's peak in operations a second."""
    rng = np.random.default_rng(0)
    w, x, bias = (rng.standard_normal(side).astype(np.float32) for side in ((rows, columns), (tokens, columns), rows))
    dense = [torch.from_numpy(array) for array in (x, w, bias)]
    contenders: dict[str, Callable[[], Any]] = {"torch": lambda: torch.nn.functional.linear(*dense)}
    operations = dict.fromkeys(("torch", "numpy"), 2 * tokens * w.size)
    for text in formats:
        layout: Any = parse_layout(text)
        a = placing.sparsify(w, layout, magnitude(w))
        weight, y = prepare(a), np.empty((tokens, rows), np.float32)
        expected, _ = expected_forward(get_operator("linear"), (x, a, bias), {}, "float32")
        if error_ratio(multiply(weight, x, bias), expected).max() > 1:
            raise AssertionError(f"{text}: the product is wrong, so there is nothing to time")
        operations[text] = 2 * tokens * int(a.pattern.sum())
        contenders[text] = caller(weight, x, y, bias, threads)
    contenders["numpy"] = lambda: x @ w.T + bias               # last, as its threads wait longest
    repeats = {name: max(1, round(SAMPLE / seconds(call, 2))) for name, call in contenders.items()}
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    peaks = []
    for _ in range(rounds):
        for name, call in contenders.items():
            sleep(REST)
            call()
            samples[name].append(seconds(call, repeats[name]))
        sleep(REST)
        peaks.append(fma_peak(threads))
    return {"rows": rows, "columns": columns, "tokens": tokens, "operations": operations, "seconds": samples,
            "peak": max(peaks)}


def caller(weight: Any, x: np.ndarray, y: np.ndarray, bias: np.ndarray, threads: int) -> Callable[[], None]:
    """A call without the checks of `multiply`; it keeps the arrays whose addresses it names."""
    kept = (weight, x, y, bias)
    what = product(weight, CMatrix.of(x), CMatrix.of(y), bias.ctypes.data, tokens=len(x))

    def call() -> None:
        run(what, kept[0].dtype, threads)

    return call


def seconds(call: Callable[[], Any], times: int) -> float:
    """Of one call, of so many in a row."""
    start = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - start) / times


def cells(one: dict[str, Any], formats: list[str]) -> list[str]:
    """A line of the table: torch's time, then ratios; each with its share of the peak."""
    medians = {name: statistics.median(samples) for name, samples in one["seconds"].items()}
    share = {name: one["operations"][name] / medians[name] / one["peak"] for name in medians}
    return [f"{medians['torch'] * 1e3:.2f} ({share['torch']:.2f})",
            *(f"{medians['torch'] / medians[name]:.1f}x ({share[name]:.2f})" for name in ("numpy", *formats))]


if __name__ == "__main__":
    typer.run(main)
