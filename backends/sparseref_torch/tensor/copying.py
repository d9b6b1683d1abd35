"""Copies of a sparse tensor and what a checkpoint holds of it: index tensors are shared, values are not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparseref.coding import check_fields
from sparseref.registry import parse_layout

from ..positions import LAYOUTS
from ..tensors import TorchSparse, to_numpy
from ..validation import is_valid
from . import opaque
from .sparse_tensor import SparseTensor


def deepcopy(a: SparseTensor, memo: dict[int, Any]) -> SparseTensor:
    """a -> a copy with values of its own, as nn.Parameter: a leaf without `.grad`."""
    if id(a) in memo:                                          # tied weights stay tied
        return memo[id(a)]
    if not a.is_leaf:
        raise RuntimeError("only leaf tensors can be deep-copied; detach() this one first")
    copy = a.with_values(a.sparse.values.clone())
    memo[id(a)] = copy
    return _as_before(copy, a.requires_grad, getattr(a, "_is_param", False), getattr(a, "grad_format", None))


def reduce(a: SparseTensor) -> Any:
    """What pickle and torch.save keep of a."""
    return rebuild, (str(a.descriptor), a.matrix, dict(a.sparse.tensors), tuple(a.shape), a.turned, a.requires_grad,
                     getattr(a, "_is_param", False), getattr(a, "grad_format", None))


def rebuild(layout: str, matrix: tuple[int, ...], tensors: dict[str, Tensor], shape: tuple[int, ...], turned: bool,
            requires_grad: bool, is_parameter: bool, grad_format: Any) -> SparseTensor:
    """What `reduce` kept -> the tensor; torch.load(weights_only=True) may call it.

    Errors: REG-2 for a layout that is not registered here, CORE-A1, CORE-A2 and the layout's own for fields that break it.
    """
    sparse = TorchSparse(parse_layout(layout), tuple(matrix), dict(tensors))
    if not opaque.tracing(*tensors.values()):
        _check(sparse)
    return _as_before(SparseTensor(sparse, tuple(shape), turned), requires_grad, is_parameter, grad_format)


def _check(sparse: TorchSparse) -> None:
    """Refuse fields that would make a kernel read where no memory is (CORE-A3)."""
    fields = {name: tensor.cpu() for name, tensor in sparse.tensors.items()}
    array = to_numpy(TorchSparse(sparse.layout, sparse.shape, fields), [])
    check_fields(array)
    if sparse.layout.name not in LAYOUTS or not is_valid(sparse):
        sparse.layout.validate(array)


def _as_before(tensor: SparseTensor, requires_grad: bool, is_parameter: bool, grad_format: Any) -> SparseTensor:
    if is_parameter:
        tensor._is_param = True                                # type: ignore[attr-defined]  # what nn.Parameter does
    tensor.requires_grad_(requires_grad)
    return tensor if grad_format is None else tensor.set_grad_format(grad_format)


torch.serialization.add_safe_globals([SparseTensor, rebuild])
