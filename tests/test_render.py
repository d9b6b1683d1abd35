"""The pictures say what is there: differences, stored entries, structural zeros, padding, borders."""

import numpy as np
import pytest

from sparseref import render


def test_difference_marks_the_first_and_lists_the_rest():
    """Row-major order decides which is first; others are small x."""
    want = np.arange(12, dtype=np.float32).reshape(3, 4)
    got = want.copy()
    got[1, 2], got[2, 0] = -1, np.nan
    expected = ("2 of 12 entries differ, the first at [1, 2]\n"
                "  [1, 2]  expected 6.0, actual -1.0\n"
                "  [2, 0]  expected 8.0, actual nan\n"
                "    0 1 2 3   columns 0 to 3\n"
                "0 | . . . .\n"
                "1 | . . X .\n"
                "2 | x . . .\n"
                "X the first difference, x another, . agrees")
    actual = render.difference(want, got)

    assert expected == actual


def test_difference_shows_a_window_of_a_large_array():
    """At most 16 x 16, the first difference inside it; the numbers of the rows are those of the array."""
    want = np.zeros((2, 100, 100), np.int32)
    got = want.copy()
    got[1, 50:, 99] = 1
    picture = render.difference(want, got).splitlines()
    grid = [line for line in picture if "|" in line]
    expected = (16, 16, ["50 | . . . . . . . . . . . . . . . X"], "  and 46 more", "columns 84 to 99 of plane [1]")
    actual = (len(grid), len(grid[0].split("|")[1].split()), [line for line in grid if "X" in line], picture[5],
              picture[6].split("   ")[-1])

    assert expected == actual


@pytest.mark.parametrize(("want", "got", "expected"), [
    (np.zeros(3), np.array([0.0, -0.0, 0.0]), "1 of 3 entries differ, the first at [1]"),          # CORE-D3: signed zeros
    (np.array(1), np.array(2), "1 of 1 entries differ, the first at []"),
    (np.array([np.nan]), np.array([np.nan]), "no difference in 1 entries"),
    (np.zeros((0, 3)), np.zeros((0, 3)), "no difference in 0 entries"),
    (np.zeros((2, 3)), np.zeros((3, 2)), "shape: expected (2, 3), actual (3, 2)"),
    (np.zeros(1, np.float32), np.zeros(1), "dtype: expected float32, actual float64"),
])
def test_difference_names_what_differs(want, got, expected):
    """Signed zeros differ, NaNs agree, and shape or dtype is named before any entry."""
    actual = render.difference(want, got).splitlines()[0]

    assert expected == actual


def test_difference_marks_what_it_is_told():
    """With `wrong`, entries that differ within their bound are not marked."""
    want, got = np.zeros(4), np.array([1e-9, 0, 1, 0])
    expected = "1 of 4 entries differ, the first at [2]"
    actual = render.difference(want, got, wrong=np.abs(want - got) > 1e-6).splitlines()[0]

    assert expected == actual
