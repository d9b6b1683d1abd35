"""Cutting an array into blocks, the last ones filled up, and putting it together again."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array


def bring_last(array: Array, *axes: int) -> Array:
    """array [shape] -> [B, *sides of `axes`]: the other axes, in order, become one batch axis."""
    moved = jnp.moveaxis(array, axes, tuple(range(-len(axes), 0)))
    batch = moved.shape[:moved.ndim - len(axes)]
    return moved.reshape(math.prod(batch), *moved.shape[len(batch):])


def send_back(plane: Array, shape: tuple[int, ...], *axes: int) -> Array:
    """plane [B, *filled sides] -> [shape], the filling cut off: the inverse of `bring_last` and `fill_to`."""
    named = [axis % len(shape) for axis in axes]
    plane = plane[(slice(None), *(slice(shape[axis]) for axis in named))]
    batch = [side for axis, side in enumerate(shape) if axis not in named]
    return jnp.moveaxis(plane.reshape(*batch, *plane.shape[1:]), tuple(range(-len(axes), 0)), tuple(named))


def fill_to(array: Array, sides: tuple[int, ...], fill: Any) -> Array:
    """array [..., X, Y] -> [..., *sides], the last axes filled up at their ends."""
    kept = array.ndim - len(sides)
    extra = [(0, 0)] * kept + [(0, side - old) for side, old in zip(sides, array.shape[kept:], strict=True)]
    return jnp.pad(array, extra, constant_values=fill)


def strides_of(shape: tuple[int, ...]) -> list[int]:
    """shape -> how far apart row-major neighbours along each axis lie."""
    return [math.prod(shape[axis + 1:]) for axis in range(len(shape))]


def batch_offsets(shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """shape -> int64 [B]: the row-major index at which each item of the batch starts that `bring_last` makes."""
    named = [axis % len(shape) for axis in axes]
    offsets = np.zeros(1, np.int64)
    for axis, (side, stride) in enumerate(zip(shape, strides_of(shape), strict=True)):
        if axis not in named:
            offsets = (offsets[:, None] + np.arange(side) * stride).reshape(-1)
    return offsets
