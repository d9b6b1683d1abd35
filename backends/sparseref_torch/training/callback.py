"""Hugging Face's Trainer: pruning, growing and guarding as a callback."""

from __future__ import annotations

from typing import Any

from sparseref.errors import MissingDependency

try:
    from transformers import TrainerCallback
except ImportError as missing:
    raise MissingDependency("transformers", "SparsityCallback", "models") from missing

from .guard import SparsityGuard
from .regime import Regime


class SparsityCallback(TrainerCallback):
    """`Trainer(..., callbacks=[SparsityCallback(pruner)])`: the pruner steps with the Trainer's optimizer.

    regimes: a Pruner, SET, RigL, or none to guard a model that is sparse already.  guard: check the patterns after every
    optimizer step.  At the end of training the regimes finish; one whose schedule is longer than the training says so.
    Errors: TRAIN-6, TRAIN-9, TRAIN-10.
    """

    def __init__(self, *regimes: Regime, guard: bool = True) -> None:
        self.regimes, self.wants_guard = regimes, guard
        self.guard: SparsityGuard | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any) -> None:
        for regime in self.regimes:
            regime.attach(optimizer)
        if self.wants_guard:
            self.guard = SparsityGuard(model, *self.regimes).attach(optimizer)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.guard is not None:
            self.guard.detach()
        for regime in self.regimes:
            regime.finish()
