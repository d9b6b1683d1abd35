"""Operators that arrange, copy or make tensors: the fields are shared or copied, the shape is another."""

from __future__ import annotations

from typing import Any

import torch

from sparseref import SpecError
from sparseref.dtypes import DTYPES

from .dispatch import computed, densely, implements, write
from .operands import dense, share_slots
from .sparse_tensor import SparseTensor

aten = torch.ops.aten

SAME_ORDER = (aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.unsqueeze.default, aten.squeeze.default,
              aten.squeeze.dim, aten.squeeze.dims, aten.flatten.using_ints, aten.unflatten.int, aten._reshape_alias.default)
"""Views that leave the order of the entries alone."""


@implements(aten.detach, aten.alias, aten.lift_fresh, aten.view_as, aten.contiguous)
def alias(func: Any, args: Any, kwargs: Any) -> Any:
    """[shape] -> [shape], the same memory."""
    a = args[0]
    with torch.inference_mode(a.is_inference()):               # what shares the memory of a counts its versions, too
        return SparseTensor(a.sparse, a.shape, a.turned).alike(a)


@implements(*SAME_ORDER)
def view(func: Any, args: Any, kwargs: Any) -> Any:
    """[shape] -> another shape with the entries in the same order, the same memory."""
    a = args[0]
    shape = func(torch.empty(a.shape, device="meta"), *args[1:], **kwargs).shape
    if shape == a.shape:
        return alias(func, args, kwargs)
    only_units = [side for side in shape if side != 1] == [side for side in a.shape if side != 1]
    return NotImplemented if a.turned and not only_units else SparseTensor(a.sparse, shape, a.turned)


@implements(aten.t)
def t(func: Any, args: Any, kwargs: Any) -> Any:
    """[R, C] -> [C, R], the same memory: the matrix stays as it lies."""
    a = args[0]
    return SparseTensor(a.sparse, a.shape[::-1], not a.turned) if _is_matrix(a) else NotImplemented


@implements(aten.transpose.int, aten.permute.default, aten.numpy_T, aten.adjoint, aten.mT)
def transpose(func: Any, args: Any, kwargs: Any) -> Any:
    """[R, C] and sides of 1 in any place -> another order of the axes, the same memory."""
    a = args[0]
    axes = [axis for axis, side in enumerate(a.shape) if side != 1]
    named = func(torch.empty([axis + 2 for axis in range(a.dim())], device="meta"), *args[1:], **kwargs).shape
    order = [side - 2 for side in named]                       # each axis told by its side
    shape, left = [a.shape[axis] for axis in order], [axis for axis in order if axis in axes]
    if left == axes:
        return SparseTensor(a.sparse, shape, a.turned)
    return SparseTensor(a.sparse, shape, not a.turned) if len(axes) == 2 == len(a.matrix) and _is_matrix(a) else NotImplemented


def _is_matrix(a: SparseTensor) -> bool:
    """True where a has the sides of its stored matrix, in one order or the other."""
    sides = [side for side in a.shape if side != 1]
    return sides == [side for side in (a.matrix[::-1] if a.turned else a.matrix) if side != 1]


@implements(aten.clone)
def clone(func: Any, args: Any, kwargs: Any) -> Any:
    """[shape] -> [shape] with values of its own; a transpose that shall lie contiguously must be dense."""
    a = args[0]
    if kwargs.get("memory_format") is torch.contiguous_format and not a.is_contiguous():
        return densely(func, args, kwargs, "a transpose is stored as what it is the transpose of")
    return a.with_values(a.sparse.values.clone())


@implements(aten._to_copy)
def to_copy(func: Any, args: Any, kwargs: Any) -> Any:
    """[shape] -> [shape] in another dtype or on another device."""
    a, how = args[0], {name: value for name, value in kwargs.items() if name in ("dtype", "device", "non_blocking")}
    dtype = how.pop("dtype", None) or a.dtype
    if str(dtype).removeprefix("torch.") not in DTYPES:
        return NotImplemented
    sparse = a.sparse
    moved = {name: tensor.to(**how) if how.get("device") is not None else tensor for name, tensor in sparse.tensors.items()}
    moved["values"] = aten._to_copy(sparse.values, dtype=dtype, **how)
    return SparseTensor(type(sparse)(sparse.layout, sparse.shape, moved), a.shape, a.turned).alike(a)


@implements(aten.zeros_like, aten.empty_like)
def zeros_like(func: Any, args: Any, kwargs: Any) -> Any:
    """[shape] -> zeros [shape] with the same slots, so that an optimizer's state is as small as its parameter."""
    a, dtype = args[0], kwargs.get("dtype")
    if (dtype and str(dtype).removeprefix("torch.") not in DTYPES) or kwargs.get("device") not in (None, a.device):
        return NotImplemented
    return a.with_values(torch.zeros_like(a.sparse.values, dtype=dtype))


@implements(aten.full_like)
def full_like(func: Any, args: Any, kwargs: Any) -> Any:
    """[shape] -> [shape], all entries one number: with the same slots where it is 0, as Adagrad's state; else dense."""
    return zeros_like(aten.zeros_like.default, args[:1], kwargs) if args[1] == 0 else anew(func, args, kwargs)


@implements(aten.ones_like, aten.rand_like, aten.randn_like, aten.randint_like)
def anew(func: Any, args: Any, kwargs: Any) -> Any:
    """[shape] -> dense [shape]: nothing is decoded."""
    form = args[0].sparse.values.new_empty(()).expand(args[0].shape)
    return func(form, *args[1:], **{"memory_format": torch.contiguous_format, **kwargs})


@implements(aten.new_zeros, aten.new_empty, aten.new_ones, aten.new_full, aten.new_empty_strided)
def new(func: Any, args: Any, kwargs: Any) -> Any:
    """A dense tensor of another shape, with a's dtype and device."""
    return func(args[0].sparse.values, *args[1:], **kwargs)


@implements(aten.copy_)
def copy_(func: Any, args: Any, kwargs: Any) -> Any:
    """Into a dense tensor: decode.  Into a sparse one: its slots, or those of a sparse source, so that nothing is lost.

    Errors: TENSOR-3 for a dense source with entries that have no slot.
    """
    target, source = args[0], args[1]
    if not isinstance(target, SparseTensor):
        computed(func, args, kwargs, "decode")
        return target.copy_(dense(source))
    if isinstance(source, SparseTensor) and source.shape == target.shape and source.turned == target.turned:
        if share_slots(target, source):
            return write(target, source.sparse.values)
        return _take_over(target, source)
    spread = dense(source).expand(target.shape)
    inside = target.like(spread.to(target.dtype))
    lost = int(spread.count_nonzero()) - int(inside.sparse.values.count_nonzero())
    if lost > 0:                                                                           # TENSOR-3
        raise SpecError("TENSOR-3", f"{lost:,} entries have no slot to go to.",
                        wanted=f"zeros where {target.descriptor} of shape {tuple(target.shape)} stores nothing",
                        given="dense values", fix="sparsify(dense, format) makes a new pattern; "
                        "target.copy_(target.like(dense)) drops them")
    return write(target, inside.sparse.values)


def _take_over(target: SparseTensor, source: SparseTensor) -> SparseTensor:
    """The pattern and the values of the source, in the target's dtype and on its device."""
    here = source.to(dtype=target.dtype, device=target.device)
    sparse = here.sparse
    target._hold(sparse.with_values(sparse.values.clone()) if here is source else sparse)
    return target


@implements(aten.equal)
def equal(func: Any, args: Any, kwargs: Any) -> Any:
    """True where both have one shape and the same entries, a structural zero being 0."""
    computed(func, args, kwargs, "decode")
    return torch.equal(dense(args[0]), dense(args[1]))


@implements(aten.is_same_size)
def is_same_size(func: Any, args: Any, kwargs: Any) -> Any:
    return args[0].shape == args[1].shape

