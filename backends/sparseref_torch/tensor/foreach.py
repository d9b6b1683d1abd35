"""What optimizers call on whole lists of tensors: foreach and fused operators, gradient clipping, loss scaling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import opaque
from .dispatch import computed, general, name_of
from .operands import in_slots
from .sparse_tensor import SparseTensor

MANY = ("_foreach_", "_fused_", "_amp_foreach_")


@general
def in_place_on_lists(func: Any, args: Any, kwargs: Any) -> Any:
    """Lists of tensors, the first one written to: the values of sparse ones, with all else gathered into their slots."""
    if not name_of(func).startswith(MANY) or not _writes(func):
        return NotImplemented
    anchors = args[0]

    def values(operand: Any) -> Any:
        if not isinstance(operand, list | tuple) or len(operand) != len(anchors):
            return operand
        return [_value(anchor, item) for anchor, item in zip(anchors, operand, strict=True)]

    func(*map(values, args), **{name: values(operand) for name, operand in kwargs.items()})
    for operand in args:                                       # fused operators write their state lists, too
        for item in operand if isinstance(operand, list | tuple) else ():
            if isinstance(item, SparseTensor):
                opaque.written(item.sparse)
    computed(func, args, kwargs, "slots")
    return None


@general
def one_by_one(func: Any, args: Any, kwargs: Any) -> Any:
    """A foreach operator that makes new tensors -> the operator itself for each tensor."""
    name = name_of(func)
    if not name.startswith("_foreach_") or _writes(func):
        return NotImplemented
    single = torch.linalg.vector_norm if name == "_foreach_norm" else getattr(torch, name.removeprefix("_foreach_"))
    count = len(args[0])

    def item(operand: Any, i: int) -> Any:
        return operand[i] if isinstance(operand, list | tuple) and len(operand) == count else operand

    return [single(*(item(operand, i) for operand in args), **{key: item(operand, i) for key, operand in kwargs.items()})
            for i in range(count)]


def _value(anchor: Any, item: Any) -> Any:
    """What stands for `item` beside `anchor`: gathered into its slots, or decoded beside a dense one."""
    if isinstance(anchor, SparseTensor):
        return in_slots(anchor, item) if isinstance(item, Tensor) and item.dim() == anchor.dim() else item
    return item.to_dense() if isinstance(item, SparseTensor) else item


def _writes(func: Any) -> bool:
    return any(argument.alias_info is not None and argument.alias_info.is_write for argument in func._schema.arguments)
