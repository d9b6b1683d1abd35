"""Train and eval mode: changed for a while, then as they were in every module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Whatever happens inside, each module is then in the mode that it is in now; a part may be frozen in eval mode."""
    before = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Inside, the whole model is in eval mode."""
    with kept_modes(model):
        model.eval()
        yield
