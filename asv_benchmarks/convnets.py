"""torchvision's resnet50 end to end, its convolutions in n:m:g, against dense engines: `python asv_benchmarks/convnets.py`.

Weights are random, which does not matter for speed.  Dense contenders are torch's with images as they come, with channels last,
and compiled, and other engines; the first convolution and the classifier stay dense.
"""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer
from engines import engines
from rich.progress import Progress
from sparseref_c.library import library
from sparseref_torch import SparsityBuilder
from torch import nn
from torchvision.models import resnet50
from turns import Model, in_turns, masked, report

FORMATS = ["nmg:2:20:4", "nmg:2:8:8", "nmg:2:4:8"]
TOLERANCE = 1e-3
"""Of outputs of about 1, after fifty layers in float32."""


def main(formats: Annotated[list[str], typer.Option("--format", help="Formats of the convolutions.")] = FORMATS,
         images: Annotated[int, typer.Option(help="At once.", min=1)] = 1,
         side: Annotated[int, typer.Option(help="Of an image, in pixels.", min=32)] = 224,
         compiled: Annotated[bool, typer.Option(help="torch.compile of the dense model, which takes a C++ compiler.")] = True,
         threads: Annotated[int, typer.Option(min=1)] = 2, rounds: Annotated[int, typer.Option(min=3)] = 9,
         json_file: Annotated[Path | None, typer.Option("--json", help="Write all samples there.")] = None) -> None:
    """Milliseconds, and how many times as fast as torch's dense model and as the fastest dense one: the sparse model as it is,
    and compiled with batch norm, residual and relu fused."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dense = with_statistics(resnet50(weights=None)).eval()
    last = copy.deepcopy(dense).to(memory_format=torch.channels_last)
    models: dict[str, Model] = {
        "dense, torch": dense, "dense, channels last": lambda x: last(x.contiguous(memory_format=torch.channels_last))}
    if compiled:
        inductor = torch.compile(last)
        models["dense, compiled"] = lambda x: inductor(x.contiguous(memory_format=torch.channels_last))
    references: dict[str, Model] = {name: dense for name in models if name != "dense, torch"}
    with Progress(transient=True) as progress:
        task = progress.add_task("sparsifying", total=len(formats))
        for text in formats:
            builder = SparsityBuilder().set_weight("layer*.weight", module=nn.Conv2d, format=text)
            sparse = builder.get_sparse_model(dense).eval()
            models[text], models[f"{text}, fused"] = sparse, torch.compile(sparse, backend="sparseref_c")
            references[text] = references[f"{text}, fused"] = masked(dense, sparse)
            progress.advance(task)
    x = torch.randn(images, 3, side, side)
    with TemporaryDirectory() as folder:
        peers = {f"dense, {name}": engine for name, engine in engines(dense, x, Path(folder), threads).items()}
        found = in_turns({**models, **peers}, {**references, **dict.fromkeys(peers, dense)}, x, rounds, TOLERANCE)
    title = f"resnet50, {images} x {side} x {side}, sparseref_c {library().name}, {threads} threads, medians of {rounds}"
    report(title, {"": found}, json_file)


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch norms as after training: not those that change nothing."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
    return model


if __name__ == "__main__":
    typer.run(main)
