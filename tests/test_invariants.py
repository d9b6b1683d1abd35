"""What a layout refuses: parameters, shapes, arrays that break an invariant, patterns it cannot hold."""

import math

import numpy as np
import pytest
from checking import refusal
from hypothesis import assume, given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some

NOT_WHOLE = [0, -1, 1.5, "2", None, True, 2**40]


def with_arrays(a, **arrays):
    """`a` with other fields."""
    return sr.SparseArray(a.layout, a.shape, a.dtype, {**a.arrays, **arrays})


def changed(array, at, value):
    """A copy with one element replaced."""
    other = array.copy()
    other[at] = value
    return other


@given(st.sampled_from([(lambda x: sr.BSR(x, 2), "BSR-C1"), (lambda x: sr.BSR(2, x), "BSR-C1"),
                        (lambda x: sr.NM(x, 4), "NM-C1"), (lambda x: sr.NM(1, x), "NM-C1"),
                        (lambda x: sr.NMG(x, 4, 2), "NMG-C1"), (lambda x: sr.NMG(1, x, 2), "NMG-C1"),
                        (lambda x: sr.NMG(1, 4, x), "NMG-C7"), (lambda x: sr.VNM(x, 1, 2), "VNM-C1"),
                        (lambda x: sr.VNM(1, x, 2), "VNM-C1"), (lambda x: sr.VNM(1, 1, x), "VNM-C1")]),
       st.sampled_from(NOT_WHOLE))
def test_parameters_are_whole_numbers_in_range(made, x):  # BSR-C1, NM-C1, NMG-C1, NMG-C7, VNM-C1
    """Zero, negative, broken, text, bool and too large are refused by the clause of the parameter."""
    make, expected = made
    actual = refusal(make, x)

    assert expected == actual


@given(st.integers(2, 64), st.sampled_from([sr.NM, lambda n, m: sr.NMG(n, m, 1), lambda n, m: sr.VNM(1, n, m)]))
def test_n_is_at_most_m(m, make):  # NM-C1, NMG-C1, VNM-C1
    """Keeping more than there are has no meaning."""
    actual = refusal(make, m + 1, m)

    assert actual in ("NM-C1", "NMG-C1", "VNM-C1")


@given(st.integers(1, 256).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m), st.integers(1, 70000))))
def test_an_index_tells_all_fibres_of_a_chunk_apart(parameters):  # NMG-C7
    """C(m, n) * g up to 65,536 is taken, and idx is as wide as it needs; above that the layout is refused."""
    n, m, g = parameters
    size = math.comb(m, n) * g
    if size > 65536:
        assert refusal(sr.NMG, n, m, g) == "NMG-C7"
    else:
        expected = np.uint8 if size <= 256 else np.uint16
        actual = sr.NMG(n, m, g).fields((m, 1))["idx"].dtype

        assert expected == actual


def test_more_patterns_than_an_index_can_tell_apart():
    """NMG-C7: C(20, 10) = 184,756 patterns leave no g at all."""
    expected = "NMG-C7"
    actual = refusal(sr.NMG, 10, 20, 1)

    assert expected == actual


@given(st.text().filter(lambda text: text not in ("pad", "short")))
def test_other_tail_policies_are_refused(tail):  # NMG-C1
    """pad or short."""
    expected = "NMG-C1"
    actual = refusal(sr.NMG, 2, 4, 2, tail=tail)

    assert expected == actual


MATRICES = {"csr": "CSR-C1", "csc": "CSC-C1", "bsr:2:2": "BSR-C2", "ell": "ELL-C1"}


@given(st.sampled_from(sorted(MATRICES)), st.lists(st.integers(0, 4), max_size=4).filter(lambda shape: len(shape) != 2))
def test_matrix_layouts_take_matrices(text, shape):  # CSR-C1, CSC-C1, BSR-C2, ELL-C1
    """Two axes and no other number."""
    expected = MATRICES[text]
    actual = refusal(sr.encode, np.ones(shape), text, np.ones(shape, bool))

    assert expected == actual


@given(st.sampled_from(["nm:1:2,axis=2", "nm:1:2,axis=-3", "nm:1:2,axis=0.5", "nmg:1:2:1,sparse_axis=2",
                        "nmg:1:2:1,group_axis=-3", "nmg:1:2:1,sparse_axis=1", "nmg:1:2:1,sparse_axis=-1",
                        "vnm:1:1:2,vector_axis=2", "vnm:1:1:2,vector_axis=1", "vnm:1:1:2,sparse_axis=-2"]))
def test_axes_are_axes_of_the_array_and_two_are_two(text):  # NM-C2, NMG-C2, VNM-C2
    """Of a matrix, -2 to 1; the two axes of nmg and vnm must differ, however they are written."""
    expected = text.split(":")[0].upper() + "-C2"
    actual = refusal(sr.parse_layout(text).check, (4, 4))

    assert expected == actual


@given(st.sampled_from(["coo", "nm:1:2", "nmg:1:2:1", "vnm:1:1:2"]))
def test_a_number_alone_has_no_coordinates_and_no_axes(text):  # COO-C3, NM-C2, NMG-C2, VNM-C2
    """Shape (): dense and masked hold it, the others refuse."""
    expected = {"coo": "COO-C3"}.get(text, text.split(":")[0].upper() + "-C2")
    actual = refusal(sr.sparsify, np.ones(()), text)

    assert expected == actual


LIMITS = {"coo": 6, "csr": 8, "csc": 6, "bsr:2:3": 3, "ell": 8}
OUTSIDE = {"coo": "COO-C2", "csr": "CSR-C3", "csc": "CSC-C3", "bsr:2:3": "BSR-C4", "ell": "ELL-C3"}


@given(st.data(), st.sampled_from(sorted(LIMITS)), st.sampled_from(["below", "above"]))
def test_an_index_beyond_the_array_is_refused(data, text, side):  # COO-C2, CSR-C3, CSC-C3, BSR-C4, ELL-C3
    """One below 0, or at the side itself; in ell -1 is padding, so that -2 is below."""
    a = data.draw(some.sparse_arrays(sr.parse_layout(text), (6, 8), canonical=True))
    field = "coords" if text == "coo" else "indices"
    real = np.argwhere(a[field] >= 0)
    assume(len(real))
    wrong = with_arrays(a, **{field: changed(a[field], tuple(real[0]), -2 if side == "below" else LIMITS[text])})
    expected = OUTSIDE[text]
    actual = refusal(sr.validate, wrong)

    assert expected == actual


@given(st.data(), st.sampled_from(["csr", "csc", "bsr:2:3"]), st.sampled_from(["first", "last", "back"]))
def test_pointers_mark_off_the_slots(data, text, fault):  # CSR-C2, CSC-C2, BSR-C3
    """Beginning with another number, ending with another, or stepping back."""
    a = data.draw(some.sparse_arrays(sr.parse_layout(text), (6, 8), canonical=True))
    at, value = {"first": (0, 1), "last": (-1, len(a.values) + 1), "back": (1, len(a.values) + 1)}[fault]
    expected = {"csr": "CSR-C2", "csc": "CSC-C2"}.get(text, "BSR-C3")
    actual = refusal(sr.validate, with_arrays(a, indptr=changed(a["indptr"], at, value)))

    assert expected == actual


@given(some.generators())
def test_blocks_of_a_row_rise(rng):  # BSR-C4
    """Out of order or twice in one block row; in another block row the same column may follow."""
    a = sr.encode(rng.normal(size=(4, 6)), "bsr:2:2", np.ones((4, 6), bool))
    swapped = [1, 0, 2, 0, 1, 2] if rng.random() < 0.5 else [0, 1, 2, 0, 2, 2]
    expected = "BSR-C4"
    actual = refusal(sr.validate, with_arrays(a, indices=np.array(swapped, np.int32)))

    assert expected == actual


@given(st.sampled_from([[1, 0, -1], [2, 2, -1], [-1, 0, 1], [0, -1, 2], [0, 3, 1]]))
def test_columns_of_an_ell_row_rise_and_padding_ends_it(row):  # ELL-C3
    """Falling, twice, or padding before an entry."""
    a = sr.encode(np.ones((2, 4)), "ell", np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool))
    expected = "ELL-C3"
    actual = refusal(sr.validate, with_arrays(a, indices=np.array([[0, 1, 2], row], np.int32)))

    assert expected == actual


@given(st.sampled_from(["nm:2:4", "vnm:1:2:4"]), st.sampled_from([[1, 0], [2, 2], [0, 4], [5, 6]]))
def test_places_of_a_block_rise(text, places):  # NM-C4, VNM-C4
    """n different places of 0..m-1, rising."""
    a = sr.sparsify(np.ones((1, 4)), text)
    expected = text.split(":")[0].upper() + "-C4"
    actual = refusal(sr.validate, with_arrays(a, idx=np.array(places, np.uint8).reshape(a["idx"].shape)))

    assert expected == actual


@given(st.data(), some.generators())
def test_every_fibre_of_a_chunk_has_one_slot(data, rng):  # NMG-C5
    """Any permutation is valid; one fibre twice, or one beyond the chunk, is not."""
    layout = data.draw(some.layouts(["nmg"]))
    a = data.draw(some.sparse_arrays(layout, (5, 13)))
    sr.validate(a)
    at = tuple(rng.integers(0, side) for side in a["idx"].shape)
    expected = "NMG-C5"
    actual = refusal(sr.validate, with_arrays(a, idx=changed(a["idx"], at, a["idx"][at] + 1)))

    assert expected == actual


@given(some.generators())
def test_dense_stores_everything(rng):  # DENSE-C2
    """A pattern with a False in it belongs to another layout."""
    pattern = rng.random((3, 4)) < 0.5
    pattern[0, 0] = False
    expected = "DENSE-C2"
    actual = refusal(sr.encode, np.ones((3, 4)), "dense", pattern)

    assert expected == actual


@given(st.data(), st.sampled_from(["bsr", "nm", "nmg", "vnm"]))
def test_a_pattern_that_a_structured_layout_cannot_hold_is_refused(data, name):  # BSR-C5, NM-C5, NMG-C6, VNM-C5
    """One position taken out of an admissible pattern: the layout refuses, or holds exactly what it was given."""
    layout = data.draw(some.layouts([name]))
    shape = data.draw(some.shapes(layout).filter(lambda shape: 0 not in shape))
    pattern = data.draw(some.patterns(layout, shape))
    stored = np.argwhere(pattern)
    assume(len(stored))
    pattern[tuple(data.draw(st.sampled_from(stored.tolist())))] = False
    dense = np.ones(shape, np.float32)
    expected = {"bsr": "BSR-C5", "nm": "NM-C5", "nmg": "NMG-C6", "vnm": "VNM-C5"}[name]
    try:
        kept = sr.encode(dense, layout, pattern)               # blocks of one entry, or filling that makes up for it
    except sr.SpecError as error:
        assert error.clause == expected
    else:
        assert sr.same_bits(pattern, kept.pattern)


@pytest.mark.parametrize(("text", "pattern", "expected"), [
    ("bsr:2:2", [[1, 1], [1, 0]], "BSR-C5"),
    ("nm:1:2", [[1, 1]], "NM-C5"), ("nm:1:2", [[0, 0]], "NM-C5"), ("nm:2:3", [[1, 1, 1, 1, 1]], "NM-C5"),
    ("nmg:1:2:1", [[1, 1], [0, 0]], "NMG-C6"),                 # both fibres want the one slot of pattern 0
    ("nmg:1:2:1", [[1, 0], [1, 1]], "NMG-C6"),
    ("nmg:1:2:1", [[1, 0], [0, 0]], "NMG-C6"),
    ("vnm:2:1:2", [[1, 0], [0, 1]], "VNM-C5"), ("vnm:1:1:2", [[1, 1]], "VNM-C5"),
])
def test_patterns_that_cannot_be_held_by_hand(text, pattern, expected):
    """One for each way to be inadmissible."""
    pattern = np.array(pattern, bool)
    actual = refusal(sr.encode, np.ones(pattern.shape), text, pattern)

    assert expected == actual
