"""A prepared weight as C reads it: runs in segments, group of rows by group of rows (src/runs.h)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .library import ANY, RUN, SEGMENT, CRuns, CSizes, load

MOST_ROWS = 4
"""Of a run, as in src/runs.h."""
GROUP_ROWS, MOST_COLUMNS = 128, 1536
"""Rows of a group at least and columns of a block at most: a tile of x and sums that the second-level cache holds."""
NOTHING = -0.0
"""The value of a slot that a run abreast lacks: 0 times it is -0, which leaves every sum as it is, -0 among them."""
ENOUGH_TOKENS = 33
"""From so many on a tile is as wide as runs that go alone want it.  The tokens of a product decide, not those of a tile, so
that no sum depends on threads."""


class Part(NamedTuple):
    """What becomes a segment.

    table: the first column and how many there are, where the columns are bytes counted from there (src/runs.h).
    """

    runs: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    n: int
    abreast: int
    serves: int = ANY
    table: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """A weight [O, K] in runs, of float32 or float64 values; `arrays` own what `runs` points to.

    many: the same weight for ENOUGH_TOKENS and more, where that differs.  even: columns, of which all rows store equally many
    from each multiple on; 0: none are known.  later: what is made of it when it is first asked for.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    runs: CRuns
    arrays: tuple[np.ndarray, ...]
    many: Prepared | None = None
    even: int = 0
    later: dict[str, Prepared | None] = field(default_factory=dict)

    def runs_for(self, tokens: int) -> CRuns:
        return self.runs if self.many is None or tokens < ENOUGH_TOKENS else self.many.runs


def in_segments(shape: tuple[int, ...], group_rows: int, block_rows: int, widest: int, groups: list[list[Part]],
                real: Any) -> Prepared:
    """The parts of each group of rows -> one weight."""
    groups = [[part for part in group if len(part.runs)] for group in groups]
    parts = [part for group in groups for part in group]
    segments = np.zeros(len(parts), SEGMENT)
    segments["runs"] = [len(part.runs) for part in parts]
    for name, sizes in (("first_run", segments["runs"]), ("first_column", [len(part.columns) for part in parts]),
                        ("first_value", [len(part.values) for part in parts])):
        segments[name] = np.append(0, np.cumsum(sizes, dtype=np.uint64))[:-1]
    for name in ("n", "abreast", "serves"):
        segments[name] = [getattr(part, name) for part in parts]
    spans = np.array([part.table or span(part.columns, shape[1]) for part in parts], int).reshape(-1, 2)
    segments["first_x"], segments["x_columns"] = spans.T
    arrays = (np.cumsum([0, *(len(group) for group in groups)]), segments,
              np.concatenate([np.zeros(0, RUN), *(part.runs for part in parts)]),
              np.concatenate([np.zeros(0, np.int64), *(part.columns for part in parts)]).astype(np.uint32),
              np.concatenate([np.zeros(0, real), *(part.values for part in parts)]).astype(real))
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    rows, columns = (int(side) for side in shape)
    found = CRuns(rows, columns, group_rows, len(groups), widest, block_rows, *pointers)
    if load().sparseref_check(found, CSizes(*(array.size for array in arrays))):
        raise RuntimeError("the C library refuses a prepared weight: validate says whether its array is valid")
    return Prepared((rows, columns), np.dtype(real), found, arrays)


def by_length(block_row: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[runs] each, block rows rising -> the order of runs, and that of their columns, in which those of a block row that are
    equally long follow each other.

    The machine guesses that a loop ends where it ended before.  Measured on a Zen 3, 3072 x 768: 1.12 to 1.18 times as fast
    where block rows are joined (1:8 and 1:10), 1.05 to 1.1 where the last chunk of columns is not full (2:16:4, 2:8:8).
    """
    order = np.lexsort((counts, block_row))
    sizes = counts[order]
    begins = (np.cumsum(counts) - counts)[order]
    return order, np.repeat(begins - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())


def span(columns: np.ndarray, zeros: int) -> tuple[int, int]:
    """-> the first column and how many there are up to the last, but for that of zeros."""
    stored = columns[columns != zeros]
    return (int(stored.min()), int(np.ptp(stored)) + 1) if len(stored) else (0, 0)


def real_of(dtype: np.dtype[Any]) -> Any:
    return np.float64 if dtype == np.float64 else np.float32
