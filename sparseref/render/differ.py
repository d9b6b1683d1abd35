"""Where two arrays differ, as a small grid with the first differing entry marked."""

from __future__ import annotations

import numpy as np

from ..array import differing

WINDOW = 16
"""The most rows and columns of a grid."""

LISTED = 4
"""How many differences are written out as numbers."""


def difference(expected: np.ndarray, actual: np.ndarray, wrong: np.ndarray | None = None) -> str:
    """expected [shape], actual [shape] -> a grid of at most 16 x 16 entries round the first difference, and numbers.

    `wrong` bool [shape] says which entries to mark, e.g. those beyond a bound; by default those whose bits differ (CORE-D3).
    Of more than two axes the plane that holds the first difference is shown.
    """
    if expected.shape != actual.shape:
        return f"shape: expected {expected.shape}, actual {actual.shape}"
    dtype = f"dtype: expected {expected.dtype.name}, actual {actual.dtype.name}\n" if expected.dtype != actual.dtype else ""
    wrong = differing(expected, actual) if wrong is None else wrong
    places = np.argwhere(wrong)
    if not len(places):
        return dtype + f"no difference in {expected.size} entries"
    lines = [f"{len(places)} of {expected.size} entries differ, the first at {_index(places[0])}"]
    for place in places[:LISTED]:
        lines.append(f"  {_index(place)}  expected {_number(expected, place)}, actual {_number(actual, place)}")
    if len(places) > LISTED:
        lines.append(f"  and {len(places) - LISTED} more")
    return dtype + "\n".join(lines) + "\n" + _grid(wrong, places[0])


def _grid(wrong: np.ndarray, first: np.ndarray) -> str:
    """wrong bool [shape], first [D] -> the window round `first`, X there, x where else it differs, a dot where not."""
    *lead, row, column = [0] * (2 - len(first)) + [int(i) for i in first]
    plane = wrong[tuple(lead)] if wrong.ndim > 1 else wrong.reshape(1, -1)                 # [R, C]
    top, left = _window(row, plane.shape[0]), _window(column, plane.shape[1])
    part = plane[top:top + WINDOW, left:left + WINDOW]
    width = len(str(top + len(part)))
    where = f"columns {left} to {left + part.shape[1] - 1}" + (f" of plane {lead}" if lead else "")
    lines = [f"{'':{width}}   " + " ".join(str((left + j) % 10) for j in range(part.shape[1])) + f"   {where}"]
    for i, marks in enumerate(part):
        signs = ["x" if mark else "." for mark in marks]
        if top + i == row:
            signs[column - left] = "X"
        lines.append(f"{top + i:{width}} | " + " ".join(signs))
    return "\n".join([*lines, "X the first difference, x another, . agrees"])


def _window(at: int, side: int) -> int:
    """The start of a window along a side such that `at` lies in it, in the middle where there is room."""
    return int(max(0, min(at - WINDOW // 2, side - WINDOW)))


def _index(place: np.ndarray) -> str:
    return "[" + ", ".join(str(i) for i in place) + "]"


def _number(array: np.ndarray, place: np.ndarray) -> str:
    return repr(array[tuple(place)].item())
