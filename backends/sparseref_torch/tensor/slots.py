"""Which entry of its matrix each slot holds; found once for each set of index tensors and kept as long as they live.

What is kept beside the layout's own arrays, in bytes for each stored entry: to infer, 4 to 8 for the direction that is
multiplied (`Lines`); to train, both directions and 4 for the place of each slot, 16 to 20 in all.  Of a layout with padding
1 more for each slot.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from sparseref import Dense, SpecError

from ..positions import LAYOUTS, positions
from ..tensors import ACCUMULATOR, TorchSparse, to_numpy, to_torch


@dataclass(frozen=True, eq=False)
class Lines:
    """The stored entries of a matrix line by line, ascending: line i owns the entries offsets[i] up to offsets[i + 1].

    across: int32 [nnz], the other coordinate; slots: int32 [nnz], where each entry's value lies, or None where the values
    lie in this order already; offsets: int32 [lines + 1].
    """

    offsets: Tensor
    across: Tensor
    slots: Tensor | None

    def times(self, values: Tensor, b: Tensor) -> Tensor:
        """values [slots], b [K, N] -> [lines, N]: each line is the weighted sum of those rows of b that it stores."""
        if not self.across.numel() or not b.shape[1]:          # embedding_bag takes no empty operands
            return b.new_zeros(len(self.offsets) - 1, b.shape[1])
        weights = values.reshape(-1) if self.slots is None else values.reshape(-1).index_select(0, self.slots)
        return functional.embedding_bag(self.across, b, self.offsets, mode="sum", include_last_offset=True,
                                        per_sample_weights=weights)


@dataclass(eq=False)
class Slots:
    """What the index tensors of a sparse array say about its slots.

    padding: bool [slots] or None if there is none; place: int32 (int64 for a huge matrix) [slots], the row-major index of
    each slot's entry, 0 for padding.  Place and the lines by row and by column are made when they are first asked for.
    """

    size: int
    padding: Tensor | None
    nnz: int
    place: Tensor | None = None
    lines: dict[bool, Lines] = field(default_factory=dict)

    @property
    def density(self) -> float:
        return self.nnz / max(self.size, 1)


class Kept:
    """tensor -> what is known of it, for as long as the tensor lives; torch's own weak dictionary takes five times as long."""

    all: ClassVar[weakref.WeakSet[Kept]] = weakref.WeakSet()

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Tensor], Any]] = {}
        Kept.all.add(self)

    def get(self, tensor: Tensor) -> Any:
        entry = self._entries.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def set(self, tensor: Tensor, known: Any) -> None:
        key, entries = id(tensor), self._entries
        entries[key] = (weakref.ref(tensor, lambda _: entries.pop(key, None)), known)

    def forget(self, tensor: Tensor) -> None:
        self._entries.pop(id(tensor), None)

    def __len__(self) -> int:
        return len(self._entries)


class OfPattern:
    """What is made of the index tensors of a sparse array and kept for as long as they stay what they are."""

    def __init__(self) -> None:
        self._kept = Kept()

    def of(self, a: TorchSparse, make: Callable[[TorchSparse], Any]) -> Any:
        """What was made of this pattern, else what `make` makes now."""
        indices = [tensor for name, tensor in a.tensors.items() if name != "values"]
        if not indices:                                        # dense: nothing to keep it by
            return make(a)
        version = (a.layout, a.shape, [(id(tensor), _version(tensor)) for tensor in indices])
        known = self._kept.get(indices[0])
        if known is None or known[0] != version:
            known = (version, make(a))
            self._kept.set(indices[0], known)
        return known[1]

    def __len__(self) -> int:
        return len(self._kept)


_KNOWN = OfPattern()


def slots_of(a: TorchSparse) -> Slots:
    """A sparse array -> its slots.  Errors: TENSOR-2 for an array that stores an entry twice."""
    if a.tensors.keys() == {"values"}:                         # dense
        return Slots(a.values.numel(), None, a.values.numel())
    slots: Slots = _KNOWN.of(a, _find)
    return slots


def _find(a: TorchSparse) -> Slots:
    place, size = _positions(a), math.prod(a.shape)
    padding = place < 0
    real = place[~padding]
    seen = torch.zeros(size, dtype=torch.bool, device=place.device)
    seen[real] = True
    if int(seen.sum()) != real.numel():                                                    # TENSOR-2
        raise SpecError("TENSOR-2", "an entry is stored twice.", wanted="each position in one slot at most",
                        given=f"{real.numel() - int(seen.sum())} slots too many in {a.layout} {a.shape}",
                        fix="from_pattern(decode(a), layout, pattern) adds duplicates up")
    return Slots(size, padding if real.numel() < place.numel() else None, real.numel())


def _positions(a: TorchSparse) -> Tensor:
    """a -> int64 [slots]: the row-major index of each slot's entry, -1 for padding."""
    if a.layout.name in LAYOUTS:
        return positions(a).reshape(-1)
    place = to_torch(a.layout.positions(to_numpy(a, [])))      # a layout of the user's own: its decode rule speaks NumPy
    return place.reshape(-1).long().to(a.values.device)


def lines_of(a: TorchSparse, turned: bool) -> Lines:
    """The entries of a matrix by row; turned: by column."""
    slots = slots_of(a)
    if turned not in slots.lines:
        slots.lines[turned] = _grouped(a, turned)
    return slots.lines[turned]


def _grouped(a: TorchSparse, turned: bool) -> Lines:
    rows, columns = a.shape
    place = _positions(a)
    real = (place >= 0).nonzero().reshape(-1)
    row, column = place[real] // max(columns, 1), place[real] % max(columns, 1)
    line, across, count = (column, row, columns) if turned else (row, column, rows)
    order = (line * max(rows, columns, 1) + across).argsort()
    offsets = functional.pad(torch.bincount(line, minlength=count).cumsum(0), (1, 0))
    slots = real[order]
    as_they_lie = len(slots) == len(place) and torch.equal(slots, torch.arange(len(slots), device=slots.device))
    return Lines(offsets.int(), across[order].int(), None if as_they_lie else slots.int())


def gather(a: TorchSparse, dense: Tensor) -> Tensor:
    """dense [matrix] -> values of a's slots [shape of `values`], +0 in padding."""
    if isinstance(a.layout, Dense):
        return dense.clone(memory_format=torch.contiguous_format)
    slots = slots_of(a)
    if slots.place is None:
        place = _positions(a).clamp_min(0)
        slots.place = place.int() if slots.size <= torch.iinfo(torch.int32).max else place
    if not slots.place.numel() or not dense.numel():
        return dense.new_zeros(a.values.shape)
    return cleared(dense.reshape(-1).index_select(0, slots.place).reshape(a.values.shape), a)


def cleared(values: Tensor, a: TorchSparse) -> Tensor:
    """values [shape of `values`] -> the same tensor with +0 written into a's padding slots (CORE-P5)."""
    padding = slots_of(a).padding
    return values if padding is None else values.masked_fill_(padding.reshape(values.shape), 0)


def pattern(a: TorchSparse) -> Tensor:
    """a -> bool [matrix]."""
    place = _positions(a)
    stored = torch.zeros(math.prod(a.shape), dtype=torch.bool, device=place.device)
    stored[place[place >= 0]] = True
    return stored.reshape(a.shape)


class Derived:
    """What is made of a sparse array and kept for as long as its values stay what they are."""

    def __init__(self) -> None:
        self._kept = Kept()

    def of(self, a: TorchSparse, make: Callable[[TorchSparse], Any]) -> Any:
        """What was made of these values, else what `make` makes now."""
        version = (a.layout, a.shape, [(id(tensor), _version(tensor)) for tensor in a.tensors.values()])
        known = self._kept.get(a.values)
        if known is not None and known[0] == version:
            return known[1]
        made = make(a)
        if not a.values.is_inference() and not a.values.is_shared():       # another process writes without a new version
            self._kept.set(a.values, (version, made))
        return made

    def __len__(self) -> int:
        return len(self._kept)


_DECODED = Derived()


def decoded(a: TorchSparse, keep: bool = False) -> Tensor:
    """a -> dense [matrix], +0 where nothing is stored; `keep`: remember it, and do not write to it."""
    return _DECODED.of(a, _decode) if keep else _decode(a)


def forget(a: TorchSparse) -> None:
    """Nothing that is known of any tensor of a is kept, here or by a kernel: another process may write to them from now on."""
    for tensor in a.tensors.values():
        for kept in Kept.all:
            kept.forget(tensor)


def _decode(a: TorchSparse) -> Tensor:
    if isinstance(a.layout, Dense):
        return a.values.clone()
    size, slots = math.prod(a.shape), slots_of(a)
    place = _positions(a) if slots.place is None else slots.place.long()
    dense = a.values.new_zeros(size + 1)                       # CORE-P5: padding goes to a spare place that is cut off
    place = place if slots.padding is None else torch.where(slots.padding, size, place)
    return dense.index_copy_(0, place, a.values.reshape(-1))[:size].reshape(a.shape)


def same_slots(a: TorchSparse, b: TorchSparse) -> bool:
    """True where both hold the same entries in the same slots, so that their values can be combined one by one."""
    if a.layout != b.layout or a.shape != b.shape or a.tensors.keys() != b.tensors.keys():
        return False
    return all(a[name] is b[name] or torch.equal(a[name], b[name]) for name in a.tensors if name != "values")


def wide(values: Tensor) -> Tensor:
    """values in the dtype that sums are kept in (BOUND-1)."""
    return values.to(ACCUMULATOR.get(values.dtype, values.dtype))


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
