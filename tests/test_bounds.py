"""The derived bounds: what conforms stays inside, what is wrong falls out."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meanings import operands, pair

import sparseref as sr
from sparseref.bounds import Expected, error_ratio, expected_forward, expected_gradient, gamma, sum_bound
from sparseref.conformance import strategies as some
from sparseref.dtypes import FLOATS, round_to, smallest_subnormal, unit_roundoff, value_dtype
from sparseref.registry import get_operator

ACCUMULATORS = ["float64", "float32", "float16"]


def accumulated(a, b, accumulator):
    """[M, K] x [K, N] as (value, pattern), added up one product after another in the accumulator's own arithmetic."""
    (va, pa), (vb, pb) = a, b
    out = np.zeros((len(va), vb.shape[1]), accumulator)
    va, vb = va.astype(accumulator), vb.astype(accumulator)
    for i, j in np.ndindex(out.shape):
        for k in np.flatnonzero(pa[i] & pb[:, j]):
            out[i, j] += va[i, k] * vb[k, j]
    return out


@st.composite
def products(draw):
    """a [M, K], b [K, N] of normal numbers in a dtype that the accumulator holds."""
    accumulator = draw(st.sampled_from(ACCUMULATORS))
    dtype = value_dtype(draw(st.sampled_from(
        {"float64": FLOATS, "float32": ("float32", "float16", "bfloat16"), "float16": ("float16",)}[accumulator])))
    M, K, N = draw(st.integers(1, 4)), draw(st.integers(0, 12)), draw(st.integers(1, 4))
    channels = ("exact", "normal")
    return draw(operands((M, K), dtype, None, channels)), draw(operands((K, N), dtype, None, channels)), dtype, accumulator


@given(products())
def test_a_sum_in_any_accumulator_stays_within_its_bound(case):  # BOUND-1, BOUND-2
    """Naive summation in float64, float32 or float16, rounded once: at most the bound, at every element."""
    a, b, dtype, accumulator = case
    expected, pattern = expected_forward(get_operator("matmul"), (a, b), {}, accumulator)
    actual = round_to(accumulated(pair(a), pair(b), accumulator), dtype)

    assert (error_ratio(actual, expected) <= 1).all()
    assert pattern.all()


def flushing(array):
    """[...] -> the same with 0 for what is subnormal in its dtype."""
    return np.where(np.abs(array) < np.finfo(array.dtype).tiny, array.dtype.type(0), array)


@given(products(), st.integers(-76, -60))
def test_a_sum_that_flushes_subnormals_stays_within_the_bound_of_one_that_says_so(case, exponent):  # BOUND-5
    """Naive summation in float32 near its smallest numbers: operands, products and sums are flushed."""
    (va, pa), (vb, pb) = pair(case[0]), pair(case[1])
    va, vb = (np.ldexp(np.where(np.isfinite(v), v, 1), exponent).astype(np.float32) for v in (va, vb))
    a, b = (sr.encode(v, "masked", p) for v, p in ((va, pa), (vb, pb)))
    expected, _ = expected_forward(get_operator("matmul"), (a, b), {}, "float32", flushes=True)
    actual = np.zeros(expected.value.shape, np.float32)
    for i, j in np.ndindex(actual.shape):
        for k in np.flatnonzero(pa[i] & pb[:, j]):
            actual[i, j] = flushing(actual[i, j] + flushing(flushing(va[i, k]) * flushing(vb[k, j])))

    assert (error_ratio(actual, expected) <= 1).all()


def test_flushing_that_is_not_declared_is_told():
    """2**-130 + 2**-130, read as 0."""
    operands = np.float32([[2.0**-130, 2.0**-130]]), np.float32([[1], [1]])
    silent, declared = (expected_forward(get_operator("matmul"), operands, {}, "float32", flushes)[0]
                        for flushes in (False, True))
    zero = np.zeros((1, 1), np.float32)

    assert error_ratio(zero, silent) > 1 >= error_ratio(zero, declared)
    assert error_ratio(np.full((1, 1), 2.0**-120, np.float32), declared) > 1


@given(products())
def test_the_reference_itself_stays_within_the_bound_of_exact_arithmetic(case):  # BOUND-1, OPS-1
    """Rational arithmetic, no rounding at all, against the reference's float64 sums: gamma_k(2**-53) and one rounding."""
    a, b, _, _ = case
    (va, pa), (vb, pb) = pair(a), pair(b)
    expected, _ = expected_forward(get_operator("matmul"), (a, b), {}, "float64")
    for i, j in np.ndindex(expected.value.shape):
        exact = sum((Fraction(va[i, k]) * Fraction(vb[k, j]) for k in np.flatnonzero(pa[i] & pb[:, j])), Fraction(0))
        got = Fraction(float(sr.matmul(a, b)[i, j]))

        assert abs(exact - got) <= Fraction(expected.bound[i, j])


@given(products(), st.floats(1.01, 100))
def test_more_than_the_bound_is_told(case, factor):  # BOUND-1
    """The ratio is the error in units of the bound; an extra term, a lost term or a wrong sign shows."""
    a, b, _, accumulator = case
    expected, _ = expected_forward(get_operator("matmul"), (a, b), {}, accumulator)
    wide = Expected(expected.value, expected.bound, np.dtype(np.float64))
    actual = error_ratio(expected.value + factor * np.maximum(expected.bound, 1e-9 * (1 + np.abs(expected.value))), wide)

    assert (actual > 1).all()


@given(st.integers(0, 2**24), st.sampled_from(FLOATS))
def test_gamma_is_the_closed_form(k, name):  # BOUND-1
    """k u / (1 - k u), and infinite where k roundings may lose everything."""
    u = Fraction(unit_roundoff(value_dtype(name)))
    expected = float(k * u / (1 - k * u)) if k * u < 1 else np.inf
    actual = float(gamma(np.array(k), float(u)))

    assert expected == pytest.approx(actual, rel=1e-15)


@given(st.integers(0, 50), st.sampled_from(ACCUMULATORS), st.sampled_from(FLOATS))
def test_underflow_loses_at_most_half_a_subnormal_a_term(k, accumulator, out):  # BOUND-2
    """With magnitudes of 0 only the underflow term is left: k eta_acc + eta_out."""
    acc, out = value_dtype(accumulator), value_dtype(out)
    expected = max(float((k * Fraction(smallest_subnormal(acc)) + Fraction(smallest_subnormal(out))) / 2), 2.0**-1074)
    zero = np.zeros(1)
    actual = float(sum_bound(zero, zero, np.array([float(k)]), accumulator, out)[0])

    assert expected == actual


@given(st.data(), st.sampled_from(["none", "tanh"]), st.sampled_from(["float32", "float64"]))
def test_gelu_bound_scales_with_the_accumulator(data, approximate, accumulator):  # BOUND-3
    """32 u_acc |x| + u_out |y| + the smallest subnormal; for the gradient |grad| stands for |x|."""
    x = data.draw(some.arrays((7,), data.draw(some.float_dtypes()), ("normal",)))
    grad = data.draw(some.arrays((7,), x.dtype, ("normal",)))
    parameters = {"approximate": approximate}
    forward, _ = expected_forward(get_operator("gelu"), (x,), parameters, accumulator)
    backward, = expected_gradient(get_operator("gelu"), grad, (x,), parameters, accumulator)
    u_acc, u_out, tiny = unit_roundoff(value_dtype(accumulator)), unit_roundoff(x.dtype), smallest_subnormal(x.dtype)
    for scale, what in ((x, forward), (grad, backward)):
        expected = 32 * u_acc * np.abs(scale.astype(np.float64)) + u_out * np.abs(what.value) + tiny
        actual = what.bound

        assert np.array_equal(expected, actual)
    by_reference = [sr.gelu(x, approximate), sr.run("gelu.gradient", grad, x, approximate=approximate)[0]]
    assert all((error_ratio(got, want) <= 1).all() for got, want in zip(by_reference, (forward, backward), strict=True))


@given(st.sampled_from([name for name in FLOATS if name != "float64"]))
def test_special_values_answer_themselves(name):  # BOUND-4
    """NaN to NaN, inf to the same inf, no finite number to either; overflow may give inf, of the same sign only."""
    dtype = value_dtype(name)
    largest = float(np.finfo(np.float16).max) if name == "float16" else 2.0**127
    want = np.array([np.nan, np.inf, -np.inf, 1.0, 1.0, np.nan, np.inf, 4 * largest, 4 * largest, -4 * largest])
    got = np.array([np.nan, np.inf, -np.inf, np.nan, np.inf, 1.0, -np.inf, np.inf, -np.inf, -np.inf])
    expected = [0, 0, 0, np.inf, np.inf, np.inf, np.inf, 0, np.inf, 0]
    actual = error_ratio(round_to(got, dtype), Expected(want, np.ones(10), dtype)).tolist()

    assert expected == actual


@given(st.booleans())
def test_nan_is_allowed_where_a_structural_zero_was_multiplied(nan):  # CORE-P4
    """There NaN conforms beside the exact result, and nothing else does; elsewhere NaN is wrong."""
    want = Expected(np.zeros(3), np.zeros(3), np.dtype(np.float32))
    got = np.array([np.nan if nan else 0.0, np.nan, 1.0], np.float32)
    expected = [0.0, np.inf, np.inf]
    actual = error_ratio(got, want, np.array([True, False, True])).tolist()

    assert expected == actual


def test_where_every_bit_is_decided_the_sign_of_zero_counts():
    """A bound of 0 leaves no room; a sum that is zero may have either sign."""
    got = np.array([-0.0, -0.0], np.float32)
    expected = [np.inf, 0.0]
    actual = error_ratio(got, Expected(np.zeros(2), np.array([0.0, 1e-30]), np.dtype(np.float32))).tolist()

    assert expected == actual


@given(products())
def test_integers_leave_no_room(case):  # BOUND-1, OPS-1
    """An int32 sum is decided to the bit, and so are operators that round nothing."""
    a, b, _, accumulator = case
    x, y = (np.round(pair(operand)[0]).astype(np.int32) for operand in (a, b))
    expected, _ = expected_forward(get_operator("matmul"), (x, y), {}, accumulator)
    rearranged, _ = expected_forward(get_operator("relu"), (a,), {}, accumulator)
    gradients = expected_gradient(get_operator("relu"), np.ones(a.shape, a.dtype), (a,), {}, accumulator)

    assert not expected.bound.any()
    assert not rearranged.bound.any()
    assert not gradients[0].bound.any()
    assert not error_ratio(sr.matmul(x, y), expected).any()


@given(products(), st.booleans())
def test_gradients_have_bounds_of_their_own(case, with_bias):  # BOUND-1, GRAD-1
    """One for each operand, None for a bias that is missing; the reference stays within them."""
    x, w, dtype, accumulator = case
    bias = np.ones(w.shape[1], dtype) if with_bias else None
    call = (x, sr.transpose(w), bias)
    grad = np.full((x.shape[0], w.shape[1]), 0.3).astype(dtype)
    expected = expected_gradient(get_operator("linear"), grad, call, {}, accumulator)
    actual = sr.run("linear.gradient", grad, *call)

    assert [want is None for want in expected] == [False, False, not with_bias]
    for want, got in zip(expected, actual, strict=True):
        if isinstance(got, np.ndarray):
            assert (error_ratio(got, want) <= 1).all()


def test_a_value_that_stands_alone_in_a_sum_is_unchanged():  # ADD-1
    """Where one operand stores nothing no rounding happens, so the neighbouring number is wrong; where both do it is within."""
    a = sr.encode(np.array([3.0, 1.0], np.float32), "coo", np.array([True, True]))
    b = sr.encode(np.array([0.0, 1.0], np.float32), "coo", np.array([False, True]))
    wanted, _ = expected_forward(get_operator("add"), (a, b), {}, "float32")
    expected = [True, False]
    actual = (error_ratio(np.nextafter(np.array([3.0, 2.0], np.float32), np.float32(9)), wanted) > 1).tolist()

    assert expected == actual
