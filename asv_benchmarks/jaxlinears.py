"""One linear after another, sparseref_jax against JAX's own: `python asv_benchmarks/jaxlinears.py --help`.

All contenders take turns in one process, and each output is checked before it is timed.  XLA takes the cores that the process
may use when JAX is loaded, so `--cores` is set before.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import sparseref as sr
from sparseref.bounds import error_ratio, expected_forward
from sparseref.registry import get_operator

SHAPES = ["768x768", "3072x768", "768x3072"]
FORMATS = ["nmg:1:10:16", "nmg:2:20:4,tail=short", "nmg:1:8:16", "nmg:2:16:4,tail=short", "nmg:1:4:16", "csr:0.9"]
TOKENS = [1, 128]
SAMPLE = 0.02
"""Seconds that one sample takes at least: so many calls in a row."""

REST = 0.05
"""Seconds before each sample, so that no thread of the one before is still at work."""


def main(shape: Annotated[list[str], typer.Option(help="Rows and columns of the weight.")] = SHAPES,
         formats: Annotated[list[str], typer.Option("--format", help="Formats of the weight.")] = FORMATS,
         tokens: Annotated[list[int], typer.Option(help="Rows of x.")] = TOKENS,
         cores: Annotated[int, typer.Option(help="Of all contenders.", min=1)] = 1,
         rounds: Annotated[int, typer.Option(help="Samples of each contender.", min=3)] = 9,
         json_file: Annotated[Path | None, typer.Option("--json", help="Write all samples there.")] = None) -> None:
    """How many times as fast as the jitted dense product x @ w.T; BCSR has the entries of the csr format beside it."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    table = Table("weight", "tokens", "dense ms (spread)", *formats, "BCSR 0.9",
                  title=f"sparseref_jax, {cores} cores, medians of {rounds}")
    found: list[dict[str, Any]] = []
    with Progress(transient=True) as progress:
        task = progress.add_task("linears", total=len(shape) * len(tokens))
        for text in shape:
            rows, columns = (int(side) for side in text.split("x"))
            for count in tokens:
                samples = measured(rows, columns, count, formats, rounds)
                found.append({"weight": text, "tokens": count, "seconds": samples})
                table.add_row(text, str(count), *cells(samples))
                progress.advance(task)
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps({"cores": cores, "measured": found}, indent=1) + "\n")


def measured(rows: int, columns: int, tokens: int, formats: list[str], rounds: int) -> dict[str, list[float]]:
    """-> seconds of every sample of each contender."""
    import jax
    import jax.numpy as jnp
    import sparseref_jax as sj
    from jax.experimental import sparse
    from sparseref_jax import interop

    rng = np.random.default_rng(0)
    w, x = (rng.standard_normal(side).astype(np.float32) for side in ((rows, columns), (tokens, columns)))
    ours, theirs = jax.jit(sj.linear), jax.jit(lambda x, b: sparse.bcsr_dot_general(
        b, x, dimension_numbers=(((1,), (1,)), ((), ()))).T)
    dense_x, dense_w = jnp.asarray(x), jnp.asarray(w)
    product = jax.jit(lambda x, w: x @ w.T)
    contenders: dict[str, Callable[[], Any]] = {"dense": lambda: product(dense_x, dense_w)}
    for text in formats:
        a = sr.sparsify(w, text)
        contenders[text] = checked(text, ours, dense_x, sj.to_jax(a), x, a)
    a = sr.sparsify(w, "csr:0.9")
    contenders["BCSR"] = checked("BCSR", theirs, dense_x, interop.to_bcsr(sj.to_jax(a)), x, a)
    repeats = {name: max(1, round(SAMPLE / seconds(call, 2))) for name, call in contenders.items()}
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            sleep(REST)
            samples[name].append(seconds(call, repeats[name]))
    return samples


def checked(text: str, function: Any, dense_x: Any, weight: Any, x: np.ndarray, a: sr.SparseArray) -> Callable[[], Any]:
    """-> a call of the function, if its output is right."""
    expected, _ = expected_forward(get_operator("linear"), (x, a, None), {}, "float32", flushes=True)
    if error_ratio(np.asarray(function(dense_x, weight)), expected).max() > 1:
        raise AssertionError(f"{text}: the product is wrong, so there is nothing to time")
    return lambda: function(dense_x, weight)


def seconds(call: Callable[[], Any], times: int) -> float:
    """Of one call, of so many in a row, the last of which is waited for."""
    start = perf_counter()
    for _ in range(times):
        result = call()
    result.block_until_ready()
    return (perf_counter() - start) / times


def cells(samples: dict[str, list[float]]) -> list[str]:
    """The dense product's time with its middle half, then ratios to it."""
    medians = {name: statistics.median(one) for name, one in samples.items()}
    low, _, high = statistics.quantiles(samples["dense"], n=4)
    return [f"{medians['dense'] * 1e3:.2f} ({low * 1e3:.2f}-{high * 1e3:.2f})",
            *(f"{medians['dense'] / median:.2f}x" for name, median in medians.items() if name != "dense")]


if __name__ == "__main__":
    typer.run(main)
