"""BERT-base end to end, its encoder's Linears in n:m:g, against dense engines: `python asv_benchmarks/encoders.py`.

Weights are random, which does not matter for speed.  All contenders take turns in one process, each after a pause, as threads
wait busily for a while; the output of each is checked against torch's dense model, or that with the same weights masked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer
from engines import engines
from rich.progress import Progress
from sparseref_c.library import library
from sparseref_torch import SparsityBuilder
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from turns import in_turns, masked, report

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
    """Milliseconds, and how many times as fast as torch's dense model and as the fastest dense one: the sparse model as it is,
    and compiled with what belongs to each Linear fused. Dense ones are torch's, onnxruntime's and OpenVINO's."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dense = BertModel(BertConfig(num_hidden_layers=layers)).eval()
    models: dict[str, Callable[[Tensor], Tensor]] = {"dense, torch": first_of(dense)}
    references: dict[str, Callable[[Tensor], Tensor]] = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("sparsifying", total=len(formats))
        for text in formats:
            builder = SparsityBuilder().set_weight("encoder.*.weight", module=nn.Linear, format=text)
            sparse = builder.get_sparse_model(dense).eval()
            models[text], references[text] = first_of(sparse), first_of(masked(dense, sparse))
            models[f"{text}, fused"], references[f"{text}, fused"] = (
                first_of(torch.compile(sparse, backend="sparseref_c")), references[text])
            progress.advance(task)
    found: dict[str, dict[str, list[float]]] = {}
    for count in batch:
        ids = torch.randint(0, 30_000, (count, length))
        with TemporaryDirectory() as folder:
            peers = {f"dense, {name}": engine for name, engine in engines(dense, ids, Path(folder), threads).items()}
            expected = {**references, **dict.fromkeys(peers, first_of(dense))}
            found[f"batch {count}"] = in_turns({**models, **peers}, expected, ids, rounds, TOLERANCE)
    title = f"BERT-base, {length} tokens, sparseref_c {library().name}, {threads} threads, medians of {rounds}"
    report(title, found, json_file)


def first_of(model: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """A Hugging Face model -> its last hidden state alone."""
    return lambda ids: model(ids).last_hidden_state


if __name__ == "__main__":
    typer.run(main)
