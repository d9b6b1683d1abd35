"""encode, decode, validate: what holds for every layout."""

import numpy as np
import pytest
from checking import refusal
from hypothesis import assume, given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.conformance.forms import guarded
from sparseref.conformance.inputs import poisoned


@st.composite
def encodings(draw):
    """layout, dense [shape], pattern that the layout admits."""
    layout = draw(some.layouts())
    shape = draw(some.shapes(layout))
    return layout, draw(some.arrays(shape)), draw(some.patterns(layout, shape))


@given(encodings())
def test_decode_inverts_encode_on_its_pattern(encoding):  # CORE-V1, CORE-C1, MASKED-C2, DENSE-C1, BSR-C7, NM-C6, VNM-C6, NMG-C8
    """Decoding what was encoded gives the entries of the pattern and +0 elsewhere, bit for bit; the pattern comes back."""
    layout, dense, pattern = encoding
    a = sr.encode(dense, layout, pattern)
    expected = np.where(pattern, dense, np.zeros((), dense.dtype))
    actual = sr.decode(a)

    assert sr.same_bits(expected, actual)
    assert sr.same_bits(pattern, a.pattern)


@given(encodings())
def test_what_is_encoded_is_valid_and_canonical(encoding):  # CORE-C1, CORE-A1, CORE-A2, CORE-P5
    """It passes validation, is its own canonical form, and holds +0 in every padding slot."""
    layout, dense, pattern = encoding
    a = sr.encode(dense, layout, pattern)
    padding = a.values[a.layout.positions(a) < 0]

    assert sr.validate(a) is None
    assert sr.is_canonical(a)
    assert sr.same_bits(np.zeros_like(padding), padding)


@given(some.sparse_arrays())
def test_decode_adds_up_the_slots_of_each_position_in_slot_order(a):  # CORE-V1, CORE-V2, COO-C4, CSR-C6, CSC-C6
    """One slot after another in plain Python; each addition is rounded to the value dtype."""
    sr.validate(a)
    sums = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for position, value in zip(a.layout.positions(a).flat, a.values.flat, strict=True):
            sums[position] = sums[position] + value if position in sums else value
    expected = np.array([sums.get(position, 0) for position in range(np.prod(a.shape, dtype=int))], a.dtype).reshape(a.shape)
    actual = sr.decode(a)

    assert sr.same_bits(expected, actual)


@given(some.sparse_arrays(canonical=True))
def test_padding_is_not_read(a):  # CORE-P5
    """NaN in every padding slot changes nothing that can be seen."""
    expected = sr.decode(a)
    poison = poisoned(a)
    actual = sr.decode(poison)

    assert sr.same_bits(expected, actual)
    assert sr.same_bits(a.pattern, poison.pattern)
    assert sr.is_canonical(poison) is bool((a.layout.positions(a) >= 0).all())


@given(encodings(), st.sampled_from(["contiguous", "fortran", "reversed", "strided", "read-only"]))
def test_any_memory_form_will_do_and_is_left_alone(encoding, form):  # CORE-M1, CORE-M2
    """Fortran order, negative strides, gaps, read-only: the same result, the operands unchanged and not shared."""
    layout, dense, pattern = encoding
    expected = sr.encode(dense, layout, pattern)
    given_dense, given_pattern = guarded(dense, form), guarded(pattern, form)
    actual = sr.encode(given_dense.operand, layout, given_pattern.operand)
    stored = guarded(actual, form)
    decoded = sr.decode(stored.operand)

    assert sr.same_array(expected, actual)
    assert sr.same_bits(sr.decode(expected), decoded)
    assert given_dense.intact()
    assert given_pattern.intact()
    assert stored.intact()
    for array in actual.arrays.values():
        assert not any(np.shares_memory(array, buffer) for buffer in (*given_dense.buffers, *given_pattern.buffers))
    assert not any(np.shares_memory(decoded, buffer) for buffer in stored.buffers)


@given(encodings(), st.sampled_from(["dtype", "shape"]))
def test_a_pattern_must_fit_the_array(encoding, fault):  # CORE-E1
    """bool, and of the array's shape."""
    layout, dense, pattern = encoding
    wrong = pattern.astype(np.int8) if fault == "dtype" else pattern[None]
    expected = "CORE-E1"
    actual = refusal(sr.encode, dense, layout, wrong)

    assert expected == actual


@given(encodings(), st.sampled_from([np.uint8, np.complex64, bool]))
def test_values_of_other_dtypes_are_not_encoded(encoding, dtype):  # CORE-D1
    """Nor converted without being asked."""
    layout, dense, pattern = encoding
    expected = "CORE-D1"
    actual = refusal(sr.encode, np.zeros(dense.shape, dtype), layout, pattern)

    assert expected == actual


def with_arrays(a, **arrays):
    """`a` with other or further fields."""
    return sr.SparseArray(a.layout, a.shape, a.dtype, {**a.arrays, **arrays})


@given(some.sparse_arrays(canonical=True), st.booleans(), st.data())
def test_a_field_too_many_or_too_few_is_refused(a, too_many, data):  # CORE-A1
    """Exactly the layout's fields."""
    fields = dict(a.arrays)
    if too_many:
        fields["more"] = np.zeros(1)
    else:
        del fields[data.draw(st.sampled_from(sorted(fields)))]
    expected = "CORE-A1"
    actual = refusal(sr.validate, sr.SparseArray(a.layout, a.shape, a.dtype, fields))

    assert expected == actual


@given(some.sparse_arrays(canonical=True), st.sampled_from(["dtype", "axis", "longer"]), st.data())
def test_a_field_of_another_dtype_or_shape_is_refused(a, fault, data):  # CORE-A2
    """Also where the shape has a free size, which one and the same number must fill in all fields."""
    name = data.draw(st.sampled_from(sorted(a.arrays)))
    array = a[name]
    if fault == "dtype":
        wrong = array.astype(np.complex64)
    elif fault == "axis":
        wrong = array[None]
    else:
        wrong = np.concatenate([array, array[:1]]) if array.ndim and len(array) else None
    assume(wrong is not None)
    free_alone = fault == "longer" and sum(
        isinstance(field.shape[0], str) for field in a.layout.fields(a.shape).values() if field.shape) == 1
    assume(not free_alone)                                     # one field alone with a free first side may be longer
    expected = "CORE-A2"
    actual = refusal(sr.validate, with_arrays(a, **{name: wrong}))

    assert expected == actual


@given(some.sparse_arrays())
def test_a_refusal_changes_nothing(a):  # ERR-2
    """The operands of a call that is refused are as they were, and so are the registries."""
    kept = guarded(a, "contiguous")
    names = sr.registry.layouts.names()
    refusal(sr.validate, with_arrays(kept.operand, more=np.zeros(1)))
    refusal(sr.encode, kept.operand.values, "no-such-layout", kept.operand.values != 0)

    assert kept.intact()
    assert names == sr.registry.layouts.names()


@pytest.mark.parametrize("text", ["coo", "csr", "csc"])
def test_duplicates_are_not_canonical(text):
    """CORE-C1: valid, but not what encoding gives."""
    a = sr.encode(np.array([[1.0, 2.0]]), text, np.ones((1, 2), bool))
    fields = {"coo": {"coords": np.zeros((2, 2), np.int32)}, "csr": {"indices": np.zeros(2, np.int32)},
              "csc": {"indptr": np.array([0, 2, 2], np.int32)}}[text]
    twice = with_arrays(a, **fields)
    expected = np.array([[3.0, 0.0]])
    actual = sr.decode(twice)

    assert sr.same_bits(expected, actual)
    assert twice.nnz == 1
    assert not sr.is_canonical(twice)
