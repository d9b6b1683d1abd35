"""What a compiled model computes again as it was is planned once: what was found out is kept, and only addresses change.

Finding out takes longer (45 us for a convolution, 150 for query, key and value) than many a product of two threads does, and
one of them waits meanwhile.  A plan is of a weight's latest call, where its form came twice, and of one without gradients.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from sparseref_torch import SparseTensor
from sparseref_torch.tensor import kernels
from sparseref_torch.tensor.slots import Kept
from torch import Tensor

from .plainness import transformed

_LATEST = Kept()
"""A weight's values -> its last call.  Not the weight itself: torch cannot convert a module to whose weights there are weak
references."""


def form(x: Tensor | None) -> tuple[Any, ...] | None:
    """All of a tensor but its numbers and where they lie."""
    return None if x is None else (type(x), x.shape, x.stride(), x.dtype, x.device, x.is_neg())


def circumstances() -> tuple[Any, ...]:
    """What else decides who computes."""
    return kernels.preferred(), kernels.in_training(), torch.is_autocast_enabled("cpu"), torch.get_num_threads(), transformed()


def comes_again(weight: Any, called: tuple[Any, ...]) -> bool:
    """Whether the weight's last call was the same; where each differs, plans would cost more than they save."""
    again = bool(_LATEST.get(values_of(weight)) == called)
    if not again:
        _LATEST.set(values_of(weight), called)
    return again


def as_it_lies(tensor: Tensor | None) -> bool:
    """C can read it in its place: not where torch only remembers that its sign is to change."""
    return tensor is None or (tensor.is_contiguous() and not tensor.is_neg())


def can_be_planned(x: Tensor, weights: Iterable[Any]) -> bool:
    """C was chosen whatever x holds, reads it where it lies, and versions say whether a weight has changed."""
    readable = x.dtype in (torch.float32, torch.float64) and not x.is_neg()
    return readable and kernels.finite(x) and not kernels.in_training() and not any(
        field.is_inference() or field.is_shared() for weight in weights for field in weight.sparse.tensors.values())


def values_of(weight: Any) -> Tensor:
    """What plans are kept by: a dense weight itself, which has none."""
    values: Tensor = weight.sparse.values if isinstance(weight, SparseTensor) else weight
    return values


class Held(NamedTuple):
    """What a weight was: its fields, weakly, or they would never be freed, with their versions and where they lay, which is
    another place once they are shared with other processes; and how they are looked at."""

    fields: list[tuple[weakref.ref[Tensor], int, int]]
    seen: tuple[Any, ...]

    @classmethod
    def by(cls, weight: Any) -> Held:
        fields = weight.sparse.tensors.values()
        return cls([(weakref.ref(field), field._version, field.data_ptr()) for field in fields], _seen(weight))

    def same(self, weight: Any) -> bool:
        fields = weight.sparse.tensors
        return len(self.fields) == len(fields) and self.seen == _seen(weight) and all(
            one() is now and now._version == version and now.data_ptr() == place
            for (one, version, place), now in zip(self.fields, fields.values(), strict=True))


def _seen(weight: Any) -> tuple[Any, ...]:
    """Views have the same fields."""
    return weight.descriptor, weight.matrix, weight.turned, tuple(weight.shape)
