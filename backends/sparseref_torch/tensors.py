"""Sparse arrays of torch tensors, and the bridge to NumPy and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparseref import SparseArray
from sparseref.dtypes import value_dtype
from sparseref.layouts.base import Layout

ACCUMULATOR = {torch.float16: torch.float32, torch.bfloat16: torch.float32}
"""Sums over values of these dtypes are kept in a wider one and rounded once; of the others in their own (BOUND-1)."""


@dataclass(frozen=True, eq=False)
class TorchSparse:
    """layout, shape and {field name: tensor}: a SparseArray whose arrays are torch tensors, on any device (CORE-A1)."""

    layout: Layout
    shape: tuple[int, ...]
    tensors: dict[str, Tensor]

    def __getitem__(self, field: str) -> Tensor:
        return self.tensors[field]

    @property
    def values(self) -> Tensor:
        """The value of every slot, padding slots included; shape as the layout says."""
        return self.tensors["values"]

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    def with_values(self, values: Tensor) -> TorchSparse:
        """The same entries with other values [shape of `values`]: index tensors are shared."""
        return TorchSparse(self.layout, self.shape, {**self.tensors, "values": values})


Operand = Tensor | TorchSparse | None


@dataclass(frozen=True, eq=False)
class Pair:
    """An operand as its meaning sees it: value [shape], +0 off the pattern; pattern bool [shape], None: all stored."""

    value: Tensor
    pattern: Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        return self.value.shape

    @property
    def stored(self) -> Tensor:
        """The pattern as a tensor, whether or not all is stored."""
        return torch.ones_like(self.value, dtype=torch.bool) if self.pattern is None else self.pattern

    def reshape(self, *shape: int) -> Pair:
        return Pair(self.value.reshape(shape), None if self.pattern is None else self.pattern.reshape(shape))

    def movedim(self, source: int, target: int) -> Pair:
        moved = None if self.pattern is None else self.pattern.movedim(source, target)
        return Pair(self.value.movedim(source, target), moved)


def to_torch(operand: Any) -> Any:
    """An ndarray, a SparseArray or None -> the same for torch; memory is shared where torch can (CORE-M2)."""
    if operand is None:
        return None
    if isinstance(operand, SparseArray):
        return TorchSparse(operand.layout, operand.shape, {name: _tensor(array) for name, array in operand.arrays.items()})
    return _tensor(np.asarray(operand))


def _tensor(array: np.ndarray) -> Tensor:
    """ndarray [shape] -> Tensor [shape].  torch has no read-only memory, negative strides or foreign byte order: a copy."""
    shareable = array.flags.behaved and array.dtype.isnative and all(
        stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)
    if not shareable:
        array = np.array(array, array.dtype.newbyteorder("="), order="C")
    if array.dtype.name == "bfloat16":                         # NumPy knows it through ml_dtypes, torch by itself
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(results: Any, operands: Iterable[Any]) -> Any:
    """What an operator gave back, tuples too -> ndarrays and SparseArrays that share no memory (CORE-M1)."""
    return _to_numpy(results, {tensor.untyped_storage().data_ptr() for operand in operands for tensor in _tensors_of(operand)})


def _to_numpy(result: Any, taken: set[int]) -> Any:
    if result is None:
        return None
    if isinstance(result, tuple):
        return tuple(_to_numpy(item, taken) for item in result)
    if isinstance(result, TorchSparse):
        arrays = {name: _array(tensor, taken) for name, tensor in result.tensors.items()}
        return SparseArray(result.layout, result.shape, arrays["values"].dtype, arrays)
    return _array(result, taken)


def _array(tensor: Tensor, taken: set[int]) -> np.ndarray:
    """Tensor [shape] -> contiguous ndarray [shape]; a copy where its memory belongs to an operand or an earlier result."""
    tensor = tensor.contiguous()
    if tensor.untyped_storage().data_ptr() in taken:
        tensor = tensor.clone()
    taken.add(tensor.untyped_storage().data_ptr())
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(value_dtype("bfloat16"))
    return tensor.numpy()


def _tensors_of(operand: Any) -> list[Tensor]:
    if isinstance(operand, TorchSparse):
        return list(operand.tensors.values())
    return [operand] if isinstance(operand, Tensor) else []
