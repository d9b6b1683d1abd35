"""Which entries live: every sparsifier against plain loops."""

import math

import numpy as np
import oracles
import pytest
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.sparsifiers import ALL, own_sparsifier

FRACTIONS = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.75, 1.0]), st.floats(0, 1))
NO_DRAWS = np.zeros(0)


@st.composite
def scores(draw, ndims=(1, 2, 3)):
    """float64 [shape] of few different numbers, so that ties are the rule; some are infinite."""
    shape = tuple(draw(st.lists(st.integers(0, 6), min_size=min(ndims), max_size=max(ndims))))
    rng = draw(some.generators())
    return rng.choice(draw(st.sampled_from([[0.0, 1.0, 2.0], [0.0, 0.5, np.inf], [1.0]])), shape)


def chosen(sparsifier, given_scores):
    return sparsifier.select(given_scores, NO_DRAWS)


@given(scores())
def test_keep_all_keeps_all(s):  # KEEP-S1
    """Zeros too."""
    expected = np.ones(s.shape, bool)
    actual = sr.select(s, "keep-all")

    assert sr.same_bits(expected, actual)


@given(some.sparse_arrays(), FRACTIONS)
def test_of_a_sparse_array_only_what_is_stored_is_chosen(a, fraction):  # KEEP-S1, SPF-6
    """Unless the sparsifier gives its pattern a fixed form."""
    expected = a.pattern
    actual = sr.select(a, sr.KeepAll())
    fewer = sr.select(a, sr.ScalarFraction(fraction))

    assert sr.same_bits(expected, actual)
    assert not (fewer & ~a.pattern).any()


def test_a_fixed_form_may_choose_a_structural_zero():
    """SPF-6: one of every two is kept though nothing is stored there."""
    a = sr.encode(np.zeros((1, 2)), "csr", np.zeros((1, 2), bool))
    expected = np.array([[True, False]])
    actual = sr.select(a, "nm:1:2")

    assert sr.same_bits(expected, actual)


@given(scores(), FRACTIONS)
def test_scalar_fraction_drops_the_exact_count(s, fraction):  # SFRAC-S1, SPF-4
    """size - rint(fraction * size) entries, the largest, a tie going to the lower index; ties of the count go to even."""
    flat = s.reshape(-1).tolist()
    kept = len(flat) - round(fraction * len(flat))
    expected = np.zeros(len(flat), bool)
    expected[oracles.largest(flat, kept)] = True
    actual = chosen(sr.ScalarFraction(fraction), s)

    assert sr.same_bits(expected.reshape(s.shape), actual)
    assert actual.sum() == kept


@given(scores(), st.one_of(st.sampled_from([0.5, 1.0, 2.0, -1.0, 0.0]), st.floats(allow_nan=False)))
def test_scalar_threshold_keeps_what_reaches_it(s, threshold):  # STHR-S1
    """At least the threshold; by default whatever is not zero."""
    expected = np.array([x >= threshold for x in s.flat], bool).reshape(s.shape)
    actual = chosen(sr.ScalarThreshold(threshold), s)

    assert sr.same_bits(expected, actual)
    assert sr.same_bits(s != 0, chosen(sr.ScalarThreshold(), s))


@given(some.arrays((9, 7), np.dtype(np.float64)), FRACTIONS, st.integers(0, 2**32 - 1))
def test_random_fraction_is_reproducible_and_looks_at_no_value(dense, fraction, seed):  # RAND-S1, SPF-5
    """One draw an entry in row-major order; the same seed gives the same pattern, whatever the values."""
    draws = np.random.default_rng(seed).random(dense.size)
    expected = np.array([draw >= fraction for draw in draws]).reshape(dense.shape)
    actual = sr.select(dense, sr.RandomFraction(fraction), rng=np.random.default_rng(seed))

    of_zeros = sr.select(np.zeros(dense.shape), sr.RandomFraction(fraction), draws=draws.reshape(dense.shape))

    assert sr.same_bits(expected, actual)
    assert sr.same_bits(expected, of_zeros)


@given(FRACTIONS)
def test_chance_needs_a_generator(fraction):  # SPF-5
    """No hidden global state."""
    expected = "SPF-5"
    actual = refusal(sr.select, np.ones(3), sr.RandomFraction(fraction))

    assert expected == actual


def blocks(s, r, c):
    """scores [R, C] -> {(block row, block column): sum in row-major order}, filling adding nothing."""
    total = {(i, j): 0.0 for i in range(-(-s.shape[0] // r)) for j in range(-(-s.shape[1] // c))}
    for y in range(s.shape[0]):
        for x in range(s.shape[1]):
            total[y // r, x // c] += s[y, x]
    return total


def of_blocks(kept, shape, r, c):
    return np.array([[(y // r, x // c) in kept for x in range(shape[1])] for y in range(shape[0])], bool).reshape(shape)


@given(scores(ndims=(2,)), st.integers(1, 4), st.integers(1, 4), st.sampled_from([None, 1.0, 2.5, 4.0]))
def test_block_threshold_keeps_whole_blocks(s, r, c, threshold):  # BTHR-S1, BLK-S1
    """A block lives where its sum reaches the threshold; by default where it is not all zero."""
    least = math.ulp(0.0) if threshold is None else threshold
    expected = of_blocks({at for at, total in blocks(s, r, c).items() if total >= least}, s.shape, r, c)
    actual = chosen(sr.BlockThreshold(r, c) if threshold is None else sr.BlockThreshold(r, c, threshold), s)

    assert sr.same_bits(expected, actual)


@given(scores(ndims=(2,)), st.integers(1, 4), st.integers(1, 4), FRACTIONS)
def test_block_fraction_drops_the_exact_count_of_blocks(s, r, c, fraction):  # BFRAC-S1, BLK-S1, SPF-4
    """The blocks of largest sum, a tie going to the block that comes first."""
    totals = blocks(s, r, c)
    kept = len(totals) - round(fraction * len(totals))
    names = list(totals)
    expected = of_blocks({names[i] for i in oracles.largest(list(totals.values()), kept)}, s.shape, r, c)
    actual = chosen(sr.BlockFraction(r, c, fraction), s)

    assert sr.same_bits(expected, actual)


@given(st.data())
def test_per_block_nm_keeps_the_n_largest_of_every_m(data):  # NMS-S1, SPF-4
    """Block by block along the axis; what lies beyond the array is never kept before a real entry."""
    layout = data.draw(some.layouts(["nm"]))
    shape = data.draw(some.shapes(layout))
    s = data.draw(some.generators()).choice([0.0, 1.0, 2.0], shape)
    expected = np.zeros(shape, bool)
    for full in oracles.planes(shape, layout.axis):
        for first in range(0, shape[layout.axis], layout.m):
            real = [full(k) for k in range(first, min(first + layout.m, shape[layout.axis]))]
            for i in oracles.largest([s[at] for at in real], layout.n):
                expected[real[i]] = True
    actual = chosen(sr.PerBlockNM(layout.n, layout.m, layout.axis), s)

    assert sr.same_bits(expected, actual)


@given(st.data())
def test_vnm_keeps_the_n_columns_of_largest_sum(data):  # VNMS-S1, SPF-4
    """Tile by tile: the rows' scores are added up in order, columns beyond the array rank last."""
    layout = data.draw(some.layouts(["vnm"]))
    shape = data.draw(some.shapes(layout, ndims=(2, 3)))
    s = data.draw(some.generators()).choice([0.0, 0.5, 1.0], shape)
    height, width = shape[layout.vector_axis], shape[layout.sparse_axis]
    expected = np.zeros(shape, bool)
    for full in oracles.planes(shape, layout.vector_axis, layout.sparse_axis):
        for top in range(0, height, layout.v):
            for left in range(0, width, layout.m):
                rows, columns = range(top, min(top + layout.v, height)), range(left, min(left + layout.m, width))
                for i in oracles.largest([sum(s[full(row, column)] for row in rows) for column in columns], layout.n):
                    for row in rows:
                        expected[full(row, columns[i])] = True
    actual = chosen(own_sparsifier(layout), s)

    assert sr.same_bits(expected, actual)


@given(some.sparse_arrays(), some.generators())
def test_same_pattern_is_the_pattern(a, rng):  # SAME-S1
    """Whatever the scores."""
    expected = a.pattern
    actual = chosen(sr.SamePattern(a), rng.normal(size=a.shape))

    assert sr.same_bits(expected, actual)


@given(some.sparse_arrays(), some.generators())
def test_same_format_chooses_anew_as_the_layout_does(a, rng):  # SAME-S2
    """As many of the largest where any pattern can be stored, else by the layout's own sparsifier."""
    s = np.abs(rng.normal(size=a.shape))
    flat = s.reshape(-1).tolist()
    if a.layout.any_pattern:
        expected = np.zeros(s.size, bool)
        expected[oracles.largest(flat, a.nnz)] = True
        expected = expected.reshape(a.shape)
    else:
        expected = chosen(own_sparsifier(a.layout), s)
    actual = chosen(sr.SameFormat(a), s)

    assert sr.same_bits(expected, actual)


@given(some.sparse_arrays(), st.sampled_from([sr.SamePattern, sr.SameFormat]))
def test_what_follows_an_array_has_its_shape(a, kind):  # SAME-S1, SAME-S2
    """Values of another shape are refused."""
    expected = {sr.SamePattern: "SAME-S1", sr.SameFormat: "SAME-S2"}[kind]
    actual = refusal(sr.select, np.ones((*a.shape, 1)), kind(a))

    assert expected == actual


@given(st.sampled_from([-0.1, 1.1, math.nan, math.inf, True, "0.5", None]),
       st.sampled_from([sr.ScalarFraction, sr.RandomFraction, lambda f: sr.BlockFraction(2, 2, f)]))
def test_a_fraction_lies_between_0_and_1(fraction, make):  # SPF-8
    """Both included."""
    expected = "SPF-8"
    actual = refusal(make, fraction)

    assert expected == actual


@given(st.sampled_from([math.nan, True, "0.5", None]),
       st.sampled_from([sr.ScalarThreshold, lambda t: sr.BlockThreshold(1, 1, t)]))
def test_a_threshold_is_a_number(threshold, make):  # SPF-9
    """Any but NaN, with which nothing compares."""
    expected = "SPF-9"
    actual = refusal(make, threshold)

    assert expected == actual


@given(st.sampled_from([0, -1, 65537, 1.5, True, None]), st.booleans(),
       st.sampled_from([sr.BlockThreshold, lambda r, c: sr.BlockFraction(r, c, 0.5)]))
def test_sides_of_a_block_are_whole_numbers(side, first, make):  # BLK-S2
    """1 to 65,536."""
    expected = "BLK-S2"
    actual = refusal(make, *((side, 2) if first else (2, side)))

    assert expected == actual


@given(st.lists(st.integers(0, 3), max_size=4).filter(lambda shape: len(shape) != 2))
def test_blocks_are_cut_from_matrices(shape):  # BLK-S3
    """No other number of axes."""
    expected = "BLK-S3"
    actual = refusal(sr.select, np.ones(shape), "block-threshold:2:2")

    assert expected == actual


@given(st.sampled_from(ALL), some.generators())
def test_every_sparsifier_says_what_it_needs(kind, rng):  # SPF-7
    """Streaming ones decide one entry at a time: a part of the scores gives that part of the pattern."""
    like = sr.encode(np.ones((4, 4)), "csr", rng.random((4, 4)) < 0.5)
    arguments = {"random-fraction": (0.5,), "scalar-fraction": (0.5,), "block-threshold": (2, 2), "block-fraction": (2, 2, 0.5),
                 "nm": (1, 2), "vnm": (2, 1, 2), "nmg": (1, 2, 2), "nmg-optimal": (1, 2, 2), "same-pattern": (like,),
                 "same-format": (like,)}
    sparsifier = kind(*arguments.get(kind.name, ()))
    s, draws = np.abs(rng.normal(size=(4, 4))), rng.random((4, 4))
    whole = sparsifier.select(s, draws)

    assert isinstance(kind.kind, sr.Kind)
    assert kind.passes in (1, 2)
    assert kind.memory
    assert (kind.kind is sr.Kind.STREAMING) == (kind.memory == "1")
    if kind.kind is sr.Kind.STREAMING and kind is not sr.SamePattern:
        for at in np.ndindex(s.shape):
            assert sparsifier.select(s[at].reshape(1), draws[at].reshape(1))[0] == whole[at]


@given(some.layouts())
def test_a_layouts_own_sparsifier_makes_patterns_that_it_holds(layout):  # SPF-10
    """What it names is a registered sparsifier, and what that chooses is stored without a refusal."""
    shape = next(shape for shape in [(6, 6), (6, 6, 6)] if layout.check(shape) is None)
    dense = np.arange(36.0).reshape(shape) - 10
    expected = sr.select(dense, own_sparsifier(layout))
    actual = sr.sparsify(dense, layout).pattern

    assert sr.same_bits(expected, actual)


@pytest.mark.parametrize("fraction", [0.5, 0.25])
def test_counts_round_half_to_even(fraction):
    """SFRAC-S1: half of 5 is 2.5 and drops 2, of 3 is 1.5 and drops 2, a quarter of 10 is 2.5 and drops 2."""
    size = {0.5: 5, 0.25: 10}[fraction]
    expected = size - 2
    actual = int(sr.select(np.arange(float(size)), sr.ScalarFraction(fraction)).sum())

    assert expected == actual
