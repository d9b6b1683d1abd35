"""Optimizers that follow a parameter: to another object, and to another pattern."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from ..tensor import SparseTensor


def unwrapped(optimizer: Any) -> Optimizer:
    """An optimizer, or a wrapper that keeps one as `.optimizer` (accelerate's) -> the optimizer itself."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer  # type: ignore[no-any-return]


def swap(optimizer: Optimizer, old: Tensor, new: Tensor) -> bool:
    """Where the optimizer holds `old`, it holds `new` afterwards, with the old one's state in new's pattern."""
    found = False
    for group in optimizer.param_groups:
        for place, parameter in enumerate(group["params"]):
            if parameter is old:
                group["params"][place], found = new, True
    if found and old in optimizer.state:
        optimizer.state[new] = {key: _like(new, value) for key, value in optimizer.state.pop(old).items()}
    return found


def follow(optimizer: Optimizer, parameter: SparseTensor, restart: Tensor | None = None) -> None:
    """Bring the state of a parameter into its pattern: entries that stay keep their state, new ones begin at 0.

    restart: bool [shape], entries whose state begins anew although they are stored before and after.
    """
    for key, value in optimizer.state.get(parameter, {}).items():
        if _is_entrywise(value, parameter):
            dense = value.to_dense() if isinstance(value, SparseTensor) else value
            if restart is not None:
                dense = dense.masked_fill(restart, 0)
            moved = _like(parameter, dense)
            if isinstance(value, SparseTensor):
                value.set_sparse_(moved)
            else:
                optimizer.state[parameter][key] = moved


def reset(optimizer: Optimizer, parameter: Tensor) -> None:
    """Forget the state of a parameter, as if training began."""
    optimizer.state.pop(parameter, None)


def _like(parameter: Tensor, value: Any) -> Any:
    """A state of the shape of a sparse parameter -> with its slots; anything else as it is."""
    if not isinstance(parameter, SparseTensor) or not _is_entrywise(value, parameter):
        return value
    dense = value.to_dense() if isinstance(value, SparseTensor) else value
    return parameter.detach().like(dense)


def _is_entrywise(value: Any, parameter: Tensor) -> bool:
    """True for a state with one number for each entry; step counts and factored states are none."""
    return isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() > 0
