"""nmg for many tokens, where n is small: block rows that stand one below the other share what they load of x.

Two block rows of n = 1 meet a column in C(m, 1) squared ways.  Its columns that they meet alike are one run of two rows:

             columns by their pattern in the first block row, then in the second
    row 0    v v v v v v . . . . . . . .      runs: rows (0, m), (0, m + 1), (1, m), (1, m + 1) ...
    row 1    . . . . . . v v v v v v v v
    row m    v v v . . . v v v v . . . .      a column of x is loaded once for both
    row m+1  . . . v v v . . . . v v v v

So for three and four, as long as runs stay long.  Columns that some of them do not store are runs of one block row.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from .library import RUN, likely_set
from .segments import GROUP_ROWS, MOST_COLUMNS, MOST_ROWS, Part, Prepared, by_length, in_segments

MANY_REGISTERS = {"avx512", "neon"}
"""Sets with 32 registers; with them a run may have four rows, else three."""
LEAST_VALUES, LEAST_OF_TWO = 30, 10
"""Values of a run, on average; of two block rows.  A run loads and stores its sums, and where it ends the machine may guess
wrongly.  Measured with 768 columns: with 32 registers two block rows gain a tenth at 15 (1:10) and a twentieth at 10.7 (1:12),
with 16 on a Zen 3 a sixth and an eighth, at 6 (1:16) next to nothing; but three at 18 (1:5) lose to two on both."""


def block_rows_joined(n: int, patterns: int, fibres: int) -> int:
    """How many block rows share their loads; 1: none."""
    wide = likely_set() in MANY_REGISTERS
    values = {J: n * J * min(fibres, MOST_COLUMNS) / patterns**J for J in range(2, MOST_ROWS // n + 1)}
    most = MOST_ROWS if wide else MOST_ROWS - 1
    return max((J for J in values if n * J <= most and values[J] >= (LEAST_OF_TWO if J == 2 else LEAST_VALUES)), default=1)


def joined(shape: tuple[int, ...], m: int, places: np.ndarray, pattern: np.ndarray, column: np.ndarray, values: np.ndarray,
           real: Any) -> Prepared | None:
    """shape [O, K], places [C, n], pattern [S], column [RB, S] (K: not stored), values [RB, S, n] -> runs of joined block rows.

    None: nothing would be gained.  Order, from the outside in: group of rows, block of columns, joined block rows, length of a
    run, patterns of each in turn, column.
    """
    (patterns, n), fibres = places.shape, shape[1]
    J = block_rows_joined(n, patterns, fibres)
    if J == 1:
        return None
    count = -(-len(column) // J) * J
    kind, slot = np.full((count, fibres + 1), patterns), np.zeros((count, fibres + 1), np.int64)       # C: not stored
    of = np.arange(len(column))[:, None]
    kind[of, column], slot[of, column] = pattern, np.arange(len(pattern))
    kind[:, fibres] = patterns
    unit = math.lcm(4, J)                                                                              # src/check.c: fours
    each = -(-GROUP_ROWS // (unit * m)) * unit
    edges = np.linspace(0, fibres, -(-fibres // MOST_COLUMNS) + 1).astype(int)
    groups = []
    for first in range(0, count, each):
        parts = []
        for begin, end in pairwise(edges):
            here = slice(first, first + each), slice(begin, end)
            teams = kind[here].reshape(-1, J, end - begin)
            whole = (teams < patterns).all(axis=1)
            for kinds, which, step in ((teams, whole, J), (kind[here][:, None], ~np.repeat(whole, J, axis=0), 1)):
                team, at = np.nonzero(which & (kinds < patterns).all(axis=1))
                members = team[:, None] * step + np.arange(step)                                       # [kept, J]
                parts.append(_runs(members, kinds[team, :, at], at + begin, places, m,
                                   lambda block_row, at, first=first: values[first + block_row, slot[first + block_row, at]]))
        groups.append(parts)
    return in_segments(shape, each * m, m, J * n, groups, real)


def _runs(members: np.ndarray, kinds: np.ndarray, column: np.ndarray, places: np.ndarray, m: int, values: Any) -> Part:
    """members, kinds [kept, J]: block rows and their patterns; column [kept], rising -> one run for what is alike."""
    order = np.lexsort((*kinds.T[::-1], members[:, 0]))
    members, kinds, column = members[order], kinds[order], column[order]
    begins = np.flatnonzero(np.append(True, np.any(np.diff(np.c_[members[:, 0], kinds], axis=0), axis=1))[:len(column)])
    counts = np.diff(begins, append=len(column))
    run, entry = by_length(members[begins, 0], counts)
    members, kinds, column, counts = members[entry], kinds[entry], column[entry], counts[run]
    begins = np.cumsum(counts) - counts
    runs = np.zeros(len(begins), RUN)
    runs["count"] = counts
    n = kinds.shape[1] * places.shape[1]
    runs["row"][:, :n] = (members[begins, :, None] * m + places[kinds[begins]]).reshape(-1, n)
    return Part(runs, column, values(members, column[:, None]).reshape(-1), n, 1)
