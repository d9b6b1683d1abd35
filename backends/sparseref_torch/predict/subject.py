"""Which model is predicted: one that comes with sparseref, or a Python file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..importing import check_defined, module_at
from ..poc.task import taken
from . import models


@dataclass(frozen=True)
class Subject:
    """A dense model, what it is called with, and name patterns of the weights to make sparse; None: all that are worth it."""

    name: str
    model: nn.Module
    batch: Any
    patterns: tuple[str, ...] | None


def built_in() -> dict[str, str]:
    """Name -> module of every model that comes with sparseref."""
    return {name.replace("_", "-"): f"{models.__name__}.{name}" for _, name, _ in pkgutil.iter_modules(models.__path__)}


def load_subject(named: str, patterns: Sequence[str] | None = None) -> Subject:
    """A model's name such as "bert-base", or the path of a Python file -> the Subject, in eval mode.

    The file defines load_model() -> the model, and example() -> what it is called with, a dict by keyword, a tuple by position;
    and perhaps PRUNE, name patterns, for which `patterns` may stand in.  A task of `sparseref poc` is such a file: its model is
    trained no longer than it must be, and without example its first training batch is taken.  Errors: PREDICT-1.
    """
    known = built_in()
    module: Any = importlib.import_module(known[named]) if named in known else module_at(named, "PREDICT-1", "model", known)
    example = "train_batches" if hasattr(module, "train_batches") and not hasattr(module, "example") else "example"
    check_defined(module, ("load_model", example), "PREDICT-1", named, "`sparseref predict --help` shows a whole file")
    batch = next(iter(module.train_batches(0))) if example == "train_batches" else module.example()
    chosen = patterns or getattr(module, "PRUNE", None)
    name = named if named in known else Path(named).stem
    model = module.load_model(**taken(module.load_model, {"quick": True, "progress": None}))
    return Subject(name, model.eval(), batch, (chosen,) if isinstance(chosen, str) else chosen and tuple(chosen))
