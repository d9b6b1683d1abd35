"""Cutting a tensor into blocks, the last ones filled up, and putting it together again."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def bring_last(array: Tensor, *axes: int) -> Tensor:
    """array [shape] -> [B, *sides of `axes`]: the other axes, in order, become one batch axis."""
    moved = array.movedim(axes, tuple(range(-len(axes), 0)))
    batch = moved.shape[:moved.ndim - len(axes)]
    return moved.reshape(math.prod(batch), *moved.shape[len(batch):])


def send_back(plane: Tensor, shape: tuple[int, ...], *axes: int) -> Tensor:
    """plane [B, *filled sides] -> [shape], the filling cut off: the inverse of `bring_last` and `fill_to`."""
    named = [axis % len(shape) for axis in axes]
    for place, axis in enumerate(named, 1):
        plane = plane.narrow(place, 0, shape[axis])
    batch = [side for axis, side in enumerate(shape) if axis not in named]
    return plane.reshape(*batch, *plane.shape[1:]).movedim(tuple(range(-len(axes), 0)), tuple(named))


def fill_to(array: Tensor, sides: tuple[int, ...], fill: float) -> Tensor:
    """array [..., X, Y] -> [..., *sides], the last axes filled up at their ends."""
    have = array.shape[array.ndim - len(sides):]
    if tuple(have) == sides:
        return array
    extra = [(0, side - old) for side, old in zip(sides, have, strict=True)]
    last_first = [width for pair in reversed(extra) for width in pair]                     # torch's order
    return functional.pad(array, last_first, value=fill)


def strides_of(shape: tuple[int, ...]) -> list[int]:
    """shape -> how far apart row-major neighbours along each axis lie."""
    return [math.prod(shape[axis + 1:]) for axis in range(len(shape))]


def batch_offsets(shape: tuple[int, ...], axes: tuple[int, ...], device: torch.device) -> Tensor:
    """shape -> int64 [B]: the row-major index at which each item of the batch starts that `bring_last` makes."""
    named = [axis % len(shape) for axis in axes]
    offsets = torch.zeros(1, dtype=torch.int64, device=device)
    for axis, (side, stride) in enumerate(zip(shape, strides_of(shape), strict=True)):
        if axis not in named:
            offsets = (offsets[:, None] + torch.arange(side, device=device) * stride).reshape(-1)
    return offsets
