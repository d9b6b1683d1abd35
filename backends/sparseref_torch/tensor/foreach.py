"""What optimizers call on whole lists of tensors: foreach and fused operators, gradient clipping, loss scaling."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor

from sparseref import SpecError

from . import opaque
from .dispatch import computed, general, name_of, written_to
from .operands import FOLLOW, check_divisor, in_slots, share_slots
from .sparse_tensor import SparseTensor

MANY = ("_foreach_", "_fused_", "_amp_foreach_")

DIVISOR = {"_foreach_div_": 1, "_foreach_addcdiv_": 2}
"""Which operand divides."""


@general
def in_place_on_lists(func: Any, args: Any, kwargs: Any) -> Any:
    """Lists of tensors, the first one written to: the values of sparse ones, with all else gathered into their slots.

    Errors: TENSOR-5 for a sparse tensor to be written to that has other slots than the first list's.
    """
    if not name_of(func).startswith(MANY) or not _writes(func):
        return NotImplemented
    anchors = args[0]
    if name_of(func) in DIVISOR and isinstance(args[DIVISOR[name_of(func)]], list | tuple):
        for anchor, divisor in zip(anchors, args[DIVISOR[name_of(func)]], strict=True):
            check_divisor(anchor, divisor)

    def values(operand: Any) -> Any:
        if not isinstance(operand, list | tuple) or len(operand) != len(anchors):
            return operand
        return [_value(anchor, item) for anchor, item in zip(anchors, operand, strict=True)]

    plain, named = [values(operand) for operand in args], {name: values(operand) for name, operand in kwargs.items()}
    written = [(given, used) for given, used in written_to(func, args, kwargs, plain, named)
               if isinstance(given, list | tuple) and len(given) == len(anchors)]
    for given, _ in written:
        for anchor, item in zip(anchors, given, strict=True):
            if isinstance(item, SparseTensor) and isinstance(anchor, SparseTensor) and not share_slots(anchor, item):
                _refuse(func, anchor, item)
    func(*plain, **named)
    for given, used in written:
        for anchor, item, value in zip(anchors, given, used, strict=True):
            _write_back(anchor, item, value)
    computed(func, args, kwargs, "slots")
    return None


def _write_back(anchor: Tensor, item: Tensor, value: Tensor) -> None:
    """What stood for `item` beside `anchor` was written to -> so is the item."""
    if isinstance(item, SparseTensor) and isinstance(anchor, SparseTensor):
        opaque.written(item.sparse)
    elif value is not item:                                    # a dense state of a sparse parameter, or the other way round
        changed = anchor.with_values(value).to_dense() if isinstance(anchor, SparseTensor) else value
        item.copy_(torch.where(anchor.pattern, changed, item) if isinstance(anchor, SparseTensor) else changed)


def _refuse(func: Any, anchor: SparseTensor, item: SparseTensor) -> NoReturn:
    raise SpecError("TENSOR-5", "a state has other slots than its parameter, whose pattern has changed.",  # TENSOR-5
                    wanted=f"{anchor!r} and its state in the same slots", given=f"{name_of(func)} with a state {item!r}",
                    fix=FOLLOW)


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

    if single in (torch.addcmul, torch.addcdiv) and len(args) == 4:
        args, kwargs = args[:3], {"value": args[3]}            # torch takes it by name only
    return [single(*(item(operand, i) for operand in args), **{key: item(operand, i) for key, operand in kwargs.items()})
            for i in range(count)]


def _value(anchor: Any, item: Any) -> Any:
    """What stands for `item` beside `anchor`: gathered into its slots, or decoded beside a dense one."""
    if isinstance(anchor, SparseTensor):
        return in_slots(anchor, item) if isinstance(item, Tensor) and item.shape == anchor.shape else item
    return item.to_dense() if isinstance(item, SparseTensor) else item


def _writes(func: Any) -> bool:
    return any(argument.alias_info is not None and argument.alias_info.is_write for argument in func._schema.arguments)
