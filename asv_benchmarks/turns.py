"""Whole models in turns in one process: what disturbs one disturbs all, and outputs are checked before they are timed."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep

import torch
from engines import missing
from rich.console import Console
from rich.table import Table
from sparseref_torch import SparseTensor
from torch import Tensor, nn

REST = 0.2
"""Seconds before each sample: threads wait busily for so long, in the way of the next contender."""
Model = Callable[[Tensor], Tensor]


def masked(dense: nn.Module, sparse: nn.Module) -> nn.Module:
    """The dense model with the weights of the sparse one."""
    same = copy.deepcopy(dense)
    with torch.no_grad():
        for mine, other in zip(same.parameters(), sparse.parameters(), strict=True):
            mine.copy_(other.to_dense() if isinstance(other, SparseTensor) else other)
    return same


@torch.no_grad()
def in_turns(models: dict[str, Model], references: dict[str, Model], x: Tensor, rounds: int,
             tolerance: float) -> dict[str, list[float]]:
    """references: what models of the same names compute -> seconds of every forward pass."""
    for name, reference in references.items():
        error = float((models[name](x) - reference(x)).abs().max())
        if not error <= tolerance:
            raise AssertionError(f"{name}: the output is off by {error:.1e}, so there is nothing to time")
    samples: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            sleep(REST)
            model(x)                                           # so that none finds the other's weights in its caches
            start = perf_counter()
            model(x)
            samples[name].append(perf_counter() - start)
    return samples


def report(title: str, found: dict[str, dict[str, list[float]]], json_file: Path | None) -> None:
    """column -> model -> seconds: a table of medians with their ratios to the first model and to the fastest dense one."""
    table = Table("model", *found, title=title, caption="milliseconds; times as fast as the first; as the fastest dense one")
    for name in next(iter(found.values())):
        cells = []
        for samples in found.values():
            medians = {who: statistics.median(seconds) for who, seconds in samples.items()}
            best = min(seconds for who, seconds in medians.items() if who.startswith("dense"))
            own = medians[name]
            cells.append(f"{own * 1e3:.1f}  {next(iter(medians.values())) / own:.2f}x  {best / own:.2f}x")
        table.add_row(name, *cells)
    console = Console()
    console.print(table)
    for name, command in missing().items():
        console.print(f"{name} is not installed, and was not compared: {command}", highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps({"title": title, "seconds": found}, indent=1) + "\n")
