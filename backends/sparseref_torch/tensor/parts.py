"""Views of a sparse tensor that its layout has no form for, such as a row: read densely, written through to the slots."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from . import fused, trace
from .operands import bits_of, dense, layouts_of
from .sparse_tensor import SparseTensor

aten = torch.ops.aten

Step = tuple[Any, tuple[Any, ...], dict[str, Any], int | None]
"""A view operator, its other operands, and which of several results is meant."""

REPEATING = (aten.expand.default, aten.view.default, aten._unsafe_view.default, aten._reshape_alias.default)
"""Views by which matmul repeats a matrix for each matrix of a batch."""


class SparsePart(Tensor):
    """base SparseTensor, steps from it to this view -> the view, with the shape and the strides that it has of a dense base.

    Reading decodes the base.  What is written goes to the base's slots; an entry that is not zero and has no slot is
    refused (TENSOR-3), so that `weight[0] = 1` is never half done.
    """

    base: SparseTensor
    steps: tuple[Step, ...]

    @staticmethod
    def __new__(cls, base: SparseTensor, steps: tuple[Step, ...], form: Tensor) -> SparsePart:
        return Tensor._make_wrapper_subclass(cls, form.shape, strides=form.stride(), storage_offset=form.storage_offset(),
                                             dtype=base.dtype, device=base.device)

    def __init__(self, base: SparseTensor, steps: tuple[Step, ...], form: Tensor) -> None:
        self.base, self.steps = base, steps

    def read(self) -> Tensor:
        """-> dense [shape], memory of its own."""
        return _seen(dense(self.base), self.steps).clone()

    def write(self, values: Tensor) -> None:
        """values [shape] -> the base's slots.  Errors: TENSOR-3."""
        whole = dense(self.base)
        _seen(whole, self.steps).copy_(values)
        self.base.copy_(whole)

    @property
    def repeated(self) -> SparseTensor | None:
        """The matrix [M, K] that this view [B, M, K] repeats, if it is such a view."""
        only = all(func in REPEATING for func, *_ in self.steps)
        return self.base if only and self.dim() == 3 and self.base.dim() == 2 and self.shape[1:] == self.base.shape else None

    def __tensor_flatten__(self) -> tuple[list[str], Any]:
        return ["base"], self.steps

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Any], steps: Any, shape: Any, stride: Any) -> SparsePart:
        return SparsePart(inner["base"], steps, torch.empty_strided(shape, stride, device="meta"))

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:                       # type: ignore[override]
        return f"SparsePart(of {self.base!r}, shape={tuple(self.shape)})"

    def numpy(self, *, force: bool = False) -> Any:
        return self.read().numpy(force=force)

    def tolist(self) -> Any:
        return self.read().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return memo.setdefault(id(self), self.read())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.read().__reduce_ex__(protocol)


def part_of(func: Any, args: Any, kwargs: Any) -> Any:
    """A view operator on a sparse tensor or a part of one -> the part, or a list of parts."""
    whole = args[0]
    base, steps = (whole.base, whole.steps) if isinstance(whole, SparsePart) else (whole, ())
    form = torch.empty_strided(whole.shape, whole.stride(), device="meta")
    if whole.storage_offset():
        form = torch.empty(whole.storage_offset() + _reach(whole), device="meta").as_strided(
            whole.shape, whole.stride(), whole.storage_offset())
    forms = func(form, *args[1:], **kwargs)
    with torch.inference_mode(whole.is_inference()):           # a view counts versions with what it is a view of
        if isinstance(forms, Tensor):
            return SparsePart(base, (*steps, (func, args[1:], kwargs, None)), forms)
        return [SparsePart(base, (*steps, (func, args[1:], kwargs, i)), form) for i, form in enumerate(forms)]


def is_view(func: Any) -> bool:
    """True for operators whose results share the memory of their first operand; `to` does only where nothing changes."""
    return (func.is_view and func.overloadpacket is not aten.to) or func is aten._unsafe_view.default


def run(func: Any, args: Any, kwargs: Any) -> Any:
    """One aten operator with a part of a sparse tensor among its operands."""
    if is_view(func):
        return part_of(func, args, kwargs)
    if func is aten.bmm.default:
        product = _each(*args)
        if product is not None:
            return product
    place = fused.WEIGHT.get(func)
    if place is not None and isinstance(args[place], SparsePart) and not kwargs and not any(
            isinstance(operand, SparsePart | SparseTensor) for i, operand in enumerate(args) if i != place):
        product = fused.product(func, args, args[place].base)
        if product is not None:
            return product
    trace.fell_back(func.overloadpacket.__name__, layouts_of(_bases((args, kwargs))), "an operand is a part of a sparse tensor",
                    bits_of(_bases((args, kwargs))))
    seen: dict[int, Tensor] = {}
    plain, named = tree_map_only(SparsePart, lambda part: seen.setdefault(id(part), part.read()), (args, kwargs))
    result = func(*plain, **named)
    for place, argument in enumerate(func._schema.arguments):
        given = args[place] if place < len(args) else kwargs.get(argument.name)
        if argument.alias_info is not None and argument.alias_info.is_write and isinstance(given, SparsePart):
            given.write(seen[id(given)])
            result = given if result is seen[id(given)] else result
    return result


def _each(a: Tensor, b: Tensor) -> Tensor | None:
    """a [B, M, K], b [B, K, N], one of them a sparse matrix that is repeated -> [B, M, N], by one product."""
    if isinstance(b, SparsePart) and not isinstance(a, SparsePart | SparseTensor) and b.repeated is not None:
        return torch.mm(a.reshape(-1, a.shape[2]), b.repeated).reshape(*a.shape[:2], -1)
    if isinstance(a, SparsePart) and not isinstance(b, SparsePart | SparseTensor) and a.repeated is not None:
        return torch.mm(b.mT.reshape(-1, b.shape[1]), a.repeated.t()).reshape(b.shape[0], b.shape[2], -1).mT.contiguous()
    return None


def _seen(whole: Tensor, steps: tuple[Step, ...]) -> Tensor:
    for func, args, kwargs, which in steps:
        whole = func(whole, *args, **kwargs)
        whole = whole if which is None else whole[which]
    return whole


def _reach(whole: Tensor) -> int:
    return 1 + sum((side - 1) * stride for side, stride in zip(whole.shape, whole.stride(), strict=True) if side)


def _bases(operands: Any) -> Any:
    return tree_map_only(SparsePart, lambda part: part.base, operands)
