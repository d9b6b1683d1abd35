"""Files that are damaged, malformed or of another kind: refused with a clause, and never read as another array."""

import json
from unittest.mock import patch

import numpy as np
import pytest
import safetensors.numpy
from checking import refusal
from filing import FILES, PATH, bytes_of, content_of, index_of, read, with_header, with_index
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.conformance.coding_cases import corruptions, damaged
from sparseref.files import View, load_file, read_file

W = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
CSR = sr.sparsify(W, "csr")                                    # square, so that csc would take its arrays
SMALL = {"w": CSR, "mask": W > 3, "head": CSR, "n": np.array(3, np.int64)}


@pytest.fixture(scope="module")
def small():
    """A file with all there is: a sparse and a plain array, a tie, a view, metadata."""
    return bytes_of(SMALL, {"by": "me"}, {"w": View((2, 2, 4))})


def outcome(content):
    """"refused", or what the file holds; any other error is a failure of the test."""
    try:
        header, arrays = read(content, read_file)
    except sr.SpecError:
        return "refused"
    views = {name: entry.view for name, entry in header.arrays.items()}
    return content_of(arrays), views, dict(header.ties), dict(header.metadata)


@pytest.mark.parametrize("flip", [0x01, 0x11, 0xA0])
def test_a_flipped_byte_is_refused_or_changes_nothing(small, flip):
    """Every byte of the file, whichever bits of it: never another array, view, tie or string."""
    expected = {str(outcome(small)), "refused"}
    actual = {str(outcome(small[:place] + bytes([small[place] ^ flip]) + small[place + 1:])) for place in range(len(small))}

    assert expected >= actual


@given(st.data(), st.binary(max_size=4))
def test_whatever_replaces_some_bytes_is_refused_or_changes_nothing(small, data, other):  # FILE-1, FILE-2, FILE-5
    """Bytes changed, taken away and put in."""
    start = data.draw(st.integers(0, len(small)))
    stop = data.draw(st.integers(start, min(len(small), start + 4)))
    expected = (outcome(small), "refused")
    actual = outcome(small[:start] + other + small[stop:])

    assert actual in expected


def test_a_truncated_file_is_refused(small):
    """Wherever it ends."""
    expected = {"FILE-1"}
    actual = {refusal(read, small[:stop]) for stop in range(len(small))}

    assert expected == actual


@given(FILES, st.data())
def test_an_element_that_changed_is_refused(arrays, data):  # FILE-5
    """One bit of any array: never a model that is a little worse."""
    content = bytes_of(arrays)
    elements = len(index_of(content)[1])
    assume(elements)
    place = len(content) - 1 - data.draw(st.integers(0, elements - 1))
    flipped = content[:place] + bytes([content[place] ^ 1 << data.draw(st.integers(0, 7))]) + content[place + 1:]

    assert refusal(read, flipped) in ("FILE-5", "FILE-7")


@given(st.data())
def test_an_index_that_the_package_refuses_is_refused(small, data):  # FILE-1
    """Any part of any tensor's entry replaced: whatever safetensors takes for damage we do too."""
    index, elements = index_of(small)
    name = data.draw(st.sampled_from([name for name in index if name != "__metadata__"]))
    part = data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))
    value = data.draw(st.sampled_from(["F32", "I64", "F4", [], [4], [-1], [2.0], [True], None, 3, [0, 64], [64, 0], ["4"], {},
                                       "22", [[]], [0, 64, 64], [10**400], ["F32"]]))
    assume(value != index[name][part])
    index[name][part] = value
    content = with_index(index, elements)
    try:
        PATH.write_bytes(content)
        with safe_open(PATH, "np"):
            expected = ("FILE-1", "FILE-5", "FILE-4")
    except SafetensorError:
        expected = ("FILE-1",)

    assert refusal(read, content) in expected


@pytest.mark.parametrize("text", [
    b"[]", b"3", b"{", b"\xff", b"[" * 100_000, b'{"a":1,"a":1}', b'{"a":NaN}', b'{"a":' + b"9" * 5000 + b"}", b'{"a":{}}',
    b'{"__metadata__":[]}', b'{"__metadata__":{"a":1}}', b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"more":1}}',
    b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}', b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}'],
    ids=lambda text: repr(text[:40]))
def test_what_is_no_index_is_refused(text):  # FILE-1
    """No JSON, JSON of another form, JSON that Python reads and nobody else does."""
    expected = "FILE-1"
    actual = refusal(read, len(text).to_bytes(8, "little") + text)

    assert expected == actual


@given(st.integers(-2**70, 2**70).filter(lambda version: version != 1),
       st.dictionaries(st.sampled_from(["arrays", "ties", "metadata", "more"]), st.none() | st.integers()))
def test_another_version_is_refused_whatever_else_there_is(small, version, more):  # FILE-3
    """Its digest may be wrong and its parts unknown: nothing of it is our business."""
    index, elements = index_of(small)
    index["__metadata__"]["sparseref"] = json.dumps({**more, "version": version})
    expected = "FILE-3"
    actual = refusal(read, with_index(index, elements))

    assert expected == actual


@pytest.mark.parametrize("change", [
    {"version": None}, {"version": "1"}, {"version": True}, {"version": 1.0}, {"more": 1}, {"arrays": []}, {"ties": None},
    {"metadata": ""}])
def test_a_header_of_another_form_is_refused(small, change):
    """FILE-2, its digest being right."""
    expected = "FILE-2"
    actual = refusal(read, with_header(small, lambda header: header.update(change)))

    assert expected == actual


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"version":1,"version":1}', '{"version":NaN}', "null", "[1]",
                                  '"\ud800"'], ids=lambda text: ascii(text[:30]))
def test_a_header_that_is_no_json_is_refused(small, text):  # FILE-2
    """And one that is no text."""
    index, elements = index_of(small)
    index["__metadata__"]["sparseref"] = text
    expected = "FILE-2"
    actual = refusal(read, with_index(index, elements))

    assert expected == actual


def test_a_digest_that_is_missing_is_refused(small):
    """FILE-2."""
    index, elements = index_of(small)
    del index["__metadata__"]["sparseref.sha256"]
    expected = "FILE-2"
    actual = refusal(read, with_index(index, elements))

    assert expected == actual


def test_an_ordinary_file_says_what_reads_it(tmp_path):
    """FILE-2, and the package's function."""
    safetensors.numpy.save_file({"w": W}, tmp_path / "file")
    with pytest.raises(sr.SpecError, match=r"safetensors\.numpy\.load_file") as caught:
        load_file(tmp_path / "file")

    assert caught.value.clause == "FILE-2"


@given(st.sampled_from(["layout", "shape", "dtype", "sha256", "view", "more"]),
       st.sampled_from([None, 3, "x", [], {}, [1.5], [True], ["float32"], {"shape": [16]}, {"shape": [16], "transposed": 0},
                        {"shape": 16, "transposed": False}, {"shape": [16], "transposed": False, "more": 1}, "ab" * 31,
                        "AB" * 32]))
def test_an_entry_with_a_part_of_another_form_is_refused(small, part, value):  # FILE-4
    """Or the part means something, and does not fit."""
    content = with_header(small, lambda header: header["arrays"]["w"].update({part: value}))
    named = part == "layout" and isinstance(value, str)
    expected = "REG-2" if named else "CSR-C1" if (part, value) == ("shape", []) else "FILE-4"
    actual = refusal(read, content)

    assert expected == actual


@pytest.mark.parametrize(("name", "change", "expected"), [
    ("w", lambda entry: entry.pop("dtype"), "FILE-4"), ("w", lambda entry: entry.clear(), "FILE-4"),
    ("mask", lambda entry: entry.update(view={"shape": [16], "transposed": False}), "FILE-4"),
    ("mask", lambda entry: entry.update(shape=[16]), "FILE-4"), ("mask", lambda entry: entry.update(dtype="uint8"), "FILE-4"),
    ("w", lambda entry: entry.pop("layout"), "FILE-4"), ("mask", lambda entry: entry.update(layout="dense"), "CORE-D1"),
    ("w", lambda entry: entry.update(shape=[2, 8]), "CORE-A2"), ("w", lambda entry: entry.update(shape=[-4, 4]), "CORE-S1"),
    ("w", lambda entry: entry.update(shape=[5, 4]), "FILE-8"), ("w", lambda entry: entry.update(dtype="int32"), "CORE-A2"),
    ("w", lambda entry: entry.update(layout="coo"), "FILE-1"), ("w", lambda entry: entry.update(layout="csr:1"), "CORE-L1"),
    ("w", lambda entry: entry.update(view={"shape": [-16], "transposed": False}), "CORE-S1")])
def test_an_entry_that_is_not_of_its_array_is_refused(small, name, change, expected):
    """All digests being right; by the clause that it breaks."""
    actual = refusal(read, with_header(small, lambda header: change(header["arrays"][name])))

    assert expected == actual


@pytest.mark.parametrize(("ties", "expected"), [
    ({"head": "v"}, "FILE-9"), ({"head": 3}, "FILE-9"), ({"head": []}, "FILE-9"), ({"w": "mask"}, "FILE-9"),
    ({"w": "w"}, "FILE-9"), ({"head": "other", "other": "w"}, "FILE-9"), ({"mask": "w"}, "FILE-6"),
    ({"w.values": "w"}, "FILE-6"), ({"__metadata__": "w"}, "FILE-6"), ({"half \ud800": "w"}, "FILE-6")])
def test_ties_to_nothing_and_ties_that_collide_are_refused(small, ties, expected):
    """A tie leads to an array of the file, from a name that is free."""
    actual = refusal(read, with_header(small, lambda header: header.update(ties=ties)))

    assert expected == actual


@pytest.mark.parametrize("beside", [{}, {"by": "you"}, {"by": "me", "more": ""}])
def test_metadata_that_are_not_those_of_the_header_are_refused(small, beside):
    """FILE-10."""
    index, elements = index_of(small)
    own = {key: text for key, text in index["__metadata__"].items() if key.startswith("sparseref")}
    expected = "FILE-10"
    actual = refusal(read, with_index(index | {"__metadata__": own | beside}, elements))

    assert expected == actual


@given(some.sparse_arrays(), st.data())
def test_an_array_that_its_layout_refuses_is_neither_written_nor_read(a, data):  # FILE-12
    """By the clause by which validate does, also from a writer that did not look."""
    harms = [harm for harm in corruptions(a.layout, a.shape) if not harm.startswith(("extra", "missing"))]
    broken = damaged(a, data.draw(st.sampled_from(harms)))
    try:
        sr.validate(broken)
    except sr.SpecError as refused:
        expected = refused.clause
    else:
        expected = None
    assume(expected)
    with patch("sparseref.files.saving.validate"):
        content = bytes_of({"a": broken})

    assert refusal(bytes_of, {"a": broken}) == expected
    assert refusal(read, content) == expected
