"""select, sparsify, energy and the scores."""

import math

import numpy as np
import pytest
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some

FLOATS64 = np.dtype(np.float64)


@given(some.layouts(), st.data())
def test_sparsify_is_select_then_encode(layout, data):  # SPF-1, SPF-10
    """The sparsifier chooses, the layout places, no value is changed; of a sparse array what it decodes to."""
    dense = data.draw(some.arrays(data.draw(some.shapes(layout))))
    pattern = sr.select(dense, sr.parse_sparsifier(layout.sparsifier()))
    expected = sr.encode(dense, layout, pattern)
    actual = sr.sparsify(dense, layout)

    assert sr.same_array(expected, actual)
    assert sr.same_array(expected, sr.sparsify(dense, str(layout)))


@given(some.sparse_arrays(), some.generators())
def test_a_sparse_array_is_sparsified_by_its_values(a, rng):  # SPF-1, SPF-6
    """Stored entries alone can be chosen by a sparsifier without a fixed form."""
    scores = rng.random(a.shape)
    expected = sr.select(a, "scalar-threshold:0.5", scores)
    actual = sr.sparsify(a, "masked", sr.ScalarThreshold(0.5), scores)

    assert sr.same_bits(expected, actual.pattern)
    assert sr.same_bits(expected, (scores >= 0.5) & a.pattern)


@given(some.arrays())
def test_the_score_is_the_magnitude_unless_scores_are_given(dense):  # SPF-2, SPF-3
    """float64 |value|; a NaN counts as +inf, in given scores too, and so is kept first."""
    expected = np.array([math.inf if math.isnan(float(x)) else abs(float(x)) for x in dense.flat]).reshape(dense.shape)
    actual = sr.magnitude(dense)
    given_scores = np.where(np.isnan(dense.astype(np.float64)), np.nan, expected)
    by_default, by_scores = (sr.select(dense, "scalar-fraction:0.5", s) for s in (None, given_scores))

    assert sr.same_bits(expected, actual)
    assert sr.same_bits(by_default, by_scores)


@given(some.arrays(), st.sampled_from(["more", "fewer"]))
def test_scores_have_the_shape_of_the_values(dense, how):  # SPF-2
    """No spreading of a smaller array."""
    wrong = np.ones((2, *dense.shape)) if how == "more" or not dense.ndim else np.ones((*dense.shape[1:], 9))
    expected = "SPF-2"
    actual = refusal(sr.select, dense, "keep-all", wrong)

    assert expected == actual


@given(some.arrays(), st.integers(1, 3))
def test_draws_have_the_shape_of_the_values(dense, more):  # SPF-5
    """One number an entry."""
    expected = "SPF-5"
    actual = refusal(sr.select, dense, "random-fraction:0.5", draws=np.zeros((*dense.shape, more)))

    assert expected == actual


@given(st.sampled_from(["uint8", "complex64", "bool"]))
def test_values_to_choose_from_have_a_value_dtype(name):  # CORE-D1
    """As for encode."""
    expected = "CORE-D1"
    actual = refusal(sr.select, np.zeros(3, name), "keep-all")

    assert expected == actual


@given(st.integers(0, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_a_nan_is_kept_before_any_number(size_and_count):  # SPF-3, SPF-4
    """All NaN and inf tie, so the lower index is kept."""
    n, count = size_and_count
    dense = np.array([1e300, *[np.nan, np.inf, -np.inf] * 2][:n][::-1])
    expected = [True] * count + [False] * (n - count)
    actual = sr.select(dense, sr.ScalarFraction((n - count) / n if n else 0.0)).tolist()

    assert expected == actual


@given(some.arrays(channels=("exact", "normal")), st.floats(0, 1))
def test_energy_is_the_share_of_magnitude_kept(dense, fraction):  # SPF-11
    """In plain Python; 1 where there is nothing to lose."""
    a = sr.sparsify(dense, "masked", sr.ScalarFraction(fraction))
    kept = sum(abs(float(x)) for x, stored in zip(dense.flat, a.pattern.flat, strict=True) if stored)
    total = sum(abs(float(x)) for x in dense.flat)
    expected = kept / total if total else 1.0
    actual = sr.energy(dense, a)

    assert abs(expected - actual) <= 1e-12
    assert actual == sr.energy(dense, a.pattern)
    assert 0 <= actual <= 1 + 1e-12


@given(some.arrays((3, 4), FLOATS64, ("normal",)), some.arrays((3, 4), FLOATS64, ("normal",)))
def test_scores_of_training(w, other):  # SCORE-S1, SCORE-S2
    """movement -w*grad, Fisher w**2*F, number by number."""
    expected = [[-float(x) * float(y) for x, y in zip(w.flat, other.flat, strict=True)],
                [float(x) ** 2 * float(y) for x, y in zip(w.flat, other.flat, strict=True)]]
    actual = [sr.movement(w, other).reshape(-1).tolist(), sr.fisher(w, other).reshape(-1).tolist()]

    assert expected == actual


@given(some.arrays((3, 4), np.dtype(np.float32), ("normal",)), some.arrays((2, 5, 4), np.dtype(np.float32), ("normal",)))
def test_wanda_weighs_a_column_by_its_inputs(w, inputs):  # SCORE-S3
    """|w[o, k]| times the 2-norm of input k over all tokens."""
    norms = [math.sqrt(math.fsum(float(x) ** 2 for x in inputs[..., k].flat)) for k in range(4)]
    expected = np.array([[abs(float(w[o, k])) * norms[k] for k in range(4)] for o in range(3)])
    actual = sr.wanda(w, inputs)

    assert actual.dtype == np.float64
    assert (np.abs(expected - actual) <= 1e-12 * expected).all()


@given(st.sampled_from([sr.movement, sr.fisher, sr.wanda]), st.lists(st.integers(1, 3), min_size=1, max_size=2))
def test_what_a_score_is_made_from_fits_the_values(score, shape):  # SCORE-S4
    """The gradient and the information have the values' shape, the inputs the weight's columns."""
    expected = "SCORE-S4"
    actual = refusal(score, np.ones((4, 5)), np.ones(shape))

    assert expected == actual


@pytest.mark.parametrize(("text", "nnz"), [("csr", 9), ("csr:0.9", 1), ("bsr:2:2:0.75", 4), ("nm:2:4", 6), ("dense", 10)])
def test_formats_by_example(text, nnz):
    """FMT-4: what a short string keeps of a 2 x 5 matrix with one zero."""
    expected = nnz
    actual = sr.sparsify(np.arange(10.0).reshape(2, 5), text).nnz

    assert expected == actual
