"""What a tracer must not look into: three custom operators that torch.compile and torch.export take as they are.

Finding slots and choosing a kernel depend on data.  Eager calls go straight through; while a graph is being traced
the same work becomes one node of it, whose shape is known beforehand.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from sparseref.registry import parse_layout

from ..tensors import TorchSparse
from . import kernels, slots


def tracing(*tensors: Tensor) -> bool:
    """True while torch.compile or torch.export looks at the call, and for tensors without data."""
    return _get_current_dispatch_mode() is not None or any(type(tensor) is not Tensor or tensor.is_meta for tensor in tensors)


def to_dense(a: TorchSparse) -> Tensor:
    """a -> dense [matrix]."""
    return torch.ops.sparseref.to_dense(*_parts(a)) if tracing(a.values) else slots.decoded(a)


def gather(a: TorchSparse, dense: Tensor) -> Tensor:
    """dense [matrix] -> values of a's slots [shape of `values`]."""
    return torch.ops.sparseref.gather(*_parts(a), dense) if tracing(a.values, dense) else slots.gather(a, dense)


def contract(a: TorchSparse, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
    """a [R, C], x [T, C] -> plus + x aT [T, R]; turned: x [T, R] -> plus + x a [T, C]."""
    if tracing(a.values, x):
        return torch.ops.sparseref.contract(*_parts(a), x, turned, kernels.in_training(), plus)
    return kernels.contract(a, x, turned, plus)


def cleared(values: Tensor, a: TorchSparse) -> Tensor:
    """values [shape of `values`] -> the same with +0 in a's padding, written in place where nothing is traced."""
    return values if tracing(values) else slots.cleared(values, a)


def written(a: TorchSparse) -> None:
    """After values were written in place: clear the padding, and make known that what was kept of them is out of date.

    Autograd counts the versions of the outer tensor only; below it, where this runs, nobody counts for the inner one.
    """
    cleared(a.values, a)
    if not tracing(a.values) and not a.values.is_inference():
        torch.autograd.graph.increment_version(a.values)


def _parts(a: TorchSparse) -> tuple[list[Tensor], str, list[str], list[int]]:
    return list(a.tensors.values()), str(a.layout), list(a.tensors), list(a.shape)


def _sparse(fields: list[Tensor], layout: str, names: list[str], matrix: list[int]) -> TorchSparse:
    return TorchSparse(parse_layout(layout), tuple(matrix), dict(zip(names, fields, strict=True)))


@torch.library.custom_op("sparseref::to_dense", mutates_args=(),
                         schema="(Tensor[] fields, str layout, str[] names, int[] matrix) -> Tensor")
def _to_dense(fields: list[Tensor], layout: str, names: list[str], matrix: list[int]) -> Tensor:
    return slots.decoded(_sparse(fields, layout, names, matrix))


@_to_dense.register_fake
def _(fields: Any, layout: Any, names: Any, matrix: Any) -> Tensor:
    return _values(fields, names).new_empty(matrix)


@torch.library.custom_op("sparseref::gather", mutates_args=(),
                         schema="(Tensor[] fields, str layout, str[] names, int[] matrix, Tensor dense) -> Tensor")
def _gather(fields: list[Tensor], layout: str, names: list[str], matrix: list[int], dense: Tensor) -> Tensor:
    return slots.gather(_sparse(fields, layout, names, matrix), dense)


@_gather.register_fake
def _(fields: Any, layout: Any, names: Any, matrix: Any, dense: Tensor) -> Tensor:
    return dense.new_empty(_values(fields, names).shape)


@torch.library.custom_op("sparseref::contract", mutates_args=(),
                         schema="(Tensor[] fields, str layout, str[] names, int[] matrix, Tensor x, bool turned, bool training,"
                                " Tensor? plus) -> Tensor")
def _contract(fields: list[Tensor], layout: str, names: list[str], matrix: list[int], x: Tensor, turned: bool, training: bool,
              plus: Tensor | None) -> Tensor:
    with kernels.as_in_training(training):                     # what runs a graph switches gradients off
        return kernels.contract(_sparse(fields, layout, names, matrix), x, turned, plus).contiguous()


@_contract.register_fake
def _(fields: Any, layout: Any, names: Any, matrix: Any, x: Tensor, turned: bool, training: bool,
      plus: Tensor | None) -> Tensor:
    return x.new_empty(x.shape[0], matrix[1 if turned else 0])


def _values(fields: list[Tensor], names: list[str]) -> Tensor:
    return fields[names.index("values")]
