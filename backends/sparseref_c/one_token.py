"""A prepared weight -> the same for products of one token: sixteen rows abreast, as src/lookup.h multiplies them.

A table is a block of columns, so few that their x fits into registers.  What rows store there goes sixteen by sixteen:

    table 0        rows 0 to 15:   entry 0 of each, entry 1 of each ...     as many as the longest of them has there
                   rows 16 to 31:  ...
    table 1 ...

It is made when a weight first meets a single token; models that never do so need no memory for it.
"""

from __future__ import annotations

import ctypes

import numpy as np

from .library import ONE_TOKEN, RUN, CRuns, likely_set
from .segments import NOTHING, Part, Prepared, in_segments

LOOKS_UP = "avx512"
"""The instruction set that has look-ups, in float32; on any other a weight stays as it is."""
SIXTEEN, BEHIND = 16, 255
"""Rows abreast, and the byte of a column of zeros, as in src/runs.h."""
TABLE_COLUMNS, MOST_COLUMNS = 64, 160
"""Of a table, about, and at most, 32 times MOST_PAIRS of src/lookup.h.  In more columns rows are more alike, and less is filled
up, but a look-up takes longer: 2.1 ns in 32, 2.6 in 64, 4.6 in 160 (Intel)."""
MOST_FILLED = 4
"""Times its entries that rows abreast are at most.  Random ones are 1.2 times at 50 %, 1.7 at 90 % and 2.7 at 98 %, where they
still take half the time of fours."""


_NAME = "one token"
NOTHING_LATER: dict[str, Prepared | None] = {_NAME: None}
"""Of a weight that is not to be prepared for one token."""


def runs_for_one(weight: Prepared) -> CRuns:
    """The weight's runs, which from now on know those for one token."""
    if _NAME not in weight.later:
        weight.later.setdefault(_NAME, for_one_token(weight))                  # of several Python threads the first
    found = weight.later[_NAME]
    if found is not None:
        weight.runs.one_token = ctypes.addressof(found.runs)
    return weight.runs


def for_one_token(weight: Prepared) -> Prepared | None:
    """None: nothing would be gained."""
    if weight.dtype != np.float32 or likely_set() != LOOKS_UP:
        return None
    even = weight.even
    table = even * max(1, TABLE_COLUMNS // even) if 0 < even <= MOST_COLUMNS else TABLE_COLUMNS
    groups, stored = [], 0
    for group in range(weight.runs.groups):
        row, column, value = _entries(weight, group)
        groups.append(_in_sixteens(row, column, value, weight, table))
        stored += len(row)
    if SIXTEEN * sum(int(part.runs["count"].sum()) for parts in groups for part in parts) > MOST_FILLED * stored:
        return None
    return in_segments(weight.shape, weight.runs.group_rows, 1, 1, groups, np.float32)


def _entries(weight: Prepared, group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> the row in its group, column and value of each stored entry of one group, those of a row in the order of its runs."""
    first, segments, runs, columns, values = weight.arrays
    found = []
    for s in segments[first[group]:first[group + 1]]:
        if not s["serves"] & ONE_TOKEN:
            continue
        n, together = int(s["n"]), int(s["abreast"])
        run = runs[s["first_run"]:][:s["runs"]].reshape(-1, together)
        steps = run["count"].max(axis=1, initial=0)
        size = int(steps.sum()) * together
        column = columns[s["first_column"]:][:size].reshape(-1, 1, together)                   # [step, 1, run]
        value = values[s["first_value"]:][:size * n].reshape(-1, n, together)
        row = np.repeat(run["row"][..., :n].swapaxes(1, 2), steps, axis=0)
        stored = np.broadcast_to(column != weight.shape[1], value.shape)                       # not filled up
        found.append((row[stored], np.broadcast_to(column, value.shape)[stored], value[stored]))
    return tuple(np.concatenate(one) for one in zip(*found, strict=True)) if found else (np.zeros(0, int),) * 3


def _in_sixteens(row: np.ndarray, column: np.ndarray, value: np.ndarray, weight: Prepared, table: int) -> list[Part]:
    """The entries of a group -> a part for each table."""
    if not len(row):
        return []
    K = weight.shape[1]
    tables, rows = -(-K // table), -(-weight.runs.group_rows // SIXTEEN) * SIXTEEN
    place = column // table * rows + row
    order = np.argsort(place.astype(np.min_scalar_type(tables * rows)), kind="stable")         # of small numbers in linear time
    place, column, value = place[order], column[order], value[order]
    counts = np.bincount(place, minlength=tables * rows)
    rank = np.arange(len(place)) - (np.cumsum(counts) - counts)[place]
    longest = counts.reshape(-1, SIXTEEN).max(axis=1)
    to = ((np.cumsum(longest) - longest)[place // SIXTEEN] + rank) * SIXTEEN + place % SIXTEEN
    columns, values = np.full(SIXTEEN * longest.sum(), BEHIND, np.uint8), np.full(SIXTEEN * longest.sum(), NOTHING, np.float32)
    columns[to], values[to] = column % table, value
    parts, begin = [], 0
    for number, counts in enumerate(longest.reshape(tables, -1)):
        used = np.flatnonzero(counts)
        runs = np.zeros(len(used), RUN)
        runs["count"], runs["row"][:, 0] = counts[used], used * SIXTEEN
        here = slice(begin, begin := begin + SIXTEEN * int(counts.sum()))
        spanned = number * table, min(table, K - number * table)
        parts.append(Part(runs, columns[here].view(np.uint32), values[here], 1, SIXTEEN, ONE_TOKEN, spanned))
    return parts
