"""conv2d's way from an image to its patches (im2col); XLA derives the way back."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from sparseref.operators.conv2d import both

from .arrays import Pair


def patches(x: Pair, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Pair:
    """x [B, C, H, W] -> patches [B, H', W', C*kh*kw]; the zeros of padding are stored (CONV2D-1).  Errors: CONV2D-2."""
    window = (both("CONV2D-2", "kernel", kernel, 1), both("CONV2D-2", "stride", stride, 1),
              both("CONV2D-2", "padding", padding, 0), both("CONV2D-2", "dilation", dilation, 1))
    return Pair(_cut(x.value, *window, 0), None if x.pattern is None else _cut(x.pattern, *window, True))


def _cut(image: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int],
         fill: Any) -> Array:
    image = jnp.pad(image, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=fill)
    sides = [(side - d * (k - 1) - 1) // s + 1
             for side, k, s, d in zip(image.shape[2:], kernel, stride, dilation, strict=True)]
    pieces = [image[:, :, i * dilation[0]:i * dilation[0] + stride[0] * (sides[0] - 1) + 1:stride[0],
                    j * dilation[1]:j * dilation[1] + stride[1] * (sides[1] - 1) + 1:stride[1]]
              for i in range(kernel[0]) for j in range(kernel[1])]                         # [B, C, H', W'] each
    cut = jnp.stack(pieces, axis=-1)                                                       # [B, C, H', W', kh*kw]
    return cut.transpose(0, 2, 3, 1, 4).reshape(len(cut), *sides, -1 if cut.size else cut.shape[1] * cut.shape[4])
