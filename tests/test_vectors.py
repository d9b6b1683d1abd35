"""The frozen vectors: they are what the reference gives and what tests/authoring writes down, and damage is seen."""

import json
import shutil

import numpy as np
import pytest
from authoring.files import differences, freeze_new

import sparseref as sr
from sparseref.conformance.vectors import SUMS, check, hash_of, load, main, same, vectors_folder
from sparseref.dtypes import DTYPES


@pytest.fixture
def copy(tmp_path):
    """A folder of two of the frozen files that a test may damage."""
    for name in ("coo.json", "csr.json"):
        shutil.copy(vectors_folder() / name, tmp_path)
    hash_anew(tmp_path)
    return tmp_path


def hash_anew(place):
    (place / SUMS).write_text("".join(f"{hash_of(path)}  {path.name}\n" for path in sorted(place.glob("*.json"))))


def change(path, name, expect):
    """Give the vector of that name another expectation."""
    content = json.loads(path.read_text())
    vector = next(vector for vector in content["vectors"] if vector["id"] == name)
    vector |= {"expect": expect, "kind": "negative" if isinstance(expect, dict) and "error" in expect else "positive"}
    path.write_text(json.dumps(content))


def test_the_reference_gives_every_frozen_expectation(capsys):
    """And every file has its frozen hash; the program says so, and how many there are."""
    expected = 0
    actual = main()

    assert expected == actual
    assert f"{len(load())} vectors" in capsys.readouterr().out


def test_the_files_are_those_that_are_written_down():
    """Byte for byte, so that a vector can be traced to the line that says how it was derived."""
    expected = []
    actual = differences(vectors_folder())

    assert expected == actual


def test_a_changed_expectation_is_seen(copy):
    """One bit of one result: the hash differs, and the vector does."""
    change(copy / "csr.json", "csr-unsorted-duplicates",
           {"dtype": "float32", "shape": [1, 3], "data": ["0x1.400002p+2", "0x0p+0", "0x1.8p+2"]})
    expected = ["csr.json:", "csr-unsorted-duplicates"]
    actual = [difference.split()[0] for difference in check(copy)]

    assert expected == actual


@pytest.mark.parametrize(("name", "expect"), [
    ("csr-1d", {"error": "CSR-C2"}), ("csr-valid-empty-rows", {"error": "CSR-C3"}), ("csr-not-canonical", True)])
def test_a_wrong_expectation_is_seen(copy, name, expect):
    """Another clause, a refusal for a result, the opposite: each is found even where the hash was made anew."""
    change(copy / "csr.json", name, expect)
    hash_anew(copy)
    expected = [name]
    actual = [difference.split()[0] for difference in check(copy)]

    assert expected == actual


@pytest.mark.parametrize("damage", ["changed", "removed", "added"])
def test_a_file_without_its_hash_is_seen(copy, damage):
    """Also where what it holds is right."""
    path = copy / ("csr.json" if damage != "added" else "more.json")
    if damage == "removed":
        path.unlink()
    else:
        path.write_text((copy / "csr.json").read_text() + "\n")
    expected = [path.name]
    actual = [difference.partition(":")[0] for difference in check(copy)]

    assert expected == actual


def test_freezing_leaves_what_exists_as_it_is(copy):
    """A file that differs stays, and its hash too; those that are missing are written."""
    (copy / "csr.json").write_text("{}")
    (copy / "coo.json").unlink()
    frozen = {path.name for path in vectors_folder().glob("*.json")}
    expected = sorted(frozen - {"csr.json"})
    actual = freeze_new(copy)

    assert expected == actual
    assert (copy / "csr.json").read_text() == "{}"
    assert [difference.partition(":")[0] for difference in differences(copy)] == ["csr.json"]
    assert (copy / SUMS).read_text() == (vectors_folder() / SUMS).read_text()


def test_names_are_unique():
    """A vector is spoken of by its id."""
    names = [vector.id for vector in load()]
    expected = sorted(set(names))
    actual = sorted(names)

    assert expected == actual


def test_a_share_is_derived_by_hand():
    """At least a fifth of the results, and for every layout an encoding and a decoding; each says how."""
    positive = [vector for vector in load() if vector.kind == "positive"]
    by_hand = [vector for vector in positive if vector.by_hand]
    expected = {(operation, layout) for operation in ("encode", "decode") for layout in sr.registry.layouts.names()}
    actual = {(vector.call.operation, layout_of(vector)) for vector in by_hand if vector.call.operation in ("encode", "decode")}

    assert expected <= actual
    assert len(by_hand) >= 0.2 * len(positive)
    assert all(vector.note for vector in by_hand)


def layout_of(vector):
    """The layout's name of an encode or decode."""
    return (vector.expect if vector.call.operation == "encode" else vector.call.operands[0]).layout.name


def test_every_dtype_occurs():
    """All six value dtypes."""
    text = json.dumps([path.read_text() for path in sorted(vectors_folder().glob("*.json"))])
    expected = []
    actual = [dtype for dtype in DTYPES if dtype not in text]

    assert expected == actual


@pytest.mark.parametrize(("left", "right", "zero_signs", "expected"), [
    (np.float32([0.0]), np.float32([-0.0]), True, False), (np.float32([0.0]), np.float32([-0.0]), False, True),
    (np.float32([1]), np.float64([1]), False, False), ((1, 2), (1, 2, 3), True, False), (1, True, True, False),
    (0.5, 0.5, True, True), (np.float32([1]), None, True, False), (("a", 1), ("a", 1), True, True)])
def test_results_are_compared_bit_for_bit(left, right, zero_signs, expected):
    """Dtypes, lengths and types count; signs of zeros do unless the operator sums."""
    actual = same(left, right, zero_signs)

    assert expected is actual
