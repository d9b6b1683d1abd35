"""The sparse array itself: shape, dtype, named arrays, pattern, bits."""

import copy
import math
import pickle

import numpy as np
import pytest
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.array import differing, same_array
from sparseref.conformance import strategies as some
from sparseref.dtypes import DTYPES, value_dtype

NOT_SHAPES = [(-1,), (2, -3), (1.5,), "ab", 3, None, (2**40, 2**40), ((1, 2),)]


@given(some.sparse_arrays())
def test_pattern_is_what_the_slots_name(a):  # CORE-P1
    """A position is stored where some slot that is no padding has its number, whatever the values are."""
    expected = np.zeros(a.shape, bool)
    for position in a.layout.positions(a).reshape(-1).tolist():
        if position >= 0:
            expected[np.unravel_index(position, a.shape)] = True
    actual = a.pattern

    assert sr.same_bits(expected, actual)
    assert a.nnz == expected.sum()


@given(some.sparse_arrays(canonical=True), some.generators())
def test_pattern_does_not_depend_on_values(a, rng):  # CORE-P1
    """Zeros, NaN or anything else in the slots: the pattern stays."""
    expected = a.pattern
    actual = a.with_values(rng.choice([0.0, -0.0, 7.0], a.values.shape).astype(a.dtype)).pattern

    assert sr.same_bits(expected, actual)


@given(some.sparse_arrays())
def test_an_array_is_pickled_and_copied(a):
    """To another process, and in memory of its own; views of foreign mappings do not stand in the way."""
    pickled, copied = pickle.loads(pickle.dumps(a)), copy.deepcopy(a)

    assert same_array(a, pickled)
    assert same_array(a, copied)
    assert not any(np.shares_memory(a[name], copied[name]) for name in a.arrays)


@given(some.sparse_arrays())
def test_bits_count_every_element_of_every_array(a):  # CORE-B1
    """8 bits a byte, padding and indices included; the layout's formula gives the same from shape and free sizes."""
    expected = 8 * sum(len(np.ascontiguousarray(array).tobytes()) for array in a.arrays.values())
    sizes = {side: have for name, field in a.layout.fields(a.shape).items()
             for side, have in zip(field.shape, a[name].shape, strict=True) if isinstance(side, str)}
    actual = a.bits

    assert expected == actual
    assert expected == a.layout.bits(a.shape, a.dtype, **sizes)


@given(st.lists(st.integers(0, 2**20), max_size=3))
def test_shapes_are_tuples_of_whole_numbers(sides):  # CORE-S1
    """Any sides of 0 or more do, NumPy integers too; they are kept as a tuple of ints."""
    expected = tuple(sides)
    a = sr.SparseArray(sr.COO(), np.array(sides, np.int64), np.float32, {"values": np.zeros(0, np.float32)})
    actual = a.shape

    assert expected == actual
    assert all(type(side) is int for side in actual)


@given(st.sampled_from(NOT_SHAPES))
def test_other_shapes_are_refused(shape):  # CORE-S1
    """Negative, broken, too large or not a sequence of numbers."""
    expected = "CORE-S1"
    actual = refusal(sr.SparseArray, sr.COO(), shape, np.float32, {})

    assert expected == actual


@given(st.sampled_from(["uint8", "int64", "complex64", "bool", "object", "nonsense", np.int16, 3.5]))
def test_other_dtypes_are_refused(dtype):  # CORE-D1
    """Six value dtypes and no others."""
    expected = "CORE-D1"
    actual = refusal(sr.SparseArray, sr.COO(), (2, 2), dtype, {})

    assert expected == actual


@given(st.sampled_from(DTYPES))
def test_dtypes_are_taken_by_name_and_by_type(name):  # CORE-D1
    """"float32", np.float32 and np.dtype("float32") are one dtype."""
    expected = name
    dtype = value_dtype(name)
    actual = value_dtype(dtype.type).name

    assert expected == actual
    assert value_dtype(dtype) == dtype


def same_number(x, y):
    """The definition, for one pair of elements."""
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    return x == y and math.copysign(1, x) == math.copysign(1, y)


@given(some.arrays(), some.generators())
def test_bit_equality_tells_signed_zeros_apart_and_nans_not(array, rng):  # CORE-D3
    """Element by element: equal with the same sign, or both NaN."""
    other = np.where(rng.random(array.shape) < 0.3, rng.choice(array.reshape(-1), array.shape), array) if array.size else array
    other = np.where(rng.random(array.shape) < 0.3, -other, other)
    expected = [same_number(float(x), float(y)) for x, y in zip(array.flat, other.flat, strict=True)]
    actual = (~differing(array, other)).reshape(-1).tolist()

    assert expected == actual
    assert sr.same_bits(array, other) is all(expected)


@pytest.mark.parametrize(("a", "b"), [
    (np.zeros(2, np.float32), np.zeros(2)), (np.zeros((2, 1)), np.zeros((1, 2))), (np.zeros(1), np.array([-0.0])),
])
def test_shape_dtype_and_sign_of_zero_count(a, b):
    """CORE-D3, by example."""
    expected = False
    actual = sr.same_bits(a, b)

    assert expected is actual


@given(some.sparse_arrays(), some.generators())
def test_same_array_compares_every_part(a, rng):  # CORE-D3
    """A copy is the same array; another shape, dtype, layout, field or value is not."""
    copy = sr.SparseArray(a.layout, a.shape, a.dtype, {name: array.copy() for name, array in a.arrays.items()})
    dtype = "int8" if a.dtype.name != "int8" else "float16"
    others = [
        sr.SparseArray(a.layout, (*a.shape, 1), a.dtype, a.arrays),
        sr.SparseArray(a.layout, a.shape, dtype, a.arrays),
        sr.SparseArray(sr.BSR(77, 77), a.shape, a.dtype, a.arrays),
        sr.SparseArray(a.layout, a.shape, a.dtype, {**a.arrays, "more": np.zeros(1)}),
        *([a.with_values(np.full(a.values.shape, 99, a.dtype))] if a.values.size else []),
    ]
    expected = [True, *[False] * len(others)]
    actual = [sr.same_array(a, other) for other in (copy, *others)]

    assert expected == actual


def test_a_sparse_array_cannot_be_changed_in_its_parts():
    """Frozen, and the mapping is read-only: what was validated stays valid."""
    a = sr.encode(np.eye(2), "csr", np.eye(2) != 0)

    with pytest.raises(AttributeError):
        a.shape = (4, 1)
    with pytest.raises(TypeError):
        a.arrays["values"] = np.zeros(2)


def test_repr_says_layout_shape_dtype_and_bits():
    """A line for an interactive session."""
    expected = "SparseArray(csr, shape=(2, 2), dtype=float32, bits=224)"
    actual = repr(sr.encode(np.eye(2, dtype=np.float32), "csr", np.eye(2) != 0))

    assert expected == actual
