"""nmg: grouped n:m, every pattern owns exactly g fibres of a chunk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import slot_index_dtype
from ..errors import SpecError
from .base import Field, Layout, whole_number
from .blocks import bring_last, ceil_div, entry_numbers, pad_to, split_sides
from .nmg_assign import assign_fibres
from .patterns import pattern_places


@dataclass(frozen=True)
class Chunk:
    """Fibres first .. first + C*g - 1, where every pattern owns g slots (NMG-C4, NMG-C9)."""

    first: int
    g: int
    patterns: int

    @property
    def fibres(self) -> slice:
        return slice(self.first, self.first + self.patterns * self.g)


@dataclass(frozen=True)
class NMG(Layout):
    """Along `sparse_axis`, blocks of m keep n; along `group_axis`, chunks of C*g fibres in which each pattern owns g.

    A fibre is the m entries of one block at one place of the group axis.  Slots go chunk by chunk, pattern by pattern.

    dense [shape]  <->  values [B, RB, S, n], idx [B, RB, S]
    R, F: sides along sparse_axis, group_axis; B: all others; RB = ceil(R / m); C = comb(m, n); S: slots, F filled up.

    Parameters: n, m, g; 1 <= n <= m <= 256; the axes, for a Linear weight [out, in] out and in; tail "pad" or "short".
    Storage: B * RB * S * (n * bits(dtype) + bits(idx)); idx is uint8 up to C*g = 256, else uint16.
    Errors: NMG-C1, C2, C5, C6, C7.  Source: STen, arXiv 2304.07613; spec/clauses/nmg.toml.
    """

    n: int
    m: int
    g: int
    sparse_axis: int = 0
    group_axis: int = 1
    tail: str = "pad"
    name: ClassVar[str] = "nmg"
    examples: ClassVar[tuple[str, ...]] = ("nmg:2:4:2", "nmg:1:3:2,tail=short",
                                           "nmg:2:3:2,sparse_axis=1,group_axis=0,tail=short")

    def __post_init__(self) -> None:
        whole_number("NMG-C1", "m", self.m, 1, 256)
        whole_number("NMG-C1", "n", self.n, 1, self.m)
        most = 65536 // math.comb(self.m, self.n)
        whole_number("NMG-C7", "g", self.g, 1, max(most, 1), fix=f"C({self.m},{self.n}) * g indexes the fibres of a chunk")
        if most == 0:                                                                      # NMG-C7
            raise SpecError("NMG-C7", f"C({self.m},{self.n}) patterns are more than an index can tell apart.",
                            wanted="comb(m, n) * g <= 65536", given=f"comb = {math.comb(self.m, self.n)}, g = {self.g}")
        if self.tail not in ("pad", "short"):                                              # NMG-C1
            raise SpecError("NMG-C1", "this is no tail policy.", wanted="'pad' or 'short'", given=f"tail = {self.tail!r}")

    @property
    def patterns(self) -> int:
        """C, the number of patterns."""
        return math.comb(self.m, self.n)

    def check(self, shape: tuple[int, ...]) -> None:
        for axis in (self.sparse_axis, self.group_axis):
            whole_number("NMG-C2", "axis", axis, -len(shape), len(shape) - 1, fix="nmg describes arrays of two axes or more")
        if self.sparse_axis % len(shape) == self.group_axis % len(shape):                  # NMG-C2
            raise SpecError("NMG-C2", "the sparse axis and the group axis are one.", wanted="two different axes",
                            given=f"sparse_axis = {self.sparse_axis}, group_axis = {self.group_axis}")

    def chunks(self, fibres: int) -> Iterator[Chunk]:
        """F -> its chunks: full ones, then the tail, filled up ("pad") or with a smaller g ("short")."""
        full = self.patterns * self.g
        for first in range(0, fibres, full):
            left = fibres - first
            short = self.tail == "short" and left < full
            yield Chunk(first, ceil_div(left, self.patterns) if short else self.g, self.patterns)  # NMG-C8, NMG-C9

    def slots(self, fibres: int) -> int:
        """F -> S, the slots of one block row: the fibres and what fills the last chunk."""
        full = self.patterns * self.g
        last = next(self.chunks(fibres % full), None)          # no walk over all chunks: a shape from outside may be huge
        return fibres // full * full + (last.g * last.patterns if last else 0)

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        batch, (rows, fibres) = split_sides(shape, self.sparse_axis, self.group_axis)
        slots = (batch, ceil_div(rows, self.m), self.slots(fibres))
        return {"values": Field(None, (*slots, self.n)), "idx": Field(slot_index_dtype(self.patterns * self.g), slots)}

    def cut(self, array: np.ndarray, fill: object) -> np.ndarray:
        """array [shape] -> [B, RB, m, S]: blocks of m rows, both tails filled up (NMG-C8)."""
        plane = bring_last(array, self.sparse_axis, self.group_axis)                       # [B, R, F]
        batch, rows, fibres = plane.shape
        filled = np.pad(pad_to(plane, (self.m, 1), fill), [(0, 0), (0, 0), (0, self.slots(fibres) - fibres)],
                        constant_values=fill)  # type: ignore[call-overload]  # fill has the array's dtype
        return filled.reshape(batch, ceil_div(rows, self.m), self.m, filled.shape[2])

    def slot_places(self, fibres: int) -> np.ndarray:
        """F -> int64 [S, n]: the rows of its block that each slot's values belong to (NMG-C4)."""
        places = pattern_places(self.n, self.m)                                            # [C, n]
        runs = [np.repeat(places, chunk.g, axis=0) for chunk in self.chunks(fibres)]
        return np.concatenate([np.zeros((0, self.n), np.int64), *runs])

    def slot_chunk_start(self, fibres: int) -> np.ndarray:
        """F -> int64 [S]: the first fibre of the chunk that each slot lies in."""
        runs = [np.full(chunk.g * chunk.patterns, chunk.first) for chunk in self.chunks(fibres)]
        return np.concatenate([np.zeros(0, np.int64), *runs])

    def _gather(self, blocks: np.ndarray, idx: np.ndarray, fibres: int) -> np.ndarray:
        """blocks [B, RB, m, S], idx [B, RB, S] -> [B, RB, S, n]: what belongs in every slot (NMG-C4)."""
        b = np.arange(blocks.shape[0])[:, None, None, None]
        block = np.arange(blocks.shape[1])[:, None, None]
        row = self.slot_places(fibres)                                                     # [S, n]
        fibre = (self.slot_chunk_start(fibres) + idx)[..., None]                           # [B, RB, S, 1]
        return blocks[b, block, row, fibre]

    def positions(self, a: SparseArray) -> np.ndarray:
        return self._gather(self.cut(entry_numbers(a.shape), -1), a["idx"], a.shape[self.group_axis])

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        idx = assign_fibres(self, pattern)                                                 # [B, RB, S]
        values = self._gather(self.cut(dense, 0), idx, dense.shape[self.group_axis])
        return {"values": values, "idx": idx.astype(slot_index_dtype(self.patterns * self.g))}

    def validate(self, a: SparseArray) -> None:
        for chunk in self.chunks(a.shape[self.group_axis] if a["idx"].size else 0):
            owners = np.sort(a["idx"][:, :, chunk.fibres], axis=2)
            if (owners != np.arange(owners.shape[2])).any():                               # NMG-C5
                raise SpecError("NMG-C5", f"the chunk at fibre {chunk.first} does not hold each of its fibres once.",
                                wanted=f"idx a permutation of 0..{owners.shape[2] - 1}",
                                given=f"smallest {owners.min()}, largest {owners.max()}, or one named twice")

    def sparsifier(self) -> str:
        return str(self)

    def transposed(self) -> Layout:
        return NMG(self.n, self.m, self.g, 1 - self.sparse_axis % 2, 1 - self.group_axis % 2, self.tail)
