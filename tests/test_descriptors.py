"""Short strings, dtypes, index widths and errors."""

import math
import pickle
import sys

import numpy as np
import pytest
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref import dtypes, registry
from sparseref.conformance import strategies as some

BAD_STRINGS = ["nm", "nm:2", "nm:2:4:0:1:9", "csr:3", "nmg:2:4:2,tail", "nmg:2:4:2,colour=red", 7, None, b"csr"]


@given(some.layouts())
def test_layouts_come_back_from_their_short_strings(layout):  # CORE-L1
    """str and parse are inverse; equal layouts have equal hashes, so a layout can be a key."""
    expected = layout
    actual = sr.parse_layout(str(layout))

    assert expected == actual
    assert hash(expected) == hash(actual)
    assert sr.parse_layout(layout) is layout


@given(st.sampled_from([
    sr.KeepAll(), sr.RandomFraction(0.25), sr.ScalarThreshold(), sr.ScalarThreshold(1.5), sr.ScalarFraction(0.9),
    sr.BlockThreshold(2, 3), sr.BlockThreshold(2, 3, 0.5), sr.BlockFraction(4, 1, 0.75), sr.PerBlockNM(2, 4, axis=0),
    sr.VectorNM(4, 2, 8), sr.GreedyNMG(2, 4, 8, tail="short"), sr.OptimalNMG(1, 3, 2)]))
def test_sparsifiers_come_back_from_their_short_strings(sparsifier):  # CORE-L1
    """str and parse are inverse for every sparsifier that has no array among its parameters."""
    expected = sparsifier
    actual = sr.parse_sparsifier(str(sparsifier))

    assert expected == actual


@pytest.mark.parametrize(("text", "expected"), [
    ("nmg:2:8:8", sr.NMG(2, 8, 8)), ("nmg:2:8:8,tail=short", sr.NMG(2, 8, 8, tail="short")),
    ("nm:2:4:0", sr.NM(2, 4, axis=0)), ("nm:2:4,axis=0", sr.NM(2, 4, axis=0)), ("bsr:4:1", sr.BSR(4, 1)),
])
def test_short_strings_by_example(text, expected):
    """CORE-L1: a parameter with a default may stand after a colon too."""
    actual = sr.parse_layout(text)

    assert expected == actual


@given(st.sampled_from(BAD_STRINGS))
def test_strings_that_do_not_fit_are_refused(text):  # CORE-L1
    """Too few, too many, unknown or malformed parameters, and what is no string."""
    expected = "CORE-L1"
    actual = refusal(sr.parse_layout, text)

    assert expected == actual


@given(st.lists(st.integers(0, 2**21), min_size=1, max_size=3))
def test_coordinates_are_as_wide_as_the_shape_needs(shape):  # CORE-I1
    """int32 for fewer than 2**31 entries, else int64: every position fits."""
    expected = np.int32 if math.prod(shape) < 2**31 else np.int64
    actual = dtypes.coordinate_dtype(tuple(shape))

    assert expected == actual
    assert np.iinfo(actual).max >= math.prod(shape) or math.prod(shape) >= 2**63


@given(st.one_of(st.integers(1, 65536), st.integers(250, 260)))
def test_slot_indices_are_as_wide_as_their_count_needs(count):  # CORE-I2
    """uint8 tells 256 places apart, uint16 65,536."""
    expected = np.uint8 if count <= 256 else np.uint16
    actual = dtypes.slot_index_dtype(count)

    assert expected == actual
    assert np.iinfo(actual).max >= count - 1


@pytest.mark.parametrize("name", dtypes.FLOATS)
def test_what_is_known_of_a_float_dtype_agrees_with_the_dtype(name):
    """u, the smallest subnormal and the largest number, seen in the dtype's own arithmetic."""
    dtype = dtypes.value_dtype(name)
    u, tiny, largest = dtypes.unit_roundoff(dtype), dtypes.smallest_subnormal(dtype), dtypes.largest_finite(dtype)
    one = np.ones((), np.float64)
    expected = (1.0, 1 + 2 * u, tiny, 0.0, largest)
    actual = tuple(float(np.asarray(x).astype(dtype)) for x in (one + u, one + 2 * u, tiny, tiny / 2, largest))

    assert expected == actual


def test_bfloat16_without_its_package_says_which_pip_command_brings_it(monkeypatch):
    """MissingDependency names the package and the extra."""
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)

    with pytest.raises(sr.MissingDependency, match=r"'ml_dtypes'[\s\S]*pip install 'sparseref\[conformance\]'"):
        dtypes.value_dtype("bfloat16")


@given(st.text(min_size=1), st.text(min_size=1), st.one_of(st.integers(), st.text(min_size=1)), st.text())
def test_errors_name_the_clause_and_both_sides(what, wanted, given_, fix):  # ERR-1
    """The message has them all; a fix where there is one; and the error survives the way to another process."""
    error = sr.SpecError("NMG-C1", what, wanted=wanted, given=given_, fix=fix)
    expected = f"NMG-C1: {what}\n  wanted: {wanted}        given: {given_}" + (f"\n  {fix}" if fix else "")
    actual = str(error)
    copy = pickle.loads(pickle.dumps(error))

    assert expected == actual
    assert (copy.clause, str(copy), copy.fix) == ("NMG-C1", expected, fix)


class Thing:
    """Something to register."""

    def __init__(self, name):
        self.name = name


NAMES = st.text("abcdefg-", min_size=1)


@given(st.lists(NAMES, unique=True), NAMES)
def test_a_name_belongs_to_one_thing(taken, name):  # REG-1, ERR-2
    """Another thing of the name is refused and changes nothing; the same thing again is no error; `remove` frees the name."""
    things = registry.Registry("things", "REG-2")
    for other in taken:
        things.add(Thing(other))
    thing = things.add(Thing(name)) if name not in taken else things.get(name)
    expected = ("REG-1", [*taken, *([] if name in taken else [name])])
    actual = (refusal(things.add, Thing(name)), things.names())

    assert expected == actual
    assert things.add(thing) is thing
    assert things.get(name) is thing
    things.remove(name)
    assert name not in things.names()


@given(st.sampled_from(["layouts", "sparsifiers", "operators"]), NAMES.map("no-".__add__))
def test_unknown_names_are_refused_with_those_that_are_known(group, name):  # REG-2
    """A typo is answered with the list."""
    found = getattr(registry, group)
    with pytest.raises(sr.SpecError, match=found.names()[0]) as caught:
        found.get(name)

    assert caught.value.clause == "REG-2"


@given(NAMES.map("no-".__add__))
def test_unknown_backends_are_refused(name):  # DSP-6
    """So that a missing package is seen, not passed over."""
    expected = "DSP-6"
    actual = refusal(sr.get_backend, name)

    assert expected == actual


@given(st.sampled_from(["no_such_module_:X", "sparseref:NoSuchName", "", "sparseref", ":x", "sparseref.layouts:"]))
def test_addresses_that_lead_nowhere_are_refused(address):  # REG-3
    """No module, no name in it, or no address at all."""
    expected = "REG-3"
    actual = refusal(registry.load_object, address)

    assert expected == actual


def test_an_address_is_loaded():
    """module:Name."""
    expected = sr.NMG
    actual = registry.load_object("sparseref.layouts:NMG")

    assert expected is actual
