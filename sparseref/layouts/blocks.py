"""Cutting an array into blocks, the last ones filled up: one helper for bsr, nm, nmg and vnm."""

import math

import numpy as np


def pad_to(array: np.ndarray, multiples: tuple[int, ...], fill: object) -> np.ndarray:
    """array [..., X, Y] -> [..., X', Y'], each side filled up to a multiple; `multiples` names the last axes."""
    lead = array.ndim - len(multiples)
    extra = [(0, 0)] * lead + [(0, -side % m) for side, m in zip(array.shape[lead:], multiples, strict=True)]
    return np.pad(array, extra, constant_values=fill)  # type: ignore[call-overload]  # fill has the array's dtype


def bring_last(array: np.ndarray, *axes: int) -> np.ndarray:
    """array [shape] -> [B, *sides of `axes`]: the other axes, in order, become one batch axis."""
    moved = np.moveaxis(array, axes, range(-len(axes), 0))
    batch = moved.shape[:moved.ndim - len(axes)]
    return moved.reshape(math.prod(batch), *moved.shape[len(batch):])


def split_sides(shape: tuple[int, ...], *axes: int) -> tuple[int, tuple[int, ...]]:
    """shape -> B, (sides of `axes`): what `bring_last` makes of it."""
    named = [axis % len(shape) for axis in axes]
    batch = math.prod(side for axis, side in enumerate(shape) if axis not in named)
    return batch, tuple(shape[axis] for axis in named)


def entry_numbers(shape: tuple[int, ...]) -> np.ndarray:
    """shape -> int64 [shape]: the row-major number of each entry; cut like the values it says which entry went where."""
    return np.arange(math.prod(shape)).reshape(shape)


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)
