"""conv2d's two ways between an image and its patches: im2col, and adding the patches' gradients back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from sparseref.operators.conv2d import both

from .tensors import Pair


@dataclass(frozen=True)
class Window:
    """A kernel's two sides and how it moves, each as (along H, along W)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def span(self) -> tuple[int, int]:
        """The sides of the window in the image, the gaps of dilation included."""
        return self.dilation[0] * (self.kernel[0] - 1) + 1, self.dilation[1] * (self.kernel[1] - 1) + 1

    def sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """[B, C, H, W] -> H', W'."""
        height, width = ((side + 2 * padding - span) // stride + 1 for side, padding, span, stride
                         in zip(shape[2:], self.padding, self.span, self.stride, strict=True))
        return height, width


def window_of(kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Window:
    """The parameters of conv2d, each a number or a pair -> Window.  Errors: CONV2D-2."""
    return Window(both("CONV2D-2", "kernel", kernel, 1), both("CONV2D-2", "stride", stride, 1),
                  both("CONV2D-2", "padding", padding, 0), both("CONV2D-2", "dilation", dilation, 1))


def patches(x: Pair, **parameters: Any) -> Pair:
    """x [B, C, H, W] -> patches [B, H', W', C*kh*kw]; the zeros of padding are stored (CONV2D-1)."""
    window = window_of(**parameters)
    return Pair(_cut(x.value, window, 0), None if x.pattern is None else _cut(x.pattern, window, True))


def _cut(image: Tensor, window: Window, fill: float) -> Tensor:
    (ph, pw), (sh, sw), (dh, dw), (height, width) = window.padding, window.stride, window.dilation, window.span
    padded = functional.pad(image, (pw, pw, ph, ph), value=fill)
    cut = padded.unfold(2, height, sh)[..., ::dh].unfold(3, width, sw)[..., ::dw]          # [B, C, H', W', kh, kw]
    batch, channels, *sides, kh, kw = cut.shape
    return cut.permute(0, 2, 3, 1, 4, 5).reshape(batch, *sides, channels * kh * kw)


def add_back(grad: Tensor, shape: tuple[int, ...], window: Window) -> Tensor:
    """grad of patches [B, H', W', C*kh*kw] -> [B, C, H, W]: each entry adds up over the patches it lies in (CONV2D-4)."""
    batch, channels, rows, columns = shape
    (kh, kw), (ph, pw), (sh, sw), (dh, dw) = window.kernel, window.padding, window.stride, window.dilation
    height, width = window.sides(shape)
    pieces = grad.reshape(batch, height, width, channels, kh, kw).permute(0, 3, 4, 5, 1, 2)        # [B, C, kh, kw, H', W']
    padded = grad.new_zeros(batch, channels, rows + 2 * ph, columns + 2 * pw)
    for i in range(kh):
        for j in range(kw):
            across = slice(j * dw, j * dw + sw * (width - 1) + 1, sw)
            padded[:, :, i * dh:i * dh + sh * (height - 1) + 1:sh, across] += pieces[:, :, i, j]
    return padded[:, :, ph:ph + rows, pw:pw + columns]
