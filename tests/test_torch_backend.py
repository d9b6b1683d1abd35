"""The torch backend against the reference: any layout, any operator, any memory form.  The kit's own run is elsewhere."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checking import refusal
from hypothesis import given, settings
from hypothesis import strategies as st

import sparseref as sr
from sparseref import operators
from sparseref.backend import Cell
from sparseref.bounds import expected_forward, expected_gradient
from sparseref.conformance import strategies as some
from sparseref.conformance.forms import FORMS, guarded
from sparseref.conformance.judge import Wanted, compare
from sparseref.dtypes import value_dtype
from sparseref.layouts import ALL
from sparseref.operators.base import Rounding
from sparseref.registry import get_operator

torch = pytest.importorskip("torch")

from sparseref_torch import contraction  # noqa: E402 - needs torch
from sparseref_torch.backend import TorchBackend  # noqa: E402
from sparseref_torch.selection import SPARSIFIERS  # noqa: E402
from sparseref_torch.tensors import Pair, to_numpy, to_torch  # noqa: E402

TORCH, REFERENCE = TorchBackend(), sr.Reference()
NAMES = [layout.name for layout in ALL]
OPERATIONS = [operator.name for operator in operators.ALL]
UNDECIDED = ("nmg-optimal", "same-pattern", "same-format")
"""Several answers are right, or an earlier array is needed: the kit has cases for these."""



@st.composite
def calls(draw, operation):
    """Operands, the first or second of them sparse in any layout, with special values, and the parameters of a call."""
    layout = draw(some.layouts(NAMES))
    shape = draw(some.shapes(layout, ndims=(2,)))
    integers = operation in ("to_dense", "convert", "add", "multiply", "relu", "transpose", "sum")
    dtype = draw(some.dtypes() if integers and operation != "sum" else some.float_dtypes())
    a = draw(some.sparse_arrays(layout, shape, dtype))
    rng = draw(some.generators())
    tokens = draw(st.sampled_from([(), (3,), (2, 2)]))

    def dense(*sides):
        return draw(some.arrays(sides, dtype))

    def partner():
        return draw(st.sampled_from([dense(*shape), sr.encode(dense(*shape), "coo", rng.random(shape) < 0.5)]))

    if operation in ("add", "multiply"):
        return (a, partner()), {}
    if operation == "scale":
        return (a, dense()), {}
    if operation == "convert":
        return (a,), {"layout": draw(st.sampled_from(["coo", "csr", "csc", "ell", "masked", "dense"]))}
    if operation == "gelu":
        return (a,), {"approximate": draw(st.sampled_from(["none", "tanh"]))}
    if operation == "sum":
        return (a,), {"axis": draw(st.sampled_from([None, 0, 1, -1]))}
    if operation == "matmul":
        sparse = sr.encode(dense(shape[1], 3), "coo", rng.random((shape[1], 3)) < 0.5)
        return draw(st.sampled_from([(a, dense(shape[1], 3)), (a, dense(2, shape[1], 2)), (dense(3, shape[0]), a),
                                     (dense(2, 2, shape[0]), a), (a, sparse)])), {}
    if operation == "linear":
        return (dense(*tokens, shape[1]), a, draw(st.sampled_from([None, dense(shape[0])]))), {}
    if operation == "conv2d":
        kernel, dilation = draw(st.sampled_from([(1, 2), (2, 2)])), draw(st.sampled_from([1, 2]))
        w = sr.encode(dense(3, 2 * kernel[0] * kernel[1]), "masked", rng.random((3, 2 * kernel[0] * kernel[1])) < 0.5)
        x = dense(2, 2, 4, 5)
        x = draw(st.sampled_from([x, sr.encode(x, "coo", rng.random(x.shape) < 0.5)]))
        window = {"kernel": kernel, "dilation": dilation, "stride": draw(st.sampled_from([1, 2])),
                  "padding": draw(st.sampled_from([0, (1, 0)]))}
        return (x, w, draw(st.sampled_from([None, dense(3)]))), window
    return (a,), {}


def problem_of(operation, operands, parameters):
    """None where torch answers as the clauses want: the layout, the index arrays, and values within their bound."""
    name, _, is_gradient = operation.partition(".")
    operator, own = get_operator(name), operands[1:] if is_gradient else operands
    dtype = next(operand.dtype for operand in own if operand is not None)
    wanted = REFERENCE.call(operation, *operands, **parameters)
    bounds = ()
    if operator.rounding is not Rounding.NONE and dtype.kind != "i":
        if is_gradient:
            bounds = expected_gradient(operator, operands[0], own, parameters, TORCH.accumulator(dtype.name))
        else:
            bounds = expected_forward(operator, own, parameters, TORCH.accumulator(dtype.name))[:1]
    return compare(TORCH.call(operation, *operands, **parameters), Wanted(wanted, bounds))[1]


@pytest.mark.parametrize("operation", OPERATIONS)
@given(st.data())
@settings(max_examples=40)
def test_operators_give_what_the_reference_gives(operation, data):  # OPS-1 to OPS-4, CORE-P2, CORE-P3, BOUND-1
    operands, parameters = data.draw(calls(operation))
    expected = None
    actual = problem_of(operation, operands, parameters)

    assert expected == actual


@pytest.mark.parametrize("operation", OPERATIONS)
@given(st.data())
@settings(max_examples=25)
def test_gradients_give_what_the_reference_gives(operation, data):  # GRAD-1, GRAD-2
    operands, parameters = data.draw(calls(operation).filter(lambda call: call[0][0].dtype.kind != "i"))
    result = REFERENCE.call(operation, *operands, **parameters)
    grad = data.draw(some.arrays(result.shape, result.dtype))
    expected = None
    actual = problem_of(f"{operation}.gradient", (grad, *operands), parameters)

    assert expected == actual


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@settings(max_examples=25)
def test_encode_and_decode_agree_bit_for_bit(name, data):  # CORE-C1, CORE-V1, CORE-V2, CORE-P5
    layout = data.draw(some.layouts([name]))
    shape = data.draw(some.shapes(layout))
    a = data.draw(some.sparse_arrays(layout, shape))
    expected = (sr.decode(a), sr.encode(sr.decode(a), layout, a.pattern))
    actual = (TORCH.call("decode", a), TORCH.call("encode", sr.decode(a), a.pattern, layout=layout))

    assert sr.same_bits(expected[0], actual[0])
    assert sr.same_array(expected[1], actual[1])
    assert TORCH.call("validate", a) is None


@given(st.data())
def test_selections_agree_bit_for_bit(data):  # SPF-2 to SPF-6, NMGS-S1 to NMGS-S4
    name = data.draw(st.sampled_from([name for name in SPARSIFIERS if name not in UNDECIDED]))
    text = data.draw(st.sampled_from(sr.registry.sparsifiers.get(name).examples or (name,)))
    values = data.draw(some.arrays((data.draw(st.integers(0, 9)), data.draw(st.integers(0, 13)))))
    draws = data.draw(some.generators()).random(values.shape)
    expected = REFERENCE.call("select", values, None, draws, sparsifier=text)
    actual = TORCH.call("select", values, None, draws, sparsifier=text)

    np.testing.assert_array_equal(expected, actual)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", sr.dtypes.DTYPES)
def test_memory_of_any_form_is_read_and_left_alone(form, dtype):  # CORE-M1, CORE-M2
    dense = np.arange(-6, 6).reshape(3, 4).astype(value_dtype(dtype))
    operands = [guarded(dense, form), guarded(sr.encode(dense, "csr", dense > 0), form)]
    for operand in operands:
        expected = sr.transpose(operand.operand)
        actual = TORCH.call("transpose", operand.operand)

        assert compare(actual, Wanted(expected)) == (0.0, None)
        assert operand.intact()
        assert not operand.shares_memory(actual)


def test_foreign_byte_order_is_read():
    dense = np.arange(4, dtype=np.dtype(np.float32).newbyteorder())
    expected = np.arange(4, dtype=np.float32)
    actual = to_numpy(to_torch(dense), ())

    np.testing.assert_array_equal(expected, actual)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5])
def test_both_routes_of_the_contraction_give_the_same_sums(density):  # MATMUL-1: integers, whose sums are exact
    rng = np.random.default_rng(0)
    pattern = torch.from_numpy(rng.random((40, 30)) < density)
    a = torch.from_numpy(rng.integers(-4, 5, (40, 30))).float()
    b = torch.from_numpy(rng.integers(-4, 5, (30, contraction.SPARSE_COLUMNS))).float()
    sparse = Pair(torch.where(pattern, a, 0), pattern)
    expected = sparse.value @ b

    assert torch.equal(expected, contraction.rows_of(sparse).times(b))
    assert torch.equal(expected, contraction.product(sparse, Pair(b)))
    assert torch.equal(expected.T, contraction.product(Pair(b.T), contraction.transposed(sparse)))


def test_many_strange_entries_are_multiplied_in_parts(monkeypatch):  # CORE-P2, CORE-P3
    """Parts smaller than the number of NaN entries change nothing."""
    rng = np.random.default_rng(1)
    values = rng.choice([np.nan, np.inf, 0.0, 1.0], (6, 7))
    a, b = sr.encode(values, "csr", rng.random((6, 7)) < 0.6), sr.encode(values.T, "csr", rng.random((7, 6)) < 0.6)
    monkeypatch.setattr(contraction, "STRANGE_AT_ONCE", 2)
    expected = sr.matmul(a, b)
    actual = TORCH.call("matmul", a, b)

    np.testing.assert_array_equal(expected, actual)


def test_threads_and_runs_agree():  # OPS-6
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(600, 64)).astype(np.float32), rng.normal(size=(48, 64)).astype(np.float32)
    a = sr.sparsify(w, "csr:0.95")
    expected = TORCH.call("linear", x, a, None)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: TORCH.call("linear", x, a, None), range(8)))

    assert all(sr.same_bits(expected, actual) for actual in answers)


def test_what_it_does_not_know_is_declined_with_the_reason():  # DSP-4
    assert "layout diagonal" in TORCH.declines(Cell("linear", ("array", "diagonal"), "float32"))
    assert "operator softmax" in TORCH.declines(Cell("softmax.gradient", ("csr",), "float32"))
    assert "sparsifier lottery" in TORCH.declines(Cell("select", ("lottery",), "float32"))
    assert TORCH.declines(Cell("linear.gradient", ("array", "nmg"), "bfloat16")) is None


def test_refusals_name_the_clause_of_the_reference():  # ERR-1
    ones = np.ones((3, 4), np.float32)
    assert refusal(TORCH.call, "encode", ones, ones, layout="csr") == "CORE-E1"
    assert refusal(TORCH.call, "encode", ones, ones == 0, layout="nm:2:4") == "NM-C5"
    assert refusal(TORCH.call, "select", ones, ones[:2], None, sparsifier="keep-all") == "SPF-2"
    assert refusal(TORCH.call, "select", ones, None, None, sparsifier="random-fraction:0.5") == "SPF-5"
    assert refusal(TORCH.call, "select", ones, None, ones[:2], sparsifier="random-fraction:0.5") == "SPF-5"
    assert refusal(TORCH.call, "select", ones[0], None, None, sparsifier="block-threshold:2:2") == "BLK-S3"
    assert refusal(TORCH.call, "add", ones, ones.astype(np.float64)) == "CORE-D2"
    assert refusal(TORCH.call, "relu.gradient", ones[:2], ones) == "GRAD-3"


def test_without_torch_the_message_names_the_extra():
    script = "import sys; sys.modules['torch'] = None\ntry:\n import sparseref_torch\nexcept ImportError as e: print(e)"
    actual = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert "pip install 'sparseref[torch]'" in actual
