"""nmg sparsified, encoded, decoded and validated in C: the arrays of the reference, to the bit, and its refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparseref_c import compiling, library

import sparseref as sr
from sparseref.sparsifiers.scores import magnitude

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

from sparseref_c import placing

LAYOUTS = st.builds(sr.NMG, n=st.integers(1, 3), m=st.integers(3, 6), g=st.integers(1, 4),
                    tail=st.sampled_from(["pad", "short"]))
SIDES = st.tuples(st.integers(0, 14), st.integers(0, 70))
DTYPES = st.sampled_from(["float32", "float64", "float16", "int8", "int32"])


def drawn(shape, dtype, seed):
    """Few values, so that many are equal and some are 0."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def clause_of(call, *operands):
    """The clause that refuses the call, or None."""
    try:
        call(*operands)
    except sr.SpecError as refused:
        return refused.clause
    return None


def assert_same_arrays(expected, actual):
    assert (expected.layout, expected.shape, expected.dtype) == (actual.layout, actual.shape, actual.dtype)
    for name in expected.arrays:
        assert expected[name].dtype == actual[name].dtype
        np.testing.assert_array_equal(expected[name], actual[name], name)


@given(LAYOUTS, SIDES, DTYPES, st.integers(0, 999))
def test_sparsify_encode_decode_are_the_references(layout, shape, dtype, seed):             # NMGS-S1, NMG-C10, CORE-V1
    dense = drawn(shape, dtype, seed)
    expected = sr.sparsify(dense, layout)
    assert_same_arrays(expected, placing.sparsify(dense, layout, magnitude(dense)))
    assert_same_arrays(expected, placing.encode(dense, layout, expected.pattern))
    assert sr.same_bits(sr.decode(expected), placing.decode(expected))


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 0), (-1, 1), (1, 3)])
def test_any_axes(axes):                                                                    # NMG-C2
    dense, layout = drawn((5, 9, 4, 13), np.float32, 1), sr.NMG(2, 4, 2, *axes)
    expected = sr.sparsify(dense, layout)

    assert_same_arrays(expected, placing.sparsify(dense, layout, magnitude(dense)))
    assert_same_arrays(expected, placing.encode(dense, layout, expected.pattern))
    assert sr.same_bits(sr.decode(expected), placing.decode(expected))


@given(LAYOUTS, SIDES, st.integers(0, 999))
def test_a_pattern_that_does_not_fit_is_refused_alike(layout, shape, seed):                 # NMG-C6
    """One entry more or less, or any pattern at all."""
    rng = np.random.default_rng(seed)
    pattern = sr.sparsify(drawn(shape, np.float32, seed), layout).pattern if seed % 2 else rng.random(shape) < 0.5
    if seed % 2 and pattern.size:
        where = tuple(rng.integers(0, shape))
        pattern[where] = ~pattern[where]
    expected = clause_of(sr.encode, np.zeros(shape), layout, pattern)

    assert clause_of(placing.encode, np.zeros(shape), layout, pattern) == expected


@given(LAYOUTS, st.integers(0, 999))
def test_a_broken_idx_is_refused_alike(layout, seed):                                       # NMG-C5, CORE-A3
    rng = np.random.default_rng(seed)
    a = sr.sparsify(drawn((7, 40), np.float32, seed), layout)
    idx = a["idx"].copy()
    idx[0, rng.integers(0, idx.shape[1]), rng.integers(0, idx.shape[2])] = rng.integers(0, 256)
    broken = sr.SparseArray(layout, a.shape, a.dtype, {"values": a.values, "idx": idx})
    expected = clause_of(sr.validate, broken)

    assert clause_of(placing.validate, broken) == expected
    assert clause_of(placing.decode, broken) == expected


def test_the_largest_patterns():
    """254 of 256 places: binomials far beyond 64 bits are never added up."""
    dense, layout = drawn((256, 40), np.float32, 2), sr.NMG(254, 256, 1, tail="short")
    kept = np.ones(dense.shape, bool)
    for fibre in range(40):
        kept[[fibre, fibre + 100], fibre] = False

    assert_same_arrays(sr.encode(dense, layout, kept), placing.encode(dense, layout, kept))


@pytest.mark.parametrize("count", ["1", "3"])
def test_threads_do_not_matter(monkeypatch, count):
    dense, layout = np.random.default_rng(3).standard_normal((200, 120)), sr.NMG(2, 6, 4)
    monkeypatch.setenv("SPARSEREF_NUM_THREADS", count)

    assert_same_arrays(sr.sparsify(dense, layout), placing.sparsify(dense, layout, magnitude(dense)))


@pytest.mark.parametrize("scores", [np.ones((8, 11)), np.ones((8, 12), np.float32)])
def test_scores_of_another_kind_are_refused(scores):                                        # SPF-2
    with pytest.raises(sr.SpecError, match="SPF-2"):
        placing.sparsify(np.ones((8, 12), np.float32), sr.parse_layout("nmg:2:4:1"), scores)
