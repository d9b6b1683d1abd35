"""The numbers of one weight, and of many weights together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DENSE_BITS = 32
"""Bits of a weight entry in the dense model, which is float32."""


@dataclass(frozen=True)
class Storage:
    """Bits: the stored entries' values, value slots that hold no entry, and all that says where entries lie."""

    values: int
    padding: int
    indices: int

    @property
    def bits(self) -> int:
        return self.values + self.padding + self.indices


@dataclass(frozen=True)
class Measures:
    """What the demo measures of a weight.

    entries: of the dense weight; stored: how many of them the sparse one holds; magnitude, kept: the sums of |all| and of
    |stored| entries; best_kept: the most that so many entries of this weight can keep; error_ratio: worst error / bound
    of the layer's output.
    """

    entries: int
    stored: int
    magnitude: float
    kept: float
    best_kept: float
    storage: Storage
    error_ratio: float
    sparsify_seconds: float
    verify_seconds: float

    @property
    def density(self) -> float:
        return self.stored / self.entries

    @property
    def energy(self) -> float:
        return self.kept / self.magnitude

    @property
    def best_energy(self) -> float:
        """The energy of an unstructured choice of as many entries, which no format can beat."""
        return self.best_kept / self.magnitude

    @property
    def bits_per_entry(self) -> float:
        """Bits stored per entry of the dense weight; 32 in the dense model."""
        return self.storage.bits / self.entries

    @property
    def size(self) -> float:
        """Storage as a share of the dense weight's."""
        return self.bits_per_entry / DENSE_BITS


def together(parts: Sequence[Measures]) -> Measures:
    """Many weights as one: sums of what adds up, and the worst error ratio."""
    storage = Storage(sum(part.storage.values for part in parts), sum(part.storage.padding for part in parts),
                      sum(part.storage.indices for part in parts))
    return Measures(sum(part.entries for part in parts), sum(part.stored for part in parts),
                    sum(part.magnitude for part in parts), sum(part.kept for part in parts),
                    sum(part.best_kept for part in parts), storage, max(part.error_ratio for part in parts),
                    sum(part.sparsify_seconds for part in parts), sum(part.verify_seconds for part in parts))
