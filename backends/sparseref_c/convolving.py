"""conv2d in C: what lies under the kernel is brought side by side tile by tile (src/patches.h), never as a whole."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseref.operators.conv2d import both

from .library import NOWHERE, CPatches, CProduct
from .multiplying import product, run
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
    what = described(weight, (*image.shape[1:], *strides), (*kernel, *stride, *padding, *dilation, *sides),
                     None if bias is None else bias.ctypes.data)
    for one, y in zip(image, out, strict=True):
        run(placed(what, one.ctypes.data, y.ctypes.data), weight.dtype)
    return out


def output_sides(sides: Sequence[int], kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> list[int]:
    """H, W of an image -> H', W'."""
    window = (both("CONV2D-2", "side", given, 0) for given in (kernel, stride, padding, dilation))
    return [(side + 2 * p - d * (k - 1) - 1) // s + 1 for side, k, s, p, d in zip(sides, *window, strict=True)]


def described(weight: Prepared, form: Sequence[int], window: Sequence[int], bias: int | None,
              activation: str | None = None) -> CProduct:
    """The convolution of an image [C, H, W] but for where it lies -> activation(sums + added), [O, H', W'].

    form: C, H, W and their strides in elements; window: kernel, stride, padding, dilation and H', W', two each; bias: its
    address.  The caller keeps that memory.
    """
    places = math.prod(window[-2:])
    side_by_side = 0, 1, places
    return product(weight, NOWHERE, side_by_side, bias, activation, side_by_side, places, CPatches(None, *form, *window),
                   added_first=True)


def placed(what: CProduct, image: int, out: int, added: int | None = None) -> CProduct:
    """The same of one image, unchecked, by addresses: image [C, H, W], out and added [O, H', W'], the last two contiguous."""
    one, patches = CProduct.from_buffer_copy(what), CPatches.from_buffer_copy(what.patches.contents)
    one.patches, one.y.first, one.added.first, patches.image = ctypes.pointer(patches), out, added, image
    one.held = what                                            # what both point to
    return one
