"""Whether a tensor is its memory and nothing else, as C reads it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

PLAIN = (Tensor, torch.nn.Parameter)


def plain(*tensors: Tensor | None) -> bool:
    """On the host, and of no class that stands for something else: not sparse, not fake, not of a torch.func transform, and
    without a tangent."""
    return not transformed() and all(tensor is None or (type(tensor) in PLAIN and tensor.layout is torch.strided
                                                        and tensor.device.type == "cpu")
                                     for tensor in tensors)


def transformed() -> bool:
    """Whether torch.func or forward-mode differentiation is at work: a tensor may stand for many, or have a tangent."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0
