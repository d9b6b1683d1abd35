"""A convolution of a compiled model that comes again as it was: what was found out about it is kept, and only addresses change.

Finding out takes longer (45 us for 15) than many a product of two threads does, and one of them waits meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from sparseref_torch.tensor import kernels
from sparseref_torch.tensor.slots import Kept
from torch import Tensor

from .convolving import described, placed
from .library import CProduct
from .multiplying import run
from .preparing import Prepared
from .torch_kernel import address


class Norm(NamedTuple):
    """Batch norm by what training found: mean and variance [O], weight and bias [O]."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    epsilon: float


class Call(NamedTuple):
    """x [B, C, H, W], weight [O, C, k1, k2], bias [O], added [B, O, H', W'].

    window: stride, padding, dilation and groups, as functional.conv2d has them.
    """

    x: Tensor
    weight: Any
    bias: Tensor | None
    window: tuple[Any, ...]
    norm: Norm | None
    added: Tensor | None
    relu: bool

    @property
    def constants(self) -> list[Tensor]:
        """[O] each: what the sums are scaled and shifted by."""
        return [tensor for tensor in (self.bias, *(self.norm or ())[:4]) if tensor is not None]

    @property
    def form(self) -> tuple[Any, ...]:
        """All but what is written in tensors."""
        return (_form(self.x), None if self.added is None else _form(self.added), self.window, self.relu,
                None if self.norm is None else self.norm.epsilon)


@dataclass(frozen=True, eq=False)
class Plan:
    """One weight's latest convolution, in C, without gradients or autocast.

    fields: the weight's, and their versions; constants: the call's, and what they held; what: for C, without addresses of x,
    added and result, with that of shift; out: the shape of the result.
    """

    form: tuple[Any, ...]
    fields: list[tuple[Tensor, int]]
    constants: list[tuple[Tensor, Tensor]]
    preferred: tuple[kernels.Kernel, ...]
    what: CProduct
    weight: Prepared
    shift: Tensor | None
    out: tuple[int, ...]

    def fits(self, call: Call) -> bool:
        """Nothing is other than it was."""
        return (call.form == self.form and kernels.preferred() is self.preferred and not kernels.in_training()
                and not torch.is_autocast_enabled("cpu") and same_versions(self.fields, call.weight.sparse.tensors.values())
                and same_numbers(self.constants, call.constants))

    def run(self, x: Tensor, added: Tensor | None) -> Tensor:
        out = x.new_empty(self.out)
        for number in range(self.out[0]):
            place = number * out.stride(0)
            one = placed(self.what, address(x, number * x.stride(0)), address(out, place),
                         None if added is None else address(added, place))
            run(one, self.weight.dtype, torch.get_num_threads())
        return out


_PLANS = Kept()


def plan_for(call: Call) -> Plan | None:
    plan: Plan | None = _PLANS.get(call.weight)
    return plan if plan is not None and plan.fits(call) else None


def remember(call: Call, weight: Prepared, shift: Tensor | None, window: Sequence[int], out: tuple[int, ...]) -> None:
    """That C computes this call, whatever x holds; not where versions do not say whether the weight has changed.

    weight and shift, [O], contiguous: what C multiplies and adds; window: as `described` takes it.
    """
    fields = call.weight.sparse.tensors.values()
    if kernels.in_training() or not kernels.finite(call.x) or any(one.is_inference() or one.is_shared() for one in fields) \
            or not (call.added is None or call.added.is_contiguous()):
        return
    what = described(weight, (*call.x.shape[1:], *call.x.stride()[1:]), window, None if shift is None else shift.data_ptr(),
                     "relu" if call.relu else None)
    versions, numbers = [(one, one._version) for one in fields], [(one, one.clone()) for one in call.constants]
    _PLANS.set(call.weight, Plan(call.form, versions, numbers, kernels.preferred(), what, weight, shift, out))


def _form(x: Tensor) -> tuple[Any, ...]:
    return type(x), x.shape, x.stride(), x.dtype, x.device


def same_versions(kept: list[tuple[Tensor, int]], tensors: Any) -> bool:
    return len(kept) == len(tensors) and all(one is now and now._version == version
                                             for (one, version), now in zip(kept, tensors, strict=True))


def same_numbers(kept: list[tuple[Tensor, Tensor]], tensors: list[Tensor]) -> bool:
    """They are few, and torch counts no version where `.data` is written to, as pruning often does."""
    return len(kept) == len(tensors) and all(one is now and torch.equal(was, now)
                                             for (one, was), now in zip(kept, tensors, strict=True))
