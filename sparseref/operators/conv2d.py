"""conv2d: the image cut into patches (im2col), then a linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import SpecError
from .base import CONTRACTION_DTYPES, Gradients, Operator, Pair, full
from .linear import gradient as linear_gradient
from .linear import linear


def both(clause: str, name: str, given: Any, least: int) -> tuple[int, int]:
    """3 or (3, 3) -> (3, 3); anything below `least` is refused."""
    sides = tuple(given) if isinstance(given, tuple | list) else (given, given)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= least for side in sides)
    if len(sides) != 2 or not whole:
        raise SpecError(clause, f"this is no {name}.", wanted=f"a whole number >= {least}, or two", given=f"{name} = {given!r}")
    return int(sides[0]), int(sides[1])


def check(x: Pair, w: Pair, bias: Pair | None = None, *, kernel: Any, stride: Any = 1, padding: Any = 0,
          dilation: Any = 1) -> None:
    (kh, kw), _ = both("CONV2D-2", "kernel", kernel, 1), both("CONV2D-2", "stride", stride, 1)
    (ph, pw), (dh, dw) = both("CONV2D-2", "padding", padding, 0), both("CONV2D-2", "dilation", dilation, 1)
    fits = x.ndim == 4 and w.ndim == 2 and w.shape[1] == x.shape[1] * kh * kw
    if not fits or (bias is not None and bias.shape != w.shape[:1]):                       # CONV2D-3
        raise SpecError("CONV2D-3", "the shapes do not fit a convolution.",
                        wanted=f"x [B, C, H, W], w [O, C*{kh}*{kw}], bias [O] or none",
                        given=f"x {x.shape}, w {w.shape}, bias {'none' if bias is None else bias.shape}")
    if x.shape[2] + 2 * ph < dh * (kh - 1) + 1 or x.shape[3] + 2 * pw < dw * (kw - 1) + 1:  # CONV2D-3
        raise SpecError("CONV2D-3", "the image is smaller than the kernel.", wanted=f"at least {dh * (kh - 1) + 1} x "
                        f"{dw * (kw - 1) + 1} after padding", given=f"{x.shape[2] + 2 * ph} x {x.shape[3] + 2 * pw}")


def _taps(x_shape: tuple[int, ...], kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[
        tuple[int, int], tuple[int, int], Iterator[tuple[int, int, tuple[slice, slice]]]]:
    """Padding, output sides, and for each place (i, j) of the kernel the padded image's entries that meet it."""
    (kh, kw), (sh, sw) = both("CONV2D-2", "kernel", kernel, 1), both("CONV2D-2", "stride", stride, 1)
    (ph, pw), (dh, dw) = both("CONV2D-2", "padding", padding, 0), both("CONV2D-2", "dilation", dilation, 1)
    height = (x_shape[2] + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    width = (x_shape[3] + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    taps = ((i, j, (slice(i * dh, i * dh + sh * (height - 1) + 1, sh), slice(j * dw, j * dw + sw * (width - 1) + 1, sw)))
            for i in range(kh) for j in range(kw))
    return (ph, pw), (height, width), taps


def im2col(image: np.ndarray, fill: object, kernel: Any, stride: Any, padding: Any, dilation: Any) -> np.ndarray:
    """image [B, C, H, W] -> patches [B, H', W', C*kh*kw]; padding is `fill` (CONV2D-1)."""
    (ph, pw), (height, width), taps = _taps(image.shape, kernel, stride, padding, dilation)
    padded = np.pad(image, [(0, 0), (0, 0), (ph, ph), (pw, pw)], constant_values=fill)  # type: ignore[call-overload]  # image's dtype
    kh, kw = both("CONV2D-2", "kernel", kernel, 1)
    patches = np.zeros((*image.shape[:2], kh, kw, height, width), image.dtype)             # [B, C, kh, kw, H', W']
    for i, j, (rows, columns) in taps:
        patches[:, :, i, j] = padded[:, :, rows, columns]
    moved = patches.transpose(0, 4, 5, 1, 2, 3)                                            # [B, H', W', C, kh, kw]
    return moved.reshape(image.shape[0], height, width, image.shape[1] * kh * kw)


def _patches(x: Pair, **window: Any) -> Pair:
    """The zeros that padding brings are stored: they meet the weight as any value does (CONV2D-1)."""
    return Pair(im2col(x.value, 0, **window), im2col(x.pattern, True, **window))


def conv2d(x: Pair, w: Pair, bias: Pair | None = None, *, kernel: Any, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1) -> Pair:
    """x [B, C, H, W], w [O, C*kh*kw], bias [O] or None -> [B, O, H', W'] (CONV2D-1)."""
    patches = _patches(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    return full(linear(patches, w, bias).value.transpose(0, 3, 1, 2))


def gradient(grad: np.ndarray, x: Pair, w: Pair, bias: Pair | None = None, *, kernel: Any, stride: Any = 1,
             padding: Any = 0, dilation: Any = 1) -> Gradients:
    """grad [B, O, H', W'] -> the linear layer's gradients, the patches' added back where they were cut (CONV2D-4)."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    grad_patches, grad_w, grad_bias = linear_gradient(grad.transpose(0, 2, 3, 1), _patches(x, **window), w, bias)
    assert grad_patches is not None
    (ph, pw), (height, width), taps = _taps(x.shape, **window)
    kh, kw = both("CONV2D-2", "kernel", kernel, 1)
    pieces = grad_patches.reshape(x.shape[0], height, width, x.shape[1], kh, kw)
    padded = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw))
    for i, j, (rows, columns) in taps:
        padded[:, :, rows, columns] += pieces[..., i, j].transpose(0, 3, 1, 2)
    return padded[:, :, ph:ph + x.shape[2], pw:pw + x.shape[3]], grad_w, grad_bias


CONV2D = Operator("conv2d", conv2d, check, gradient, dtypes=CONTRACTION_DTYPES, sparse_operands=2)
