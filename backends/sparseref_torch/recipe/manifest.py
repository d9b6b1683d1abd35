"""The manifest: what a sparse file was made from and what it holds, the same bytes from the same input."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sparseref import spec
from sparseref.files import read_header

from .applying import Figures
from .recipe import Recipe
from .source import Source

VERSION = 1
PACKAGES = ("numpy", "torch", "sparseref")


def make_manifest(source: Source, source_sha256: str, recipe: Recipe, figures: Sequence[Figures], file: Path) -> dict[str, Any]:
    """What was given, what was made of it, the file that holds it -> the manifest; no time, no path, nothing of the machine.

    source_sha256: of the input's tensors, taken before they were replaced.
    """
    header = read_header(file)
    sparse = [{**asdict(one), **shares(asdict(one)), "sha256": header.arrays[one.name].sha256} for one in figures]
    names = {one.name for one in figures}
    dense = [{"name": name, "shape": list(entry.shape), "dtype": entry.dtype.name, "sha256": entry.sha256}
             for name, entry in header.arrays.items() if name not in names]
    return {
        "manifest": VERSION,
        "versions": versions(),
        "seeds": {"recipe": recipe.seed},
        "model": {"kind": source.kind, "name": source.name, "sha256": source_sha256},
        "recipe": {"sha256": recipe.sha256, "content": recipe.to_dict()},
        "file": {"name": file.name, "bytes": file.stat().st_size, "sha256": sha256_of(file)},
        "total": total(figures),
        "sparse": sparse,
        "dense": dense,
        "ties": dict(header.ties),
    }


def versions() -> dict[str, str]:
    """What the bits depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES},
            "spec": max((clause.since for clause in spec.clauses().values()), key=lambda since: [*map(int, since.split("."))])}


def total(figures: Sequence[Figures]) -> dict[str, Any]:
    """All sparse weights together; energy is left out: magnitudes of different weights do not add up to anything."""
    sums: dict[str, Any] = {key: sum(getattr(one, key) for one in figures)
                            for key in ("entries", "stored", "bits", "dense_bits")}
    return {**sums, **shares(sums)}


def shares(of: dict[str, Any]) -> dict[str, float]:
    """entries, stored, bits, dense_bits -> sparsity, bits an entry, share of the dense weight's bits."""
    entries = max(of["entries"], 1)
    return {"sparsity": round(1 - of["stored"] / entries, 6), "bits_per_entry": round(of["bits"] / entries, 4),
            "size": round(of["bits"] / max(of["dense_bits"], 1), 6)}


def sha256_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
