"""Operators entry by entry: every bit is decided, so NumPy's own arithmetic in the value dtype is the oracle."""

import math

import numpy as np
from checking import refusal
from hypothesis import assume, given
from hypothesis import strategies as st
from meanings import dense_of, operands, pattern_of, takes

import sparseref as sr
from sparseref.bounds import error_ratio, expected_forward
from sparseref.conformance import strategies as some
from sparseref.conformance.forms import FORMS, guarded
from sparseref.dtypes import FLOATS, value_dtype
from sparseref.registry import get_operator

SHAPES = st.lists(st.integers(0, 6), min_size=1, max_size=3).map(tuple)


@st.composite
def one(draw, **how):
    """An operand of any shape and dtype."""
    return draw(operands(draw(SHAPES), draw(some.dtypes()), **how))


@st.composite
def two(draw, **how):
    """Two operands of one shape and dtype, each dense or sparse."""
    shape, dtype = draw(SHAPES), draw(some.dtypes())
    return draw(operands(shape, dtype, **how)), draw(operands(shape, dtype, **how))


def native(operation, *arrays):
    """NumPy's arithmetic in the value dtype itself."""
    with np.errstate(all="ignore"):
        return operation(*arrays)


@given(two())
def test_add_stores_where_either_is_stored(pair):  # ADD-1, OPS-1, OPS-4
    """The sum where both are, the one value, -0 too, where one is; dense where one operand is dense."""
    a, b = pair
    both, only_b = pattern_of(a) & pattern_of(b), pattern_of(b) & ~pattern_of(a)
    expected = np.where(both, native(np.add, dense_of(a), dense_of(b)), np.where(only_b, dense_of(b), dense_of(a)))
    actual = sr.add(a, b)

    assert sr.same_bits(expected, dense_of(actual))
    assert isinstance(actual, sr.SparseArray) is (isinstance(a, sr.SparseArray) and isinstance(b, sr.SparseArray))
    assert sr.same_bits(pattern_of(a) | pattern_of(b), pattern_of(actual))


@given(two())
def test_multiply_stores_where_both_are_stored(pair):  # MUL-1, CORE-P2, CORE-P3, OPS-4
    """A structural zero annihilates NaN and inf, a stored zero makes NaN of them."""
    a, b = pair
    both = pattern_of(a) & pattern_of(b)
    expected = np.where(both, native(np.multiply, dense_of(a), dense_of(b)), np.zeros((), a.dtype))
    actual = sr.multiply(a, b)

    assert sr.same_bits(expected, dense_of(actual))
    if isinstance(a, sr.SparseArray) or isinstance(b, sr.SparseArray):
        assert sr.same_bits(both, actual.pattern)


@given(one(), st.sampled_from([0.0, -0.0, 2.0, -3.0, np.inf, np.nan]))
def test_scale_multiplies_what_is_stored(a, factor):  # SCALE-1, OPS-1, OPS-4
    """By a number or an array of shape []; the pattern stays."""
    assume(a.dtype.kind != "i" or np.isfinite(factor))
    number = np.asarray(factor).astype(a.dtype)
    expected = np.where(pattern_of(a), native(np.multiply, dense_of(a), number), np.zeros((), a.dtype))
    actual = sr.scale(a, factor)

    assert sr.same_bits(expected, dense_of(actual))
    assert sr.same_bits(pattern_of(a), pattern_of(actual))
    assert sr.same_bits(expected, dense_of(sr.scale(a, number)))


@given(one())
def test_relu_makes_plus_zero_of_what_is_not_positive(a):  # RELU-1, OPS-4
    """NaN stays NaN, -0 becomes +0, and a stored entry stays stored."""
    dense = dense_of(a)
    expected = np.array([0 if float(x) <= 0 else x for x in dense.flat], dense.dtype).reshape(dense.shape)
    actual = sr.relu(a)

    assert sr.same_bits(expected, dense_of(actual))
    assert sr.same_bits(pattern_of(a), pattern_of(actual))


def gelu(x, approximate):
    """gelu of one number; 0 at -inf."""
    if x == -math.inf:
        return 0.0
    if approximate == "none":
        return x * 0.5 * math.erfc(-x / math.sqrt(2))
    return x * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@given(st.data(), st.sampled_from(["none", "tanh"]))
def test_gelu_is_x_times_phi(data, approximate):  # GELU-1, BOUND-3, OPS-4
    """Against math.erfc and math.tanh, number by number, within the derived bound."""
    a = data.draw(operands(data.draw(SHAPES), data.draw(some.float_dtypes())))
    by_hand = np.array([gelu(float(x), approximate) for x in dense_of(a).flat]).reshape(a.shape).astype(a.dtype)
    expected, pattern = expected_forward(get_operator("gelu"), (a,), {"approximate": approximate}, "float64")
    actual = sr.gelu(a, approximate)

    assert (error_ratio(by_hand, expected) <= 1).all()
    assert (error_ratio(dense_of(actual), expected) <= 1).all()
    assert sr.same_bits(pattern, pattern_of(actual))


@given(some.sparse_arrays())
def test_to_dense_is_decode(a):  # TODENSE-1
    """The same bits."""
    expected = sr.decode(a)
    actual = sr.to_dense(a)

    assert sr.same_bits(expected, actual)


@given(some.sparse_arrays(), st.sampled_from(["masked", "coo", "csr", "csc", "ell", "dense"]))
def test_convert_keeps_values_and_pattern(a, text):  # CONVERT-1, CONVERT-2, OPS-2, CORE-C2
    """In every layout that takes any pattern; dense, which has no pattern, stores +0 where nothing was stored."""
    assume(takes(sr.parse_layout(text), a.shape))
    pattern = np.ones(a.shape, bool) if text == "dense" else a.pattern
    expected = sr.encode(sr.decode(a), text, pattern)
    actual = sr.convert(a, text)

    assert sr.same_array(expected, actual)
    assert sr.same_array(expected, sr.convert(a, sr.parse_layout(text)))


@given(some.generators())
def test_convert_is_refused_where_the_target_cannot_hold_the_pattern(rng):  # CONVERT-1
    """By the target's own clause."""
    a = sr.encode(np.ones((2, 4)), "csr", np.array([[1, 1, 1, 0], [0, 0, 0, rng.random() < 0.5]], bool))
    expected = ["NM-C5", "BSR-C5", "VNM-C5"]
    actual = [refusal(sr.convert, a, text) for text in ("nm:2:4", "bsr:2:2", "vnm:2:2:4")]

    assert expected == actual


@given(st.data())
def test_transpose_swaps_rows_and_columns(data):  # TRANSPOSE-1, OPS-4
    """In the transposed layout, or coo where there is none; twice gives the array back."""
    shape, dtype = data.draw(st.tuples(st.integers(0, 9), st.integers(0, 9))), data.draw(some.dtypes())
    a = data.draw(operands(shape, dtype))
    expected = dense_of(a).T
    actual = sr.transpose(a)

    assert sr.same_bits(expected, dense_of(actual))
    assert sr.same_bits(pattern_of(a).T, pattern_of(actual))
    assert sr.same_bits(dense_of(a), dense_of(sr.transpose(actual)))
    if isinstance(a, sr.SparseArray):
        assert actual.layout == (a.layout.transposed() or sr.COO())


@given(st.lists(st.integers(1, 3), max_size=4).filter(lambda shape: len(shape) != 2))
def test_only_a_matrix_is_transposed(shape):  # TRANSPOSE-2
    """No other number of axes."""
    expected = "TRANSPOSE-2"
    actual = refusal(sr.transpose, np.ones(shape))

    assert expected == actual


@given(one(), st.sampled_from([("add", "ADD-2"), ("multiply", "MUL-2")]))
def test_two_operands_have_one_shape(a, operation):  # ADD-2, MUL-2
    """Nothing is spread silently."""
    name, expected = operation
    actual = refusal(sr.run, name, a, np.ones((*a.shape, 1), a.dtype))

    assert expected == actual


@given(one(), st.lists(st.integers(1, 2), min_size=1, max_size=2))
def test_a_factor_is_one_number(a, shape):  # SCALE-2
    """An array is for multiply."""
    expected = "SCALE-2"
    actual = refusal(sr.scale, a, np.ones(shape, a.dtype))

    assert expected == actual


@given(st.text().filter(lambda text: text not in ("none", "tanh")))
def test_gelu_has_two_forms(approximate):  # GELU-2
    """none or tanh."""
    expected = "GELU-2"
    actual = refusal(sr.gelu, np.ones(3), approximate)

    assert expected == actual


@given(two(), st.sampled_from(FLOATS))
def test_operands_have_one_dtype(pair, name):  # CORE-D2
    """Nothing is promoted silently."""
    a, b = pair
    assume(a.dtype.name != name)
    expected = "CORE-D2"
    actual = refusal(sr.add, a, dense_of(b).astype(value_dtype(name)))

    assert expected == actual


REFUSED = [("gelu", "int8"), ("gelu", "int32"), ("matmul", "int8"), ("sum", "int8"), ("linear", "int8"), ("conv2d", "int8")]


@given(st.sampled_from(REFUSED))
def test_operators_take_the_dtypes_that_they_list(operation_and_dtype):  # OPS-3
    """gelu floats only; sums of products no int8."""
    name, dtype = operation_and_dtype
    ones = np.ones((1, 1), dtype)
    arguments = {"matmul": (ones, ones), "linear": (ones, ones), "conv2d": (ones, ones)}.get(name, (ones,))
    expected = "OPS-3"
    actual = refusal(sr.run, name, *arguments, **({"kernel": 1} if name == "conv2d" else {}))

    assert expected == actual


@given(st.sampled_from(["linear", "conv2d", "scale"]))
def test_bias_and_factor_are_plain_arrays(name):  # OPS-5
    """A sparse bias is refused with what to do."""
    sparse = sr.sparsify(np.ones(1), "coo")
    x = np.ones((1, 1, 1, 1)) if name == "conv2d" else np.ones((1, 1))
    arguments = (x, sparse) if name == "scale" else (x, np.ones((1, 1)), sparse)
    expected = "OPS-5"
    actual = refusal(sr.run, name, *arguments, **({"kernel": 1} if name == "conv2d" else {}))

    assert expected == actual


@given(two(), st.sampled_from(FORMS), st.sampled_from(["add", "multiply", "relu", "to_dense"]))
def test_operands_of_any_memory_form_are_left_alone(pair, form, name):  # CORE-M1, CORE-M2, OPS-6
    """The same bits as from contiguous operands, nothing written, no values shared."""
    given_ones = [guarded(operand, form) for operand in pair[:get_operator(name).sparse_operands]]
    expected = sr.run(name, *(dense.operand for dense in (guarded(g.operand, "contiguous") for g in given_ones)))
    actual = sr.run(name, *(g.operand for g in given_ones))

    assert sr.same_bits(dense_of(expected), dense_of(actual))
    for g in given_ones:
        assert g.intact()
        assert not g.shares_memory(actual)


@given(two(sparse=True), st.sampled_from(["add", "multiply"]))
def test_a_result_depends_on_values_and_patterns_alone(pair, name):  # OPS-2
    """The same entries in coo give the same result."""
    a, b = pair
    expected = sr.run(name, a, b)
    actual = sr.run(name, sr.convert(a, "coo"), sr.convert(b, "coo"))

    assert sr.same_bits(dense_of(expected), dense_of(actual))
    assert sr.same_bits(expected.pattern, actual.pattern)


def test_a_result_that_its_layout_cannot_hold_is_coo():
    """OPS-4: the product of two nm arrays keeps fewer than n of m."""
    a = sr.encode(np.ones((1, 2)), "nm:1:2", np.array([[True, False]]))
    b = sr.encode(np.ones((1, 2)), "nm:1:2", np.array([[False, True]]))
    expected = sr.COO()
    actual = sr.multiply(a, b).layout

    assert expected == actual
    assert sr.multiply(a, b).nnz == 0
