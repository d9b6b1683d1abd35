"""Gradients without automatic differentiation: most operators are linear in each operand, so a difference is a derivative."""

import math

import numpy as np
import pytest
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st
from meanings import dense_of, operands, value_of

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.conformance.inputs import poisoned

FLOAT64 = np.dtype(np.float64)
SIDES = st.integers(0, 5)
EXACT = ("exact",)


@st.composite
def exact(draw, *shape, sparse=None):
    """A float64 operand of small integers, dense or sparse."""
    return draw(operands(shape, FLOAT64, sparse, EXACT))


@st.composite
def calls(draw, name):
    """Operands and parameters of one call of an operator."""
    R, C, K = draw(SIDES), draw(SIDES), draw(SIDES)
    bias = draw(st.sampled_from([False, None]))                # a bias, or none
    if name == "matmul":
        batch = draw(st.sampled_from(["", "a", "b"]))
        a = draw(exact(2, R, K, sparse=False) if batch == "a" else exact(R, K))
        b = draw(exact(2, K, C, sparse=False) if batch == "b" else exact(K, C))
        return (a, b), {}
    if name == "linear":
        tokens = draw(st.sampled_from([(), (3,), (2, 2)]))
        x = draw(exact(*tokens, K, sparse=False))
        return (x, draw(exact(R, K)), None if bias is None else draw(exact(R, sparse=False))), {}
    if name == "conv2d":
        window = {"kernel": (2, 1), "stride": draw(st.integers(1, 2)), "padding": draw(st.integers(0, 1)),
                  "dilation": draw(st.integers(1, 2))}
        x = draw(exact(2, 2, 3, 4, sparse=False))
        return (x, draw(exact(R, 4)), None if bias is None else draw(exact(R, sparse=False))), window
    if name == "scale":
        return (draw(exact(R, C)), draw(exact(sparse=False))), {}
    if name in ("add", "multiply"):
        return (draw(exact(R, C)), draw(exact(R, C))), {}
    parameters = {"sum": {"axis": draw(st.sampled_from([None, 0, 1, -1, -2]))}, "convert": {"layout": "csr"}}
    return (draw(exact(R, C, sparse=True if name in ("convert", "to_dense") else None)),), parameters.get(name, {})


def moved(operand, by):
    """An operand with its values moved; a sparse one slot by slot, padding left as it is."""
    if isinstance(operand, sr.SparseArray):
        padding = operand.layout.positions(operand) < 0
        return operand.with_values(operand.values + np.where(padding, 0, by))
    return operand + by


def slots(operand):
    return operand.values if isinstance(operand, sr.SparseArray) else operand


@st.composite
def steps(draw, name):
    """A call, which operand moves, by how much, and a gradient of the result."""
    given_operands, parameters = draw(calls(name))
    rng = draw(some.generators())
    which = draw(st.sampled_from([i for i, operand in enumerate(given_operands) if operand is not None]))
    by = rng.integers(-2, 3, slots(given_operands[which]).shape).astype(float)
    result = dense_of(sr.run(name, *given_operands, **parameters))
    return given_operands, parameters, which, by, rng.integers(-2, 3, result.shape).astype(float)


LINEAR_IN_EACH = ["add", "multiply", "scale", "transpose", "sum", "to_dense", "convert", "matmul", "linear", "conv2d"]


@pytest.mark.parametrize("name", LINEAR_IN_EACH)
@given(data=st.data())
def test_a_gradient_transposes_the_derivative(name, data):  # ADD-3, MUL-3, SCALE-3, TRANSPOSE-3, SUM-3, MATMUL-3, CONV2D-4
    """<grad, f(a + v) - f(a)> = <gradient, v> for every step v of the slots: exact, for integers in float64."""
    given_operands, parameters, which, by, grad = data.draw(steps(name))
    there = [moved(operand, by) if i == which else operand for i, operand in enumerate(given_operands)]
    change = value_of(sr.run(name, *there, **parameters)) - value_of(sr.run(name, *given_operands, **parameters))
    gradients = sr.run(f"{name}.gradient", grad, *given_operands, **parameters)
    expected = (grad * change).sum()
    actual = (slots(gradients[which]) * by).sum()

    assert expected == actual
    assert [gradient is None for gradient in gradients] == [operand is None for operand in given_operands]


@pytest.mark.parametrize("name", ["matmul", "linear", "to_dense", "convert", "relu", "gelu"])
@given(data=st.data())
def test_the_gradient_of_a_sparse_operand_lies_in_its_slots(name, data):  # GRAD-1, GRAD-2, LINEAR-3, TODENSE-2, CONVERT-3
    """The same layout and index arrays; every slot has the gradient of its position, duplicates each, padding +0."""
    given_operands, parameters = data.draw(calls(name))
    grad = np.ones(dense_of(sr.run(name, *given_operands, **parameters)).shape)
    gradients = sr.run(f"{name}.gradient", grad, *given_operands, **parameters)
    full = [None if operand is None else sr.encode(dense_of(operand), "masked", np.ones(operand.shape, bool))
            for operand in given_operands]
    for i, (operand, gradient) in enumerate(zip(given_operands, gradients, strict=True)):
        if not isinstance(operand, sr.SparseArray):
            continue
        instead = [full[i] if j == i else other for j, other in enumerate(given_operands)]
        everywhere = sr.decode(sr.run(f"{name}.gradient", grad, *instead, **parameters)[i]).reshape(-1)
        expected = [0.0 if at < 0 else everywhere[at] for at in operand.layout.positions(operand).flat]
        actual = gradient.values.reshape(-1).tolist()

        assert expected == actual
        assert (gradient.layout, gradient.shape, gradient.dtype) == (operand.layout, operand.shape, operand.dtype)
        assert all(sr.same_bits(gradient[field], operand[field]) for field in operand.arrays if field != "values")


@given(some.arrays(), st.data())
def test_relu_passes_the_gradient_on_where_the_value_is_not_zero_or_less(dense, data):  # RELU-2
    """NaN passes it too; elsewhere it is +0."""
    if dense.dtype.kind == "i":
        dense = dense.astype(np.float32)
    grad = data.draw(some.arrays(dense.shape, dense.dtype))
    expected = np.array([0 if float(x) <= 0 else g for x, g in zip(dense.flat, grad.flat, strict=True)], dense.dtype)
    actual, = sr.run("relu.gradient", grad, dense)

    assert sr.same_bits(expected.reshape(dense.shape), actual)


def gelu(x, approximate):
    if approximate == "none":
        return x * 0.5 * math.erfc(-x / math.sqrt(2))
    return x * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@given(st.floats(-12, 12), st.sampled_from(["none", "tanh"]))
def test_gelu_gradient_is_the_slope(x, approximate):  # GELU-3
    """A five-point difference: its own error is about h**4 + eps * |x| / h, some 1e-12."""
    h = 1e-3
    around = [gelu(x + i * h, approximate) for i in (-2, -1, 1, 2)]
    expected = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * h)
    actual, = sr.run("gelu.gradient", np.ones(1), np.array([x]), approximate=approximate)

    assert abs(expected - actual[0]) < 5e-11


@given(st.sampled_from(["none", "tanh"]))
def test_gelu_is_flat_at_minus_infinity_and_straight_at_infinity(approximate):  # GELU-1, GELU-3
    """No NaN from inf * 0."""
    x = np.array([-np.inf, np.inf])
    expected = [[0.0, np.inf], [0.0, 1.0]]
    slope, = sr.run("gelu.gradient", np.ones(2), x, approximate=approximate)
    actual = [sr.gelu(x, approximate).tolist(), slope.tolist()]

    assert expected == actual


@given(some.sparse_arrays(dtype=np.dtype(np.float32), channels=EXACT), some.generators())
def test_poison_in_the_padding_reaches_no_gradient(a, rng):  # GRAD-2, CORE-P5
    """The gradient's own padding is +0 whatever the operand's holds."""
    grad = rng.integers(-2, 3, a.shape).astype(np.float32)
    expected, = sr.run("relu.gradient", grad, a)
    actual, = sr.run("relu.gradient", grad, poisoned(a))

    assert sr.same_array(expected, actual)
    assert not np.any(actual.values[a.layout.positions(a) < 0])


@given(st.sampled_from([np.zeros((2, 3)), np.zeros(2), np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int32)]))
def test_the_gradient_of_a_result_fits_it(grad):  # GRAD-3
    """Its shape and dtype."""
    expected = "GRAD-3"
    actual = refusal(sr.run, "relu.gradient", grad, np.ones((2, 2)))

    assert expected == actual


@given(st.sampled_from(["int8", "int32"]))
def test_integers_have_no_gradient(dtype):  # GRAD-3
    """A step of an integer is not small."""
    expected = "GRAD-3"
    actual = refusal(sr.run, "relu.gradient", np.ones(2, dtype), np.ones(2, dtype))

    assert expected == actual
