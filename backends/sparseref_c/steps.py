"""What a graph runs in place of its linears: steps of one x, in one call of C where it takes them, else as torch would."""

from __future__ import annotations

from typing import TypeAlias

import torch
from sparseref_torch import SparseTensor
from sparseref_torch.tensor import kernels
from torch import Tensor
from torch.nn import functional

from .linear_plans import plan_for, remember
from .plainness import plain
from .torch_kernel import CKernel, Step, torch_threads

Given: TypeAlias = tuple[Tensor, Tensor | None, str | None, Tensor | None, "Given | None"]
"""weight [O, K], bias [O], activation, added [..., O], and the step that takes the result."""
GELU_FORMS = {"gelu": "none", "gelu_tanh": "tanh"}
ENOUGH_TOKENS = 16
"""For each thread: with fewer, threads share a step by its rows, and the next step needs all of them."""
C = CKernel()


def linears(x: Tensor, *given: Given) -> list[Tensor]:
    """x [..., K] -> of each step activation(x W^T + bias) + added, [..., O], or what its next step makes of that."""
    if (plan := plan_for(x, given)) is not None:
        return plan.run(x, given)
    steps = [_step(x, one) for one in given]
    few = x.shape[:-1].numel() < ENOUGH_TOKENS * torch_threads()
    found = [step for step in steps if step is not None]
    if len(found) < len(given) or (few and any(step.then is not None for step in found)):
        return [_one_by_one(x, one) for one in given]
    remember(x, given, found, C)
    return [y.reshape(*x.shape[:-1], y.shape[-1]) for y in C.products(x.reshape(-1, x.shape[-1]), found)]


def _one_by_one(x: Tensor, given: Given) -> Tensor:
    """A step by itself, in C where it takes that one, and then the next."""
    weight, bias, activation, added, then = given
    if then is not None:
        return linears(linears(x, (weight, bias, activation, added, None))[0], then)[0]
    step = _step(x, given)
    if step is not None:
        return C.products(x.reshape(-1, x.shape[-1]), [step])[0].reshape(*x.shape[:-1], weight.shape[0])
    y = functional.linear(x, weight, bias)
    if activation is not None:
        y = functional.relu(y) if activation == "relu" else functional.gelu(y, approximate=GELU_FORMS[activation])
    return y if added is None else y + added


def _step(x: Tensor, given: Given) -> Step | None:
    """For C: where the weight is sparse and all else plain, C takes it, no gradient is wanted, no other dtype by autocast, and
    shapes and dtypes are those of a linear."""
    weight, bias, activation, added, then = given
    if not isinstance(weight, SparseTensor) or not plain(x, bias, added) or torch.is_autocast_enabled(x.device.type):
        return None
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in (x, weight, bias, added)):
        return None
    a, (outputs, inputs) = weight.sparse, weight.shape         # asked once: a subclass of torch's tensors answers slowly
    if not _as_linear(x, a.values.dtype, outputs, inputs, bias, added):
        return None
    kernel, _ = kernels.choose(a, x.reshape(-1, inputs), weight.turned)
    after = None if then is None else _step(x.new_zeros(()).expand(*x.shape[:-1], outputs), then)
    if not isinstance(kernel, CKernel) or (then is not None and after is None):
        return None
    rows = None if added is None else added.reshape(-1, outputs)
    return Step(a, weight.turned, bias, activation, rows, after)


def _as_linear(x: Tensor, dtype: torch.dtype, outputs: int, inputs: int, bias: Tensor | None, added: Tensor | None) -> bool:
    """Shapes and dtypes are those of a linear, with a residual of the result's shape."""
    return (x.dim() > 0 and x.shape[-1] == inputs and x.dtype == dtype
            and (bias is None or (bias.shape == (outputs,) and bias.dtype == x.dtype))
            and (added is None or (added.shape == (*x.shape[:-1], outputs) and added.dtype == x.dtype)))
