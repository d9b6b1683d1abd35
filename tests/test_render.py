"""The pictures say what is there: differences, stored entries, structural zeros, padding, borders."""

import sys
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest

import sparseref as sr
from sparseref import layouts, render
from sparseref.render.grid import Mark, grid_of


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


def nmg_example():
    """An 8 x 7 array in nmg:2:4:1,tail=short, worked by hand: chunks of 6 columns, then 1 column that takes 6 slots."""
    keeps = ["01", "23", "02", "12", "03", "13", "12"]                    # rows kept by each column, in both blocks
    pattern = np.zeros((4, 7), bool)
    for column, rows in enumerate(keeps):
        pattern[[int(row) for row in rows], column] = True
    return sr.encode(np.ones((4, 7), np.float32), "nmg:2:4:1,tail=short", pattern)


def test_text_of_nmg_shows_borders_patterns_and_padding():
    """Patterns in order are 01 02 12 13 03 23: a to f (NMG-C3); the one column of the tail takes pattern c (NMG-C9)."""
    grid = ["    0 1 2 3 4 5   6 7 8 9 0 1",
            "0   a · b · e · ‖ · □ □   □",
            "1   a · · c · d ‖ c □   □",
            "2   · f b c · · ‖ c   □     □",
            "3   · f · · e d ‖ ·     □ □ □"]
    legend = ["letter stored, by pattern   · structural zero   □ padding slot beyond the array", "",
              "each pattern keeps 2 of 4 places and owns 1 slots of a chunk, which hold the fibres",
              "  a = places 0 1   block 0: 0 7", "  b = places 0 2   block 0: 2 8", "  c = places 1 2   block 0: 3 6",
              "  d = places 1 3   block 0: 5 9", "  e = places 0 3   block 0: 4 10", "  f = places 2 3   block 0: 1 11"]
    expected = ["nmg:2:4:1,tail=short   4 x 7 float32   14 of 28 stored, 10 padding slots, 864 bits", "",
                *grid, "", *legend, "",
                "values  float32 [1, 1, 12, 2]", "idx     uint8 [1, 1, 12]"]
    actual = render.text(nmg_example()).splitlines()

    assert expected == actual


def test_text_of_slots_numbers_them_in_stored_order():
    """Blocks of bsr lie row by row, and within a block the entries do (BSR-C6)."""
    pattern = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]], bool)
    expected = ["    0 1   2 3",
                "0   · · | 0 1",
                "1   · · | 2 3",
                "    ----+----",
                "2   4 5 | · ·",
                "3   6 7 | · ·"]
    actual = render.text(sr.encode(pattern.astype(np.int8), "bsr:2:2", pattern), slots=True).splitlines()[2:8]

    assert expected == actual


@dataclass(frozen=True)
class FirstColumn(sr.Layout):
    """A layout from elsewhere: it stores the first column of a matrix, and says so by `positions` alone."""

    name: ClassVar[str] = "first-column"

    def fields(self, shape):
        return {"values": sr.Field(None, (shape[0],))}

    def positions(self, a):
        return np.arange(a.shape[0]) * a.shape[1]

    def encode(self, dense, pattern):
        return {"values": dense[:, 0].copy()}


def first_column():
    dense = np.array([[1.0, 2], [0, 4]])
    return sr.encode(dense, FirstColumn(), dense > 0)


def test_a_layout_from_elsewhere_has_a_picture():
    """`positions` is all that a picture needs; a stored zero is told from a structural one (CORE-P1)."""
    expected = ["first-column   2 x 2 float64   2 of 4 stored, 128 bits", "", "    0 1", "0   ■ ·", "1   0 ·", "",
                "■ stored   0 stored, value 0   · structural zero", "", "values  float64 [2]"]
    actual = render.text(first_column()).splitlines()

    assert expected == actual


EXAMPLES = [example for kind in layouts.ALL for example in kind.examples]


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("shape", [(7, 11), (4, 12), (0, 3), (1, 1)])
def test_the_grid_holds_every_slot_once(example, shape):
    """Stored cells are the pattern, and each slot is in one cell or counted as lying elsewhere."""
    a = sr.sparsify(np.arange(1.0, 1 + shape[0] * shape[1]).reshape(shape), example)
    grid = grid_of(a)
    real = grid.marks[:shape[0], :shape[1]]
    numbers = np.sort(grid.slot[grid.slot >= 0])
    expected = (a.pattern.tolist(), a.layout.positions(a).size, len(np.unique(numbers)))
    actual = (np.isin(real, (Mark.STORED, Mark.STORED_ZERO)).tolist(), len(numbers) + grid.elsewhere, len(numbers))

    assert expected == actual


@pytest.mark.parametrize(("shape", "expected"), [((), (1, 1)), ((5,), (1, 5)), ((2, 3, 4), (6, 4)), ((2, 3), (2, 3))])
def test_an_array_that_is_no_matrix_is_laid_out_as_one(shape, expected):
    """The last axis gives the columns, the others the rows."""
    actual = grid_of(sr.encode(np.ones(shape), "masked", np.ones(shape, bool))).marks.shape

    assert expected == actual


def test_text_of_a_large_array_says_what_it_leaves_out():
    """32 rows and 64 columns are drawn, and of many patterns the first twelve."""
    lines = render.text(sr.sparsify(np.random.default_rng(0).normal(size=(40, 70)), "nmg:2:8:1,sparse_axis=0")).splitlines()
    expected = ["... 8 more rows and 20 more columns", "  and 16 more patterns"]
    actual = [line for line in lines if " more " in line]

    assert expected == actual


def test_text_without_letters_when_patterns_are_too_many():
    """C(12, 3) = 220 patterns have no letters; stored entries are plain marks, padding is counted."""
    picture = render.text(sr.sparsify(np.ones((12, 3)), "nmg:3:12:1"))
    expected = (True, False)
    actual = ("■ stored" in picture, "places" in picture)

    assert expected == actual


@pytest.mark.slow
@pytest.mark.parametrize("array", [nmg_example(), first_column(), sr.sparsify(np.eye(40, 60), "masked"),
                                   sr.sparsify(np.ones((5, 7)), "nm:2:5"), sr.sparsify(np.ones((60, 60)), "nmg:1:3:1"),
                                   sr.sparsify(np.zeros((4, 8)), "vnm:2:1:4"), sr.sparsify(np.ones((9, 60)), "bsr:2:3"),
                                   sr.sparsify(np.ones((8, 10)), "nmg:1:8:1")],
                         ids=["nmg-short-tail", "third-party", "masked-large", "nm", "nmg-large", "vnm", "bsr", "nmg-8"])
def test_svg_is_a_document_and_always_the_same(array):
    """Well-formed XML with an svg root, free of dates and random ids."""
    first, second = render.svg(array), render.svg(array)
    expected = ("{http://www.w3.org/2000/svg}svg", first)
    actual = (ElementTree.fromstring(first).tag, second)

    assert expected == actual


def test_a_picture_without_matplotlib_names_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(sr.MissingDependency, match=r"pip install 'sparseref\[conformance\]'"):
        render.figure(first_column())
