"""The greedy of nmg in C chooses what the reference chooses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparseref_c import compiling, library

import sparseref as sr
from sparseref.selecting import select
from sparseref.sparsifiers.nmg import GreedyNMG

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

from sparseref_c.choosing import CGreedyNMG

SHAPES = ((1, 4, 2), (2, 4, 3), (2, 8, 1), (3, 6, 1), (1, 10, 4), (2, 5, 3), (5, 7, 1), (4, 4, 2))
SCORES = (0.0, 1.0, 1.0, 2.0, 3.0, -1.0, np.inf, -np.inf, np.nan)
"""Ties above all, and what is no number."""


@given(st.sampled_from(SHAPES), st.sampled_from(["pad", "short"]), st.integers(1, 30), st.integers(1, 150),
       st.integers(0, 2**32 - 1), st.sampled_from([SCORES, SCORES[:6], None]))
def test_the_same_pattern_as_the_reference(shape, tail, rows, fibres, seed, among):         # NMGS-S1, NMGS-S2, NMGS-S3
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((rows, fibres)) if among is None else rng.choice(among, (rows, fibres))
    greedy = GreedyNMG(*shape, tail=tail)
    with np.errstate(invalid="ignore"):                        # inf - inf
        expected = select(scores, greedy, scores)
        actual = select(scores, CGreedyNMG.like(greedy), scores)

    np.testing.assert_array_equal(expected, actual)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 0), (0, 2), (1, 3)])
def test_any_axes(axes):
    scores = np.random.default_rng(1).standard_normal((5, 9, 4, 13))
    greedy = GreedyNMG(2, 4, 2, *axes)

    np.testing.assert_array_equal(select(scores, greedy), select(scores, CGreedyNMG.like(greedy)))


@pytest.mark.parametrize("count", ["1", "2", "5"])
def test_threads_do_not_matter(monkeypatch, count):
    scores = np.random.default_rng(2).standard_normal((200, 120))
    greedy = GreedyNMG(2, 6, 4)
    monkeypatch.setenv("SPARSEREF_NUM_THREADS", count)

    np.testing.assert_array_equal(select(scores, greedy), select(scores, CGreedyNMG.like(greedy)))


def test_empty_and_refused():
    assert select(np.zeros((0, 8)), CGreedyNMG(2, 4, 2)).shape == (0, 8)
    assert select(np.zeros((8, 0)), CGreedyNMG(2, 4, 2)).shape == (8, 0)
    with pytest.raises(sr.SpecError, match="NMG-C2"):
        select(np.zeros(8), CGreedyNMG(2, 4, 2))
