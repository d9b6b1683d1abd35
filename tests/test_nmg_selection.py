"""n:m:g: the greedy and the optimal choice of patterns."""

import numpy as np
import oracles
import pytest
from checking import refusal
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some

NO_DRAWS = np.zeros(0)


def chosen_by_hand(layout, s, assign):
    """scores [shape] -> pattern [shape]: block by block and chunk by chunk; `assign` gives each fibre its pattern."""
    patterns = oracles.order(layout.n, layout.m)
    rows, fibres = s.shape[layout.sparse_axis], s.shape[layout.group_axis]
    pattern = np.zeros(s.shape, bool)
    for full in oracles.planes(s.shape, layout.sparse_axis, layout.group_axis):
        for top in range(0, rows, layout.m):
            for first, g in oracles.chunks(layout, fibres):
                def score(row, fibre, full=full):
                    return float(s[full(row, fibre)]) if row < rows and fibre < fibres else 0.0            # NMGS-S4
                table = []
                for fibre in range(first, first + g * len(patterns)):
                    table.append([])
                    for places in patterns:
                        total = 0.0
                        for place in places:                                                               # NMGS-S1
                            total += score(top + place, fibre)
                        table[-1].append(total)
                for f, p in enumerate(assign(table, g)):
                    for row in (top + place for place in patterns[p]):
                        if row < rows and first + f < fibres:
                            pattern[full(row, first + f)] = True
    return pattern


@st.composite
def cases(draw, most_fibres=13):
    """An nmg layout and scores [shape], of few different numbers or of many."""
    layout = draw(some.layouts(["nmg"]))
    shape = draw(some.shapes(layout, ndims=(2, 3)).filter(lambda shape: max(shape) <= most_fibres))
    rng = draw(some.generators())
    return layout, draw(st.sampled_from([lambda: rng.choice([0.0, 1.0, 2.0], shape), lambda: np.abs(rng.normal(size=shape)),
                                         lambda: rng.choice([0.0, 1.0, np.inf], shape)]))()


@given(cases())
def test_greedy_takes_the_best_pair_first(case):  # NMGS-S1, NMGS-S2, NMGS-S3, NMGS-S4
    """A literal greedy in plain Python: pairs by score, ties to the lower fibre, then the lower pattern."""
    layout, s = case
    expected = chosen_by_hand(layout, s, oracles.greedy)
    greedy = sr.GreedyNMG(layout.n, layout.m, layout.g, layout.sparse_axis, layout.group_axis, layout.tail)
    actual = greedy.select(s, NO_DRAWS)

    assert sr.same_bits(expected, actual)


@settings(max_examples=30)
@given(st.sampled_from([(1, 2, 1), (1, 2, 2), (1, 2, 3), (1, 3, 1), (2, 3, 2), (1, 4, 1), (2, 4, 1)]), some.generators())
def test_optimal_keeps_as_much_as_any_assignment_can(parameters, rng):  # NMGO-S1
    """On one chunk, against all assignments there are."""
    layout = sr.NMG(*parameters)
    s = np.abs(rng.normal(size=(layout.m, layout.patterns * layout.g)))
    table = [[sum(s[place, f] for place in places) for places in oracles.order(layout.n, layout.m)] for f in range(s.shape[1])]
    expected = oracles.best_total(table, layout.g)
    actual = s[sr.select(s, sr.OptimalNMG(*parameters))].sum()

    assert abs(expected - actual) <= 1e-12 * expected


@given(cases(most_fibres=30))
def test_optimal_keeps_at_least_what_greedy_keeps(case):  # NMGO-S1, SPF-11
    """And both make patterns that the layout holds; the gap is what the greedy costs."""
    layout, s = case
    assume(np.isfinite(s).all())
    parameters = (layout.n, layout.m, layout.g, layout.sparse_axis, layout.group_axis, layout.tail)
    greedy, optimal = (sr.sparsify(s, layout, kind(*parameters)) for kind in (sr.GreedyNMG, sr.OptimalNMG))

    assert sr.energy(s, optimal) >= sr.energy(s, greedy) - 1e-12


@given(st.sampled_from([np.nan, np.inf]), some.generators())
def test_optimal_needs_finite_scores(strange, rng):  # NMGO-S2
    """A largest total is not defined with inf in it; NaN counts as inf."""
    dense = rng.normal(size=(2, 4))
    dense[rng.integers(2), rng.integers(4)] = strange
    expected = "NMGO-S2"
    actual = refusal(sr.select, dense, "nmg-optimal:1:2:2")

    assert expected == actual


@given(st.integers(0, 3), st.integers(0, 2))
def test_greedy_ranks_nan_first(fibre, block):  # SPF-3, NMGS-S2
    """The row that holds a NaN is kept, as with an infinite score."""
    dense = np.ones((6, 4))
    dense[2 * block + 1, fibre] = np.nan
    expected = True
    actual = bool(sr.select(dense, "nmg:1:2:2")[2 * block + 1, fibre])

    assert expected is actual


@pytest.mark.parametrize("text", ["nmg:1:2:2", "nmg-optimal:1:2:2"])
def test_every_pattern_gets_its_share(text):
    """Though every fibre would rather keep its first row, half of them keep the second: that is the format's price."""
    expected = [2, 2]
    actual = sr.select(np.array([[4.0, 3.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]]), text).sum(axis=1).tolist()

    assert expected == actual
