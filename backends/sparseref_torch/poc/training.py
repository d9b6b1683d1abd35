"""One training run: the same loop for the dense model and for a sparse one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from sparseref import SpecError

from ..tensor import SparseTensor
from ..training import SparsityGuard
from .task import Task

LEARNING_RATE, WARM_UP, LONGEST_GRADIENT = 3e-4, 10, 1.0
"""Of AdamW; steps until the full rate; what the norm of all gradients is clipped to."""
STEPS = 200

OnStep = Callable[[int], None]


def train(model: nn.Module, teacher: nn.Module, task: Task, steps: int, seed: int, on_step: OnStep,
          pruners: Sequence[Any] = ()) -> nn.Module:
    """model, its dense teacher -> the same model, trained for some steps and in eval mode.

    Sparse weights keep their pattern, unless pruners are given, which change it as the steps go by.
    Errors: POC-2 where the loss is no number, POC-3 where the task runs out of batches, TRAIN-7 where a pattern drifted.
    """
    torch.manual_seed(seed)                                    # dropout, where the task has not turned it off
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, scheduler = (task.optimizer or adamw)(parameters, steps)
    keeps_pattern = not pruners and any(isinstance(parameter, SparseTensor) for parameter in parameters)
    guard, batches = SparsityGuard(model) if keeps_pattern else None, iter(task.train_batches(seed))
    for pruner in pruners:
        pruner.attach(optimizer)
    model.train()
    for step in range(steps):
        batch = next(batches, None)
        if batch is None:                                                                  # POC-3
            raise SpecError("POC-3", "train_batches ran out.", wanted=f"{steps} batches", given=f"{step} batches",
                            fix="begin again at the end: `while True: yield from ...`")
        loss = task.loss(model, teacher, batch)
        if not bool(torch.isfinite(loss)):                                                 # POC-2
            raise SpecError("POC-2", f"the loss is {loss.item()} at step {step}.", wanted="a number",
                            given=f"seed {seed}", fix="a lower learning rate, or fewer entries dropped")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, LONGEST_GRADIENT)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        on_step(step + 1)
    for pruner in pruners:
        pruner.finish()
    if guard is not None:
        guard.check()
    return model.eval()


def adamw(parameters: Iterable[nn.Parameter], steps: int) -> tuple[Optimizer, LRScheduler]:
    """AdamW without weight decay, a short warm-up, then down to zero along a cosine."""
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)

    def rate(step: int) -> float:
        if step < WARM_UP:
            return (step + 1) / WARM_UP
        return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(steps - WARM_UP, 1)))

    return optimizer, LambdaLR(optimizer, rate)
