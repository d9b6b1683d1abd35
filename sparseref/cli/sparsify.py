"""`sparseref sparsify`: a trained model and a recipe into one sparse file and its manifest."""

from __future__ import annotations

import json
import math
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ..atomic import write_text
from .common import clean_exit, file_option, progress_bar, say_where
from .models import implementation


def sparsify(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=(
        "A folder with a Hugging Face model (config.json, model.safetensors); a .safetensors file, whose tensors are made "
        "sparse by name; or module:function that returns a torch.nn.Module."))],
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help=(
        "A TOML file that says which weights get which format, or one that is shipped: nmg-75, nmg-875, csr-75, nm-2-4."))],
    out: Annotated[Path, file_option(
        "The sparse safetensors file to write; its manifest goes beside it, as NAME.manifest.json.", "--out", "-o")],
    json_file: Annotated[Path | None, file_option("Write the manifest and the seconds it took here, too.", "--json")] = None,
) -> None:
    """Make a trained model sparse in one shot, by a recipe.

    Nothing is trained: the entries that a format can keep are chosen by magnitude. The same model, recipe and versions give
    the same two files, bit for bit; the manifest names all three, with a SHA-256 of every tensor. Energy is the kept share
    of a weight's magnitude.

    \b
    A recipe is a short TOML file. The last [[weight]] rule that fits a weight decides:

    \b
      version = 1
      seed = 0
    \b
      [[weight]]
      name = ["encoder.layer.*.weight"]        # as a shell matches names
      module = "Linear"                        # and its class, where there is one
      min_size = 4096                          # and that many entries
      format = "nmg:2:8:8"                     # or csr:0.9, bsr:4:4:0.75 ...
    \b
      [[weight]]
      name = "encoder.layer.0.*"               # these stay as they are
      format = "dense"

    Exit code: 0 written, 2 the request was refused and nothing was written, 130 interrupted and nothing was written.

    Examples:

    \b
      sparseref sparsify ./my-bert nmg-75 -o bert.safetensors
      sparseref sparsify model.safetensors recipe.toml -o sparse.safetensors --json figures.json
      sparseref sparsify torchvision.models:resnet18 csr-75 -o resnet18.safetensors
    """
    console = Console()
    with clean_exit("nothing was written"):
        if json_file is not None and json_file.resolve() == out.resolve():
            raise typer.BadParameter("two files cannot have one name", param_hint="--out / --json")
        run = implementation("sparsify")
        start = perf_counter()
        with progress_bar() as step:
            manifest, written = run(model, recipe, out, step)
        seconds = perf_counter() - start
        print_manifest(manifest, console)
        for path in written:
            say_where(path, console)
        if json_file is not None:
            say_where(write_text(json_file, json.dumps({**manifest, "seconds": round(seconds, 3)}, indent=1) + "\n"), console)


def print_manifest(manifest: dict[str, Any], console: Console) -> None:
    """One row a sparse weight and all together; then what else the recipe says, and what the file holds."""
    table = Table(title=f"{manifest['model']['name']}: {len(manifest['sparse'])} weights made sparse", title_justify="left",
                  box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("weight", overflow="fold")
    for heading in ("shape", "format", "sparsity", "energy", "bits an\nentry", "of\ndense"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for one in manifest["sparse"]:
        table.add_row(one["name"].removesuffix(".weight"), "x".join(map(str, one["shape"])), one["layout"], *_cells(one))
    table.add_section()
    table.add_row("all", "", "", *_cells(manifest["total"]), style="bold")
    console.print(table)
    total, file = manifest["total"], manifest["file"]
    entries = sum(math.prod(one["shape"]) for one in manifest["dense"])
    console.print(f"{total['bits'] / 8e6:.1f} MB for {total['dense_bits'] / 8e6:.1f} MB of dense weights; "
                  f"{len(manifest['dense'])} tensors of {entries:,} entries stay dense; the file: {file['bytes'] / 1e6:.1f} MB",
                  highlight=False)
    later = [kind for kind in ("weight_grad", "interm", "interm_grad") if manifest["recipe"]["content"].get(kind)]
    if later:
        console.print(f"note: a file holds weights; {', '.join(later)} of the recipe: where the model runs or is trained",
                      highlight=False)


def _cells(one: dict[str, Any]) -> list[str]:
    return [f"{one['sparsity']:.1%}", f"{one['energy']:.1%}" if "energy" in one else "", f"{one['bits_per_entry']:.2f}",
            f"{one['size']:.1%}"]

