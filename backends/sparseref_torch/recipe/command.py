"""What `sparseref sparsify` runs: read, sparsify, and put the file and its manifest in place together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparseref import SpecError
from sparseref.atomic import write_text

from ..files import save_model
from .applying import Step, apply, check_one_shot
from .manifest import make_manifest
from .recipe import Recipe
from .source import load_source


def run(model: str, recipe: str, out: Path, step: Step) -> tuple[dict[str, Any], list[Path]]:
    """MODEL, RECIPE as typed, the file to write, a progress bar -> the manifest, and the two files that were written.

    Either both files are new and whole, or neither is touched.  Errors: RECIPE-1 to RECIPE-9, and those of the formats.
    """
    plan = Recipe.load(recipe)
    check_one_shot(plan)
    step("reading the model", 0, 1)
    source = load_source(model, plan.seed)
    beside = manifest_path(out)
    for written in (out, beside):
        refuse_input(written, (*source.files, Path(recipe)))
    if source.kind == "tensors":
        refuse_classes(plan)
    sha256 = source.sha256()
    figures = apply(plan, source.module, step)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:             # on the same disk, gone in any case
        file = Path(save_model(source.module, Path(folder) / out.name))
        manifest = make_manifest(source, sha256, plan, figures, file)
        told = write_text(Path(folder) / beside.name, json.dumps(manifest, indent=1) + "\n")
        os.replace(file, out)
        os.replace(told, beside)
    return manifest, [out, beside]


def refuse_classes(recipe: Recipe) -> None:
    """A file of tensors does not say what modules they were of.  Errors: RECIPE-6."""
    for rule in recipe.weight:
        if rule.module and not rule.optional:                                              # RECIPE-6
            raise SpecError("RECIPE-6", f"{rule.where}.module: a file of tensors has no modules.", given=", ".join(rule.module),
                            wanted="a rule that selects by name and size",
                            fix="give the model's folder, or module:function; or copy the recipe, and write e.g. "
                            'name = "encoder.*.weight" instead of module')


def manifest_path(out: Path) -> Path:
    """model.safetensors -> model.manifest.json, beside it."""
    return out.with_name(f"{out.name.removesuffix('.safetensors')}.manifest.json")


def refuse_input(written: Path, files: tuple[Path, ...]) -> None:
    """Refuse to write over what is read.  Errors: RECIPE-9."""
    for file in files:
        if written.exists() and file.exists() and written.samefile(file):                  # RECIPE-9
            raise SpecError("RECIPE-9", f"{written} is part of the input.", wanted="another file to write",
                            given=f"-o {written}", fix=f"e.g. -o {written.with_name('sparse.safetensors')}")
