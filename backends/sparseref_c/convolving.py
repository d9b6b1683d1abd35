"""conv2d in C: what lies under the kernel is brought side by side tile by tile (src/patches.h), never as a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseref.operators.conv2d import both

from .library import CMatrix, CPatches
from .multiplying import NOWHERE, product, run
from .preparing import Prepared


def convolve(weight: Prepared, image: np.ndarray, bias: np.ndarray | None = None, *, kernel: Any, stride: Any = 1,
             padding: Any = 0, dilation: Any = 1) -> np.ndarray:
    """image [B, C, H, W], weight [O, C*kh*kw], bias [O] or None, all in the weight's dtype and checked -> [B, O, H', W']."""
    kernel, stride, padding, dilation = (both("CONV2D-2", "side", given, 0) for given in (kernel, stride, padding, dilation))
    image = np.ascontiguousarray(image)
    bias = None if bias is None else np.ascontiguousarray(bias)
    sides = output_sides(image.shape[2:], kernel, stride, padding, dilation)
    out = np.empty((image.shape[0], weight.shape[0], *sides), weight.dtype)
    strides = tuple(step // image.itemsize for step in image.strides[1:])
    if not image.shape[1]:                                     # no channels: the sums of nothing
        out[:] = 0 if bias is None else bias[:, None, None]
        return out
    for one, y in zip(image, out, strict=True):
        window = (*kernel, *stride, *padding, *dilation, *sides)
        convolve_one(weight, one.ctypes.data, (*one.shape, *strides), window, None if bias is None else bias.ctypes.data,
                     y.ctypes.data)
    return out


def output_sides(sides: Sequence[int], kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> list[int]:
    """H, W of an image -> H', W'."""
    window = (both("CONV2D-2", "side", given, 0) for given in (kernel, stride, padding, dilation))
    return [(side + 2 * p - d * (k - 1) - 1) // s + 1 for side, k, s, p, d in zip(sides, *window, strict=True)]


def convolve_one(weight: Prepared, image: int, form: Sequence[int], window: Sequence[int], bias: int | None, out: int,
                 at_most: int | None = None, activation: str | None = None, added: int | None = None) -> None:
    """One image, unchecked, by addresses: image [C, H, W], out and added [O, H', W'] contiguous -> activation(sums + added).

    form: C, H, W and their strides in elements; window: kernel, stride, padding, dilation and H', W', two each.
    """
    places = math.prod(window[-2:])
    more = None if added is None else CMatrix(added, 1, places)
    run(product(weight, NOWHERE, CMatrix(out, 1, places), bias, activation, more, places, CPatches(image, *form, *window),
                added_first=True), weight.dtype, at_most)
