"""A registered implementation, run as an autograd.Function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..tensor.sparse_tensor import SparseTensor


@dataclass(frozen=True)
class Chosen:
    """operator: what it means; forward: the function that runs, None: the operator; backward: gradients of the results ->
    the function for them, None: none is registered."""

    operator: Callable[..., Any]
    forward: Callable[..., Any] | None
    backward: Callable[[tuple[Any, ...]], Callable[..., Any] | None]


def run(chosen: Chosen, operands: list[Any], check: Callable[[Any], None] | None) -> Any:
    """The operands, dense and sparse -> the result; `check` looks at it."""
    return _Registered.apply(chosen, check, *operands)


class _Registered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chosen: Chosen, check: Callable[[Any], None] | None, *operands: Any) -> Any:
        ctx.chosen, ctx.operands = chosen, operands
        ctx.versions = [operand._version if _is_counted(operand) else None for operand in ctx.operands]
        with torch._C.DisableTorchFunctionSubclass():          # an implementation may call the operator itself
            if chosen.forward is None:
                ctx.save_for_backward(*(operand for operand in operands if isinstance(operand, Tensor)))
                return chosen.operator(*operands)
            result = chosen.forward(ctx, *operands)
        if check is not None:
            check(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        function = ctx.chosen.backward(grads)
        with torch._C.DisableTorchFunctionSubclass():
            found = _by_the_dense_meaning(ctx, grads) if function is None else function(ctx, *grads)
        given = found if isinstance(found, tuple) else (found,)
        return (None, None, *given, *[None] * (len(ctx.operands) - len(given)))


def _by_the_dense_meaning(ctx: Any, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """Gradients of the operator on decoded operands: of every entry, stored or not, as autograd has it for a sparse tensor."""
    for operand, version in zip(ctx.operands, ctx.versions, strict=True):
        if version is not None and operand._version != version:
            raise RuntimeError("an operand was changed in place between the forward and the backward pass")
    needed = ctx.needs_input_grad[2:]
    operands = [_leaf(operand, wanted) for operand, wanted in zip(ctx.operands, needed, strict=True)]
    with torch.enable_grad():
        result = ctx.chosen.operator(*operands)
    results = [item for item in (result if isinstance(result, tuple) else (result,)) if isinstance(item, Tensor)]
    outer = [grad.to_dense() if isinstance(grad, SparseTensor) else grad for grad in grads]
    leaves = [operand for operand, wanted in zip(operands, needed, strict=True) if wanted]
    pairs = [(item, grad) for item, grad in zip(results, outer, strict=True) if grad is not None and item.requires_grad]
    found = iter(torch.autograd.grad([item for item, _ in pairs], leaves, [grad for _, grad in pairs], allow_unused=True))
    return tuple(next(found) if wanted else None for wanted in needed)


def _leaf(operand: Any, wanted: bool) -> Any:
    if not isinstance(operand, Tensor):
        return operand
    dense = operand.to_dense() if isinstance(operand, SparseTensor) else operand
    return dense.detach().requires_grad_(wanted)


def _is_counted(operand: Any) -> bool:
    return isinstance(operand, Tensor) and not operand.is_inference()
