"""A convolution of a compiled model that comes again as it was (plans.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from sparseref_torch.tensor.slots import Kept
from torch import Tensor

from .convolving import described, placed
from .library import CProduct
from .multiplying import run
from .plans import Held, as_it_lies, can_be_planned, circumstances, comes_again, form, values_of
from .preparing import Prepared
from .torch_kernel import address, torch_threads


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
        return form(self.x), form(self.added), self.window, self.relu, None if self.norm is None else self.norm.epsilon


@dataclass(frozen=True, eq=False)
class Plan:
    """held: the weight; constants: the call's, and what they held; what: for C, without addresses of x, added and result,
    with that of shift; out: the shape of the result.
    """

    form: tuple[Any, ...]
    circumstances: tuple[Any, ...]
    held: Held
    constants: list[tuple[Tensor, Tensor]]
    what: CProduct
    weight: Prepared
    shift: Tensor | None
    out: tuple[int, ...]

    def fits(self, call: Call) -> bool:
        """Nothing is other than it was."""
        return (call.form == self.form and circumstances() == self.circumstances and self.held.same(call.weight)
                and same_numbers(self.constants, call.constants))

    def run(self, x: Tensor, added: Tensor | None) -> Tensor:
        out = x.new_empty(self.out)
        for number in range(self.out[0]):
            place = number * out.stride(0)
            one = placed(self.what, address(x, number * x.stride(0)), address(out, place),
                         None if added is None else address(added, place))
            run(one, self.weight.dtype, torch_threads())
        return out


_PLANS = Kept()


def plan_for(call: Call) -> Plan | None:
    plan: Plan | None = _PLANS.get(values_of(call.weight))
    return plan if plan is not None and plan.fits(call) else None


def remember(call: Call, weight: Prepared, shift: Tensor | None, window: Sequence[int], out: tuple[int, ...]) -> None:
    """That C computes this call.  weight and shift, [O]: what C multiplies and adds; window: as `described` takes it."""
    x, added, constants = call.x, call.added, call.constants
    again = comes_again(call.weight, (call.form, [id(one) for one in constants]))
    if again and as_it_lies(added) and can_be_planned(x, [call.weight]):
        shift = None if shift is None else shift.resolve_neg().clone()     # `bias.data = ...` would leave its memory
        what = described(weight, (*x.shape[1:], *x.stride()[1:]), window, None if shift is None else shift.data_ptr(),
                         "relu" if call.relu else None)
        numbers = [(one, one.clone()) for one in constants]
        plan = Plan(call.form, circumstances(), Held.by(call.weight), numbers, what, weight, shift, out)
        _PLANS.set(values_of(call.weight), plan)


def same_numbers(kept: list[tuple[Tensor, Tensor]], tensors: list[Tensor]) -> bool:
    """They are few, and torch counts no version where `.data` is written to, as pruning often does."""
    return len(kept) == len(tensors) and all(one is now and was.dtype == now.dtype and torch.equal(was, now)
                                             for (one, was), now in zip(kept, tensors, strict=True))
