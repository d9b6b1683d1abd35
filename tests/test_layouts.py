"""Where each slot lies, and the canonical form: every layout against plain loops."""

from itertools import combinations, pairwise
from math import comb, prod

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.layouts import ALL
from sparseref.layouts.patterns import minimal_change, pattern_masks, pattern_places

NAMES = [kind.name for kind in ALL]
every_layout = pytest.mark.parametrize("name", NAMES)


@st.composite
def one(draw, name, **how):
    """A sparse array in the layout of that name."""
    return draw(some.sparse_arrays(draw(some.layouts([name])), **how))


@every_layout
@given(st.data())
def test_slots_lie_where_the_clause_says(name, data):  # DENSE-C1, MASKED-C1, MASKED-C2, COO-C1, CSR-C4, CSC-C4, BSR-C6
    """The position of every slot, padding marked, against the decode rule written out in loops."""
    a = data.draw(one(name))
    expected = [-1 if at is None else int(np.ravel_multi_index(at, a.shape)) for at in oracles.slots(a)]
    actual = a.layout.positions(a).reshape(-1).tolist()

    assert expected == actual


@pytest.mark.parametrize("name", ["ell", "nm", "nmg", "vnm"])
@given(st.data())
def test_padding_and_filling_are_where_the_clause_says(name, data):  # ELL-C2, NM-C3, NM-C6, NMG-C4, NMG-C8, VNM-C3, VNM-C6
    """The same at shapes that leave a tail, and so slots that belong to no entry."""
    layout = data.draw(some.layouts([name]))
    shape = data.draw(some.shapes(layout).filter(lambda shape: prod(shape) % 2 == 1))
    a = data.draw(some.sparse_arrays(layout, shape))
    expected = [at is None for at in oracles.slots(a)]
    actual = (a.layout.positions(a).reshape(-1) < 0).tolist()

    assert expected == actual


@pytest.mark.parametrize("name", ["coo", "csr", "csc", "ell"])
@given(st.data())
def test_canonical_entries_stand_in_order(name, data):  # COO-C5, CSR-C5, CSC-C5, ELL-C4
    """Row by row (csc: column by column), rising, each once; ell has as many slots a row as the fullest row needs."""
    a = data.draw(one(name, canonical=True))
    stored = [tuple(map(int, at)) for at in np.argwhere(a.pattern)]
    expected = sorted(stored, key=lambda at: at[::-1]) if name == "csc" else stored
    actual = [at for at in oracles.slots(a) if at is not None]

    assert expected == actual
    if name == "ell":
        assert a.values.shape[1] == max((list(a.pattern.sum(axis=1))), default=0)


@given(st.data())
def test_canonical_blocks_are_those_that_the_pattern_holds(data):  # BSR-C7
    """A block is stored where any of its positions is, and no other; block columns rise."""
    a = data.draw(one("bsr", canonical=True))
    r, c = a.layout.r, a.layout.c
    expected = sorted({(row // r, column // c) for row, column in np.argwhere(a.pattern).tolist()})
    rows = [b for b in range(len(a["indptr"]) - 1) for _ in range(a["indptr"][b], a["indptr"][b + 1])]
    actual = list(zip(rows, a["indices"].tolist(), strict=True))

    assert expected == actual


@pytest.mark.parametrize("name", ["nm", "vnm"])
@given(st.data())
def test_canonical_filling_takes_the_lowest_places_beyond_the_end(name, data):  # NM-C6, VNM-C6
    """In a last block, what n lacks comes from the first places behind the array."""
    a = data.draw(one(name, canonical=True))
    axis = a.layout.axis if name == "nm" else a.layout.sparse_axis
    real = a.shape[axis] % a.layout.m
    last = a["idx"][..., -1:, :].reshape(-1, a.layout.n)       # [blocks that the array ends in, n]
    actual = [[int(i) for i in block if real and i >= real] for block in last]
    expected = [list(range(real, real + len(block))) for block in actual]

    assert expected == actual


@given(some.layouts(["nmg"]), st.integers(0, 40))
def test_chunks_and_their_tails(layout, fibres):  # NMG-C8, NMG-C9
    """Full chunks of C*g fibres; the last one filled up, or with tail short as small as holds what is left."""
    expected = list(oracles.chunks(layout, fibres))
    chunks = list(layout.chunks(fibres))
    actual = [(chunk.first, chunk.g) for chunk in chunks]

    assert expected == actual
    assert fibres <= layout.slots(fibres) == sum(g for _, g in expected) * comb(layout.m, layout.n)
    if layout.tail == "short":
        assert layout.slots(fibres) - fibres < layout.patterns


@given(st.data())
def test_each_pattern_takes_its_lowest_fibres(data):  # NMG-C10
    """Patterns in order, each the lowest fitting fibres without a slot, at most g; filling takes the lowest slots left."""
    a = data.draw(one("nmg", canonical=True))
    layout = a.layout
    patterns = oracles.order(layout.n, layout.m)
    fibres, rows = a.shape[layout.group_axis], a.shape[layout.sparse_axis]
    expected = []
    for full in oracles.planes(a.shape, layout.sparse_axis, layout.group_axis):
        for block in range(a.values.shape[1]):
            real = range(block * layout.m, min((block + 1) * layout.m, rows))
            for first, g in oracles.chunks(layout, fibres):
                slots = [None] * (g * len(patterns))
                waiting = list(range(min(fibres - first, len(slots))))
                for p, places in enumerate(patterns):
                    wanted = [row for row in real if row - block * layout.m in places]
                    fit = [f for f in waiting if [row for row in real if a.pattern[full(row, first + f)]] == wanted][:g]
                    slots[p * g:p * g + len(fit)] = fit
                    waiting = [f for f in waiting if f not in fit]
                filling = iter(range(len(slots) - slots.count(None), len(slots)))
                expected += [next(filling) if f is None else f for f in slots]
    actual = a["idx"].reshape(-1).tolist()

    assert expected == actual


@given(st.integers(1, 12).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))))
def test_patterns_in_minimal_change_order(n_of_m):  # NMG-C3
    """Every n-subset of m places once, neighbours differing in exactly one place, as the recursion says."""
    n, m = n_of_m
    expected = oracles.order(n, m)
    actual = [list(places) for places in minimal_change(n, m)]

    assert expected == actual
    assert sorted(actual) == [list(places) for places in combinations(range(m), n)]
    assert all(len(set(a) - set(b)) == 1 for a, b in pairwise(actual))


def test_every_order_up_to_12_is_minimal_change():
    """NMG-C3, exhaustively: this is the proof for all m that a vector or an example could miss."""
    for m in range(1, 13):
        for n in range(m + 1):
            patterns = [frozenset(places) for places in minimal_change(n, m)]
            expected = (comb(m, n), {n}, {1} if comb(m, n) > 1 else set())
            changes = {len(new - old) for old, new in pairwise(patterns)}
            actual = (len(set(patterns)), {len(places) for places in patterns}, changes)

            assert expected == actual


def test_two_of_four_by_hand():
    """NMG-C3's own example."""
    expected = [[0, 1], [0, 2], [1, 2], [1, 3], [0, 3], [2, 3]]
    actual = pattern_places(2, 4).tolist()

    assert expected == actual
    assert pattern_masks(2, 4)[3].tolist() == [False, True, False, True]


@pytest.mark.parametrize(("given_layout", "expected"), [
    (sr.Dense(), sr.Dense()), (sr.Masked(), sr.Masked()), (sr.COO(), None), (sr.CSR(), sr.CSC()), (sr.CSC(), sr.CSR()),
    (sr.BSR(2, 3), sr.BSR(3, 2)), (sr.ELL(), None), (sr.NM(2, 4), sr.NM(2, 4, axis=0)), (sr.NM(2, 4, 0), sr.NM(2, 4)),
    (sr.NMG(2, 4, 8), sr.NMG(2, 4, 8, 1, 0)), (sr.VNM(4, 2, 8), sr.VNM(4, 2, 8, 0, 1)),
])
def test_transposed_layouts(given_layout, expected):
    """TRANSPOSE-1: None stands for coo."""
    actual = given_layout.transposed()

    assert expected == actual


def test_a_weight_of_a_transformer_is_encoded_in_seconds():
    """3072 x 768 as nmg 2:8:8: the order of magnitude of energy kept shows that the real path ran."""
    w = np.random.default_rng(0).normal(size=(3072, 768)).astype(np.float32)
    a = sr.sparsify(w, "nmg:2:8:8")

    assert a.nnz == w.size // 4
    assert 0.4 < sr.energy(w, a) < 0.5
