"""What is no array, no number or no backend is refused with a clause, and nothing huge is walked through."""

import numpy as np
import pytest
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.conformance.coding_cases import corruptions, damaged
from sparseref.registry import get_operator

W = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
CSR = sr.sparsify(W, "csr")
NO_ARRAYS = [None, 3, 2.5, "x", [[1.0]], {}, object()]
REFUSED = [
    ("CORE-A1", sr.decode), ("CORE-A1", sr.validate), ("CORE-A1", sr.is_canonical), ("CORE-D1", sr.relu), ("CORE-D1", sr.sum),
    ("CORE-D1", lambda x: sr.add(CSR, x)), ("CORE-D1", lambda x: sr.linear(x, CSR)), ("CORE-D1", lambda x: sr.scale(x, 2.0)),
    ("CORE-D1", lambda x: sr.run("relu.gradient", x, CSR)),
    ("CORE-A1", lambda x: sr.SparseArray(x, (3, 4), np.float32, {"values": W})),
    ("CORE-A1", lambda x: sr.SparseArray(sr.Dense(), (3, 4), np.float32, {"values": x})),
    ("CORE-A1", lambda x: sr.select(W, sr.SamePattern(x))), ("CORE-A1", lambda x: sr.select(W, sr.SameFormat(x))),
]


@pytest.mark.parametrize("given_", NO_ARRAYS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("clause", "call"), REFUSED)
def test_what_is_no_array_is_refused(clause, call, given_):
    """CORE-A1 where a sparse array is wanted, CORE-D1 where any array will do."""
    expected = clause
    actual = refusal(call, given_)

    assert expected == actual


@pytest.mark.parametrize(("clause", "call"), [
    ("CORE-A1", lambda: sr.SparseArray(sr.Dense(), (3, 4), np.float32, None)),
    ("CORE-E1", lambda: sr.energy(W, np.ones((3, 4), int))), ("CORE-E1", lambda: sr.energy(W, [0, 1])),
    ("CORE-D1", lambda: sr.energy(W.astype(complex), W > 0)),
    ("SPF-2", lambda: sr.select(W, "scalar-fraction:0.5", W.astype(complex))),
    ("SPF-2", lambda: sr.select(W, "scalar-fraction:0.5", W.astype(str))),
    ("SPF-5", lambda: sr.select(W, "random-fraction:0.5", draws=W.astype(str))),
    ("SPF-5", lambda: sr.select(W, "random-fraction:0.5", rng=3)),
    ("SCALE-2", lambda: sr.scale(CSR, None)), ("SCALE-2", lambda: sr.scale(CSR, "2")), ("SCALE-2", lambda: sr.scale(CSR, 2j)),
    ("CORE-D2", lambda: sr.scale(W.astype(np.int8), 2.5)), ("CORE-D2", lambda: sr.scale(W.astype(np.int8), 300)),
    ("CORE-L1", lambda: sr.parse_layout("nmg:2:8:8,n=3")), ("CORE-L1", lambda: sr.parse_layout("nm:1:2,axis=0,axis=1")),
    ("CORE-L1", lambda: sr.parse_format(None)), ("DSP-6", lambda: sr.get_backend(3)),
])
def test_numbers_that_are_none_and_names_given_twice_are_refused(clause, call):
    """Nothing is truncated, broadcast, taken for an index or overridden without a word."""
    expected = clause
    actual = refusal(call)

    assert expected == actual


@given(st.sampled_from(["pad", "short"]), st.integers(0, 2**60))
def test_the_slots_of_a_huge_shape_are_counted_at_once(tail, fibres):  # NMG-C8, NMG-C9
    """Whole chunks of C(3,1) * 2 = 6 fibres, and what fills the last one."""
    whole, left = divmod(fibres, 6)
    expected = whole * 6 + (0 if left == 0 else 3 * -(-left // 3) if tail == "short" else 6)
    actual = sr.NMG(1, 3, 2, tail=tail).slots(fibres)

    assert expected == actual


def test_integers_are_judged_modulo_their_bits():  # OPS-1
    """The product of two int32 that leaves int32 has no error where it wraps as it must."""
    a = np.array([2**30 + 1], np.int32)
    expected = 0.0
    wanted, _ = sr.bounds.expected_forward(get_operator("multiply"), (a, a), {}, "float64")
    actual = sr.bounds.error_ratio(sr.multiply(a, a), wanted).item()

    assert expected == actual


@given(st.data())
def test_what_validate_refuses_every_operation_refuses(data):  # CORE-A3
    """By the same clause, on the reference and on torch, in decode as in an operator."""
    layout = data.draw(some.layouts())
    a = data.draw(some.sparse_arrays(layout, data.draw(some.shapes(layout, ndims=(2,))), np.dtype(np.float32), ("normal",)))
    broken = damaged(a, data.draw(st.sampled_from(list(corruptions(layout, a.shape)))))
    expected = {refused_by(broken, "validate")}
    actual = {refused_by(broken, what, name) for name in ("reference", "torch") for what in ("decode", "relu")}

    assert expected == actual


def refused_by(a, what, backend="reference"):
    """The clause by which a backend refuses an operation on an array, "" where it takes it."""
    try:
        sr.get_backend(backend).call(what, a)
    except sr.SpecError as error:
        return error.clause
    return ""
