"""BERT-base end to end, its encoder's Linears in n:m:g, against torch's dense model: `python asv_benchmarks/encoders.py`.

Weights are random, which does not matter for speed.  All contenders take turns in one process; the output of each is checked
against the dense model with the same weights masked.
"""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sparseref_c.library import library
from sparseref_torch import SparseTensor, SparsityBuilder
from torch import Tensor, nn
from transformers import BertConfig, BertModel

FORMATS = ["nmg:1:10:16", "nmg:2:20:4", "nmg:1:8:16", "nmg:2:8:8"]
BATCHES = [1, 8]
TOLERANCE = 1e-4
"""Of outputs that are normalized to about 1, after twelve layers in float32."""


def main(formats: Annotated[list[str], typer.Option("--format", help="Formats of the encoder's Linears.")] = FORMATS,
         batch: Annotated[list[int], typer.Option(help="Sequences at once.")] = BATCHES,
         length: Annotated[int, typer.Option(help="Tokens of a sequence.", min=1)] = 128,
         layers: Annotated[int, typer.Option(help="Of the encoder.", min=1)] = 12,
         threads: Annotated[int, typer.Option(min=1)] = 2, rounds: Annotated[int, typer.Option(min=3)] = 9,
         json_file: Annotated[Path | None, typer.Option("--json", help="Write all samples there.")] = None) -> None:
    """Milliseconds, and how many times as fast as the dense model: the sparse model as it is, and compiled with what follows
    each Linear fused."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dense = BertModel(BertConfig(num_hidden_layers=layers)).eval()
    table = Table("model", *(f"batch {count}" for count in batch),
                  title=f"BERT-base, {length} tokens, sparseref_c {library().name}, {threads} threads, medians of {rounds}")
    models: dict[str, Callable[[Tensor], Any]] = {"dense, torch": dense}
    references: dict[str, nn.Module] = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("sparsifying", total=len(formats))
        for text in formats:
            builder = SparsityBuilder().set_weight("encoder.*.weight", module=nn.Linear, format=text)
            sparse = builder.get_sparse_model(dense).eval()
            models[text], references[text] = sparse, masked(dense, sparse)
            models[f"{text}, fused"] = torch.compile(sparse, backend="sparseref_c")
            progress.advance(task)
    found = [measured(models, references, torch.randint(0, 30_000, (count, length)), rounds) for count in batch]
    for name in models:
        medians = [(statistics.median(one["dense, torch"]), statistics.median(one[name])) for one in found]
        table.add_row(name, *(f"{own * 1e3:.1f} ms  {base / own:.2f}x" for base, own in medians))
    Console().print(table)
    if json_file is not None:
        samples = [{"batch": count, "seconds": one} for count, one in zip(batch, found, strict=True)]
        json_file.write_text(json.dumps({"set": library().name, "threads": threads, "measured": samples}, indent=1) + "\n")


def masked(dense: nn.Module, sparse: nn.Module) -> nn.Module:
    """The dense model with the weights of the sparse one."""
    same = copy.deepcopy(dense)
    with torch.no_grad():
        for mine, other in zip(same.parameters(), sparse.parameters(), strict=True):
            mine.copy_(other.to_dense() if isinstance(other, SparseTensor) else other)
    return same


@torch.no_grad()
def measured(models: dict[str, Callable[[Tensor], Any]], references: dict[str, nn.Module], ids: Tensor,
             rounds: int) -> dict[str, list[float]]:
    """-> seconds of every forward pass."""
    for name, model in models.items():
        reference = references.get(name.removesuffix(", fused"))
        if reference is not None:
            error = float((model(ids).last_hidden_state - reference(ids).last_hidden_state).abs().max())
            if error > TOLERANCE:
                raise AssertionError(f"{name}: the output is off by {error:.1e}, so there is nothing to time")
    samples: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            model(ids)                                         # so that none finds the other's weights in its caches
            start = perf_counter()
            model(ids)
            samples[name].append(perf_counter() - start)
    return samples


if __name__ == "__main__":
    typer.run(main)
