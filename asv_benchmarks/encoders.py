"""BERT-base end to end, its encoder's Linears in n:m:g, against dense engines: `python asv_benchmarks/encoders.py`.

Weights are random, which does not matter for speed.  All contenders take turns in one process, each after a pause, as threads
wait busily for a while; the output of each is checked against torch's dense model, or that with the same weights masked.
"""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Annotated, Any

import torch
import typer
from engines import engines, missing
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
REST = 0.2
"""Seconds before each sample."""


def main(formats: Annotated[list[str], typer.Option("--format", help="Formats of the encoder's Linears.")] = FORMATS,
         batch: Annotated[list[int], typer.Option(help="Sequences at once.")] = BATCHES,
         length: Annotated[int, typer.Option(help="Tokens of a sequence.", min=1)] = 128,
         layers: Annotated[int, typer.Option(help="Of the encoder.", min=1)] = 12,
         threads: Annotated[int, typer.Option(min=1)] = 2, rounds: Annotated[int, typer.Option(min=3)] = 9,
         json_file: Annotated[Path | None, typer.Option("--json", help="Write all samples there.")] = None) -> None:
    """Milliseconds, and how many times as fast as torch's dense model and as the fastest dense one: the sparse model as it is,
    and compiled with what belongs to each Linear fused. Dense ones are torch's, onnxruntime's and OpenVINO's."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dense = BertModel(BertConfig(num_hidden_layers=layers)).eval()
    table = Table("model", *(f"batch {count}" for count in batch),
                  title=f"BERT-base, {length} tokens, sparseref_c {library().name}, {threads} threads, medians of {rounds}")
    models: dict[str, Callable[[Tensor], Tensor]] = {"dense, torch": first_of(dense)}
    references: dict[str, nn.Module] = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("sparsifying", total=len(formats))
        for text in formats:
            builder = SparsityBuilder().set_weight("encoder.*.weight", module=nn.Linear, format=text)
            sparse = builder.get_sparse_model(dense).eval()
            models[text], references[text] = first_of(sparse), masked(dense, sparse)
            models[f"{text}, fused"] = first_of(torch.compile(sparse, backend="sparseref_c"))
            progress.advance(task)
    found = []
    for count in batch:
        ids = torch.randint(0, 30_000, (count, length))
        with TemporaryDirectory() as folder:
            peers = {f"dense, {name}": engine for name, engine in engines(dense, ids, Path(folder), threads).items()}
            found.append(measured({**models, **peers}, {**references, **dict.fromkeys(peers, dense)}, ids, rounds))
    for name in found[0]:
        cells = []
        for one in found:
            medians = {who: statistics.median(samples) for who, samples in one.items()}
            best = min(seconds for who, seconds in medians.items() if who.startswith("dense"))
            own = medians[name]
            cells.append(f"{own * 1e3:.1f} ms  {medians['dense, torch'] / own:.2f}x  {best / own:.2f}x")
        table.add_row(name, *cells)
    console = Console()
    console.print(table)
    for name, command in missing().items():
        console.print(f"{name} is not installed, and was not compared: {command}", highlight=False)
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


def first_of(model: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """A Hugging Face model -> its last hidden state alone."""
    return lambda ids: model(ids).last_hidden_state


@torch.no_grad()
def measured(models: dict[str, Callable[[Tensor], Tensor]], references: dict[str, nn.Module], ids: Tensor,
             rounds: int) -> dict[str, list[float]]:
    """-> seconds of every forward pass."""
    for name, model in models.items():
        reference = references.get(name.removesuffix(", fused"))
        if reference is not None:
            error = float((model(ids) - first_of(reference)(ids)).abs().max())
            if error > TOLERANCE:
                raise AssertionError(f"{name}: the output is off by {error:.1e}, so there is nothing to time")
    samples: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            sleep(REST)
            model(ids)                                         # so that none finds the other's weights in its caches
            start = perf_counter()
            model(ids)
            samples[name].append(perf_counter() - start)
    return samples


if __name__ == "__main__":
    typer.run(main)
