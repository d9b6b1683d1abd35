"""Sparse arrays of JAX arrays: pytrees whose leaves are the arrays and whose structure is layout and shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sparseref import SparseArray
from sparseref.layouts.base import Layout

ACCUMULATOR = {"float16": jnp.float32, "bfloat16": jnp.float32}
"""Sums over values of these dtypes are kept in a wider one and rounded once; of the others in their own (BOUND-1)."""


@partial(jax.tree_util.register_dataclass, data_fields=("arrays",), meta_fields=("layout", "shape"))
@dataclass(frozen=True, eq=False)
class JaxSparse:
    """layout, shape and {field name: array}: a SparseArray for JAX (CORE-A1).

    A pytree: jit compiles once for each layout, shape and shapes of the arrays; grad and jvp see the values (the indices are
    integers, so that `jax.grad` needs `allow_int=True` or the values alone); vmap adds an axis to every array.
    """

    layout: Layout
    shape: tuple[int, ...]
    arrays: dict[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.arrays[field]

    @property
    def values(self) -> Any:
        """The value of every slot, padding slots included; shape as the layout says."""
        return self.arrays["values"]

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def with_values(self, values: Any) -> JaxSparse:
        """The same entries with other values [shape of `values`]."""
        return JaxSparse(self.layout, self.shape, {**self.arrays, "values": values})


Operand = Array | JaxSparse | None


@partial(jax.tree_util.register_dataclass, data_fields=("value", "pattern"), meta_fields=())
@dataclass(frozen=True, eq=False)
class Pair:
    """An operand as its meaning sees it: value [shape], +0 off the pattern; pattern bool [shape], None: all stored."""

    value: Array
    pattern: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def stored(self) -> Array:
        """The pattern as an array, whether or not all is stored."""
        return jnp.ones(self.shape, bool) if self.pattern is None else self.pattern

    def changed(self, change: Callable[[Array], Array]) -> Pair:
        """What moves entries, done to both."""
        return Pair(change(self.value), None if self.pattern is None else change(self.pattern))


def wide_dtype(dtype: Any) -> Any:
    """The dtype in which sums over values of `dtype` are kept (BOUND-1)."""
    return ACCUMULATOR.get(jnp.dtype(dtype).name, dtype)


def is_traced(*operands: Any) -> bool:
    """True inside jit, grad and vmap, where numbers are not known yet."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(operands))


def to_jax(operand: Any) -> Any:
    """An ndarray, a SparseArray or None -> the same for JAX, in memory of its own (CORE-M2)."""
    if operand is None:
        return None
    if isinstance(operand, SparseArray):
        return JaxSparse(operand.layout, operand.shape, {name: _array(array) for name, array in operand.arrays.items()})
    return _array(np.asarray(operand))


def _array(array: np.ndarray) -> Array:
    """A copy, as JAX may read the memory later on, and in the native byte order, as it knows no other; nothing is compiled."""
    return jax.device_put(np.array(array, array.dtype.newbyteorder("="), copy=True, order="C"))


def to_numpy(result: Any) -> Any:
    """What an operator gave back, tuples too -> ndarrays and SparseArrays in memory of their own (CORE-M1)."""
    if result is None:
        return None
    if isinstance(result, tuple):
        return tuple(map(to_numpy, result))
    if isinstance(result, JaxSparse):
        arrays = {name: np.array(array) for name, array in result.arrays.items()}
        return SparseArray(result.layout, result.shape, arrays["values"].dtype, arrays)
    return np.array(result)
