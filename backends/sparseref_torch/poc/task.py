"""What `sparseref poc` asks of a task: three functions in a Python file, and a few more that it may define."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..importing import check_defined, module_at
from . import tasks

FORMATS = ("nmg:2:8:8", "nmg:1:8:8")
"""Three of four entries dropped, and seven of eight."""
NEEDED = ("load_model", "train_batches", "evaluate")
Batch = Any
"""What a model is called with: a dict by keyword, a tuple or list by position, anything else as it is."""


@dataclass(frozen=True)
class Task:
    """A trained model, what to train it on, and how good it is.

    load_model() -> the dense model with its trained weights, the same at each call
    train_batches(seed) -> batches without end, in an order that the seed decides; none of what `evaluate` looks at
    evaluate(model) -> a number, larger is better, or (number, standard error)

    Optional in the file, with these defaults:
    loss(model, teacher, batch) -> what training minimises; default: mean squared distance of the outputs from those of the
        dense teacher, so that no labels are needed
    PRUNE: name patterns of the weights to make sparse; default: those of every Linear and of every Conv2d without groups
    example() -> the batch whose latency is measured; default: the first training batch
    METRIC: what evaluate's number is called; default "score"
    STEPS, and optimizer(parameters, steps) -> (optimizer, its scheduler or None): how training is done; default: the runner's
    FORMATS: the formats that are tried where none is named; default: nmg:2:8:8 and nmg:1:8:8
    prepare(model, form, seed, progress): how the dense model is made sparse before it is trained, progress(done, of all);
        default: the largest entries are kept
    calibrate(model): a control that trains nothing, such as BatchNorm's statistics measured anew; default: no such control
    also(model) -> {what: number}: other figures, such as on another data set, that are shown and decide nothing
    load_model may take `quick`, to train less where it has to train, and `progress`, called with (stage, steps done, of all);
    prepare may take `quick`, too
    """

    name: str
    load_model: Callable[[], nn.Module]
    train_batches: Callable[[int], Iterable[Batch]]
    evaluate: Callable[[nn.Module], float | tuple[float, float]]
    loss: Callable[[nn.Module, nn.Module, Batch], Tensor]
    prune: tuple[str, ...] | None
    example: Callable[[], Batch]
    metric: str
    steps: int | None = None
    optimizer: Callable[[Iterable[nn.Parameter], int], tuple[Optimizer, LRScheduler | None]] | None = None
    calibrate: Callable[[nn.Module], None] | None = None
    formats: tuple[str, ...] = FORMATS
    prepare: Callable[..., nn.Module] | None = None
    also: Callable[[nn.Module], dict[str, float]] = lambda model: {}

    def dense(self, quick: bool = False, progress: Callable[[str, int, int], None] | None = None) -> nn.Module:
        """What load_model gives; it is told of `quick` and `progress` if it takes them."""
        return self.load_model(**taken(self.load_model, {"quick": quick, "progress": progress}))


def taken(function: Callable[..., Any], told: dict[str, Any]) -> dict[str, Any]:
    """Of what a function of a task may be told, what it takes."""
    return {name: value for name, value in told.items() if name in inspect.signature(function).parameters}


def load_task(named: str) -> Task:
    """A built-in task's name such as "minilm-bbc", or the path of a Python file -> the Task.  Errors: POC-1."""
    known = built_in()
    module = importlib.import_module(known[named]) if named in known else module_at(named, "POC-1", "task", known)
    check_defined(module, NEEDED, "POC-1", named, "`sparseref poc --help` shows a whole file of 20 lines")
    prune = getattr(module, "PRUNE", None)
    return Task(named if named in known else Path(named).stem, module.load_model, module.train_batches, module.evaluate,
                getattr(module, "loss", imitate), (prune,) if isinstance(prune, str) else prune and tuple(prune),
                getattr(module, "example", lambda: next(iter(module.train_batches(0)))), getattr(module, "METRIC", "score"),
                getattr(module, "STEPS", None), getattr(module, "optimizer", None), getattr(module, "calibrate", None),
                tuple(getattr(module, "FORMATS", FORMATS)), getattr(module, "prepare", None),
                getattr(module, "also", lambda model: {}))


def built_in() -> dict[str, str]:
    """Name -> module of every task that comes with sparseref."""
    return {name.replace("_", "-"): f"{tasks.__name__}.{name}" for _, name, _ in pkgutil.iter_modules(tasks.__path__)}


def call(model: nn.Module, batch: Batch) -> Any:
    """model, batch -> the model's output."""
    if isinstance(batch, dict):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple | list) else model(batch)


def imitate(model: nn.Module, teacher: nn.Module, batch: Batch) -> Tensor:
    """The mean squared distance between what the model and the dense teacher give for a batch."""
    return functional.mse_loss(first_tensor(call(model, batch)), first_tensor(call(teacher, batch)).detach())


def first_tensor(output: Any) -> Tensor:
    """A tensor, a tuple or a Hugging Face output -> its first tensor."""
    return output if isinstance(output, Tensor) else output[0]
