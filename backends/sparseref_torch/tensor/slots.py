"""Which entry of its matrix each slot holds; found once for each set of index tensors and kept as long as they live."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakIdKeyDictionary

from sparseref import Dense, SpecError

from ..positions import LAYOUTS, positions
from ..tensors import ACCUMULATOR, TorchSparse, to_numpy, to_torch


@dataclass(frozen=True, eq=False)
class Lines:
    """The stored entries of a matrix line by line, ascending: line i owns the entries offsets[i] up to offsets[i + 1].

    across: int32 [nnz], the other coordinate; slots: int32 [nnz], where each entry's value lies; offsets: int32 [lines + 1].
    """

    offsets: Tensor
    across: Tensor
    slots: Tensor

    def times(self, values: Tensor, b: Tensor) -> Tensor:
        """values [slots], b [K, N] -> [lines, N]: each line is the weighted sum of those rows of b that it stores."""
        if not self.across.numel() or not b.shape[1]:          # embedding_bag takes no empty operands
            return b.new_zeros(len(self.offsets) - 1, b.shape[1])
        return functional.embedding_bag(self.across, b, self.offsets, mode="sum", include_last_offset=True,
                                        per_sample_weights=values.reshape(-1).index_select(0, self.slots))


@dataclass(eq=False)
class Slots:
    """What the index tensors of a sparse array say about its slots.

    place: int64 [slots], the row-major index of each slot's entry, -1 for padding; padding: bool [slots] or None if there is
    none.  The lines by row and by column are made when they are first asked for.
    """

    matrix: tuple[int, ...]
    place: Tensor
    padding: Tensor | None
    nnz: int
    _lines: dict[bool, Lines] = field(default_factory=dict)

    @property
    def density(self) -> float:
        return self.nnz / max(math.prod(self.matrix), 1)

    def lines(self, turned: bool) -> Lines:
        """The entries by row; turned: by column."""
        if turned not in self._lines:
            self._lines[turned] = self._grouped(turned)
        return self._lines[turned]

    def _grouped(self, turned: bool) -> Lines:
        rows, columns = self.matrix
        real = (self.place >= 0).nonzero().reshape(-1)
        row, column = self.place[real] // max(columns, 1), self.place[real] % max(columns, 1)
        line, across, count = (column, row, columns) if turned else (row, column, rows)
        order = (line * max(rows, columns, 1) + across).argsort()
        offsets = functional.pad(torch.bincount(line, minlength=count).cumsum(0), (1, 0))
        return Lines(offsets.int(), across[order].int(), real[order].int())


_KNOWN: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""index tensor -> ((layout, matrix, version), Slots); entries go when the index tensor goes."""


def slots_of(a: TorchSparse) -> Slots:
    """A sparse array -> its slots.  Errors: TENSOR-2 for an array that stores an entry twice."""
    anchor = next((tensor for name, tensor in a.tensors.items() if name != "values"), None)
    if anchor is None:                                         # dense: nothing to keep
        return _find(a)
    key = (a.layout, a.shape, _version(anchor))
    known = _KNOWN.get(anchor)
    if known is None or known[0] != key:
        known = _KNOWN[anchor] = (key, _find(a))
    return known[1]


def _find(a: TorchSparse) -> Slots:
    if a.layout.name in LAYOUTS:
        place = positions(a).reshape(-1)
    else:                                                      # a layout of the user's own: its decode rule speaks NumPy
        place = to_torch(a.layout.positions(to_numpy(a, []))).reshape(-1).to(a.values.device)
    padding = place < 0
    if isinstance(a.layout, Dense) or not bool(padding.any()):
        padding = None
    real = place if padding is None else place[~padding]
    seen = torch.zeros(math.prod(a.shape), dtype=torch.bool, device=place.device)
    seen[real] = True
    if int(seen.sum()) != real.numel():
        raise SpecError("TENSOR-2", "an entry is stored twice.", wanted="each position in one slot at most",
                        given=f"{real.numel() - int(seen.sum())} slots too many in {a.layout} {a.shape}",
                        fix="from_pattern(decode(a), layout, pattern) adds duplicates up")
    return Slots(a.shape, place, padding, real.numel())


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def gather(a: TorchSparse, dense: Tensor) -> Tensor:
    """dense [matrix] -> values of a's slots [shape of `values`], +0 in padding."""
    slots = slots_of(a)
    if not slots.place.numel() or not dense.numel():
        return dense.new_zeros(a.values.shape)
    taken = dense.reshape(-1).take(slots.place if slots.padding is None else slots.place.clamp_min(0))
    return cleared(taken.reshape(a.values.shape), a)


def cleared(values: Tensor, a: TorchSparse) -> Tensor:
    """values [shape of `values`] -> the same tensor with +0 written into a's padding slots (CORE-P5)."""
    padding = slots_of(a).padding
    return values if padding is None else values.masked_fill_(padding.reshape(values.shape), 0)


def pattern(a: TorchSparse) -> Tensor:
    """a -> bool [matrix]."""
    place = slots_of(a).place
    stored = torch.zeros(math.prod(a.shape), dtype=torch.bool, device=place.device)
    stored[place[place >= 0]] = True
    return stored.reshape(a.shape)


_DECODED: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""values tensor -> (version, dense): decoded once for as long as the values stay what they are."""


def decoded(a: TorchSparse, keep: bool = False) -> Tensor:
    """a -> dense [matrix], +0 where nothing is stored; `keep`: remember it, and do not write to it."""
    version: Any = (_version(a.values), a.layout, a.shape)
    known = _DECODED.get(a.values)
    if keep and version[0] >= 0 and known is not None and known[0] == version:
        return known[1]
    if isinstance(a.layout, Dense):
        return a.values.clone()
    slots = slots_of(a)
    size = math.prod(a.shape)
    dense = a.values.new_zeros(size + 1)                       # CORE-P5: padding goes to a spare place that is cut off
    place = slots.place if slots.padding is None else torch.where(slots.padding, size, slots.place)
    dense = dense.index_copy_(0, place, a.values.reshape(-1))[:size].reshape(a.shape)
    if keep and version[0] >= 0:
        _DECODED[a.values] = (version, dense)
    return dense


def same_slots(a: TorchSparse, b: TorchSparse) -> bool:
    """True where both hold the same entries in the same slots, so that their values can be combined one by one."""
    if a.layout != b.layout or a.shape != b.shape or a.tensors.keys() != b.tensors.keys():
        return False
    return all(a[name] is b[name] or torch.equal(a[name], b[name]) for name in a.tensors if name != "values")


def wide(values: Tensor) -> Tensor:
    """values in the dtype that sums are kept in (BOUND-1)."""
    return values.to(ACCUMULATOR.get(values.dtype, values.dtype))

