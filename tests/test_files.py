"""Files: what was saved comes back bit for bit, and what was there stays until the new file is whole."""

import math
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pytest
import safetensors.numpy
from checking import refusal
from filing import FILES, NAMES, PATH, STRINGS, bits_of, bytes_of, content_of, index_of, read
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors import safe_open

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.conformance.forms import FORMS, guarded
from sparseref.files import View, load_file, read_file, read_header, save_file
from sparseref.files.container import pieces

W = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
CSR = sr.sparsify(W, "csr")


@given(FILES, STRINGS)
def test_what_is_read_is_what_was_saved(arrays, metadata):  # FILE-7, FILE-10, FILE-11
    """Every layout in any valid form and every dtype, 0-d and empty: every bit, and the user's strings."""
    expected = content_of(arrays), metadata
    header, found = read(bytes_of(arrays, metadata), read_file)
    actual = content_of(found), header.metadata

    assert expected == actual


@given(FILES, STRINGS)
def test_the_package_reads_each_inner_array_under_its_name(arrays, metadata):  # FILE-1, FILE-2
    """And the metadata: the user's, the header, and the digest of its text."""
    expected = {name: bits_of(array) for name, array in arrays.items() if isinstance(array, np.ndarray)}
    expected |= {f"{name}.{field}": bits_of(part) for name, array in arrays.items() if isinstance(array, sr.SparseArray)
                 for field, part in array.arrays.items()}
    with safe_open(save_file(arrays, PATH, metadata), "np") as file:
        actual = {name: bits_of(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - it is no dict
        found = file.metadata()

    assert expected == actual
    assert metadata.items() <= found.items()
    assert found.keys() - metadata.keys() == {"sparseref", "sparseref.sha256"}


@given(FILES, STRINGS)
def test_what_the_package_writes_anew_is_read(arrays, metadata):  # FILE-1, FILE-4
    """Another writer may order tensors, metadata and spaces as it likes."""
    with safe_open(save_file(arrays, PATH, metadata), "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        content = safetensors.numpy.save(tensors, file.metadata())
    expected = content_of(arrays)
    actual = content_of(read(content))

    assert expected == actual


@given(FILES, STRINGS)
def test_the_size_is_that_of_the_card(arrays, metadata):
    """Bits of the arrays as the format card has them, and the index; nothing between them (FILE-7, CORE-B1)."""
    content = bytes_of(arrays, metadata)
    bits = sum(array.bits if isinstance(array, sr.SparseArray) else 8 * array.nbytes for array in arrays.values())
    expected = 8 + int.from_bytes(content[:8], "little") + bits // 8
    actual = len(content)

    assert expected == actual


def test_the_header_of_a_layer_is_small():
    """768 x 768 in nm:2:8: what is not the arrays is below 0.1 %."""
    a = sr.sparsify(np.random.default_rng(0).standard_normal((768, 768)).astype(np.float32), "nm:2:8")
    expected = a.bits // 8
    actual = len(bytes_of({"weight": a}))

    assert expected < actual < 1.001 * expected


@given(FILES, st.permutations(range(4)))
def test_equal_arguments_give_equal_files(arrays, order):
    """Whatever the machine, the day and the order of the metadata."""
    keys = [f"key{number}" for number in order]
    expected = bytes_of(arrays, dict.fromkeys(sorted(keys), "x"))
    actual = bytes_of(arrays, dict.fromkeys(keys, "x"))

    assert index_of(expected)[1] == index_of(actual)[1]
    assert index_of(expected)[0].keys() == index_of(actual)[0].keys()
    assert bytes_of(arrays, {"a": "b"}) == bytes_of(arrays, {"a": "b"})


@given(some.sparse_arrays(), st.sampled_from(FORMS))
def test_memory_forms_do_not_matter(a, form):  # FILE-7
    """Strides, negative ones, read-only memory: the same file; and the operands stay as they were."""
    held = guarded(a, form)
    expected = bytes_of({"a": a})
    actual = bytes_of({"a": held.operand})

    assert expected == actual
    assert held.intact()


@given(some.arrays(dtype=np.dtype(np.float32)))
def test_the_byte_order_in_memory_does_not_matter(array):  # FILE-7
    """A file from a big-endian machine is the same file."""
    expected = bytes_of({"a": array, "b": sr.encode(array, "dense", np.ones(array.shape, bool))})
    other = array.astype(">f4")
    swapped = sr.SparseArray(sr.Dense(), array.shape, other.dtype, {"values": other})
    actual = bytes_of({"a": other, "b": swapped})

    assert expected == actual


@given(FILES, STRINGS)
def test_the_header_alone_says_what_there_is(arrays, metadata):  # FILE-4
    """No element is read for it: those of the file may be anything."""
    content = bytes_of(arrays, metadata)
    elements = index_of(content)[1]
    header = read(content[:len(content) - len(elements)] + bytes(len(elements)), read_header)
    expected = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    actual = {name: (entry.shape, entry.dtype) for name, entry in header.arrays.items()}

    assert expected == actual
    assert [str(array.layout) for array in arrays.values() if isinstance(array, sr.SparseArray)] == [
        str(entry.layout) for entry in header.arrays.values() if entry.layout is not None]


@given(FILES, st.data())
def test_tied_names_are_stored_once_and_read_as_one(arrays, data):  # FILE-9
    """The file grows by the names alone, and the array under both names is one object."""
    assume(arrays)
    name = data.draw(st.sampled_from(sorted(arrays)))
    tied = {**arrays, "tie.of.it": arrays[name], "another": arrays[name]}
    found = read(bytes_of(tied))

    assert content_of(found) == content_of(tied)
    assert found[name] is found["tie.of.it"] is found["another"]
    assert len(index_of(bytes_of(tied))[1]) == len(index_of(bytes_of(arrays))[1])


@given(some.sparse_arrays(), st.booleans(), st.data())
def test_a_view_comes_back_and_fits(a, transposed, data):  # FILE-8
    """Any shape of as many entries, transposed if it is a matrix; any other is refused."""
    shape = data.draw(st.sampled_from([a.shape, (1, *a.shape), (math.prod(a.shape), 1), (math.prod(a.shape) + 1,)]))
    fits = math.prod(shape) == math.prod(a.shape) and not (transposed and a.ndim != 2)
    view = View(shape, transposed)
    if not fits:
        assert refusal(bytes_of, {"a": a}, None, {"a": view}) == "FILE-8"
        return
    expected = view
    actual = read(bytes_of({"a": a}, None, {"a": view}), read_header).arrays["a"].view

    assert expected == actual


# ---- What is no file


@given(NAMES, some.layouts(), st.data())
def test_names_that_collide_are_refused(name, layout, data):  # FILE-6
    """A plain array, a sparse one's field and a tie, in any order."""
    a = data.draw(some.sparse_arrays(layout))
    field = f"{name}.{data.draw(st.sampled_from(sorted(a.arrays)))}"
    files = [{name: a, field: W}, {field: W, name: a}, {"w": W, name: a, field: W.copy()}]
    tied = data.draw(st.sampled_from([*files, {"other": W, name: a, field: W}] if name != "other" else files))
    expected = "FILE-6"
    actual = refusal(bytes_of, tied)

    assert expected == actual


@pytest.mark.parametrize("name", ["__metadata__", "half \ud800", 3, None, b"w"])
def test_what_is_no_name_is_refused(name):
    """FILE-6."""
    expected = "FILE-6"
    actual = refusal(bytes_of, {name: W})

    assert expected == actual


@pytest.mark.parametrize(("expected", "array"), [
    ("FILE-7", W.astype(complex)), ("FILE-7", W.astype(object)), ("FILE-7", W.astype(str)), ("FILE-7", W.astype("M8[s]")),
    ("FILE-7", W.tolist()), ("FILE-7", np.float32(3)), ("FILE-7", None), ("FILE-7", W.astype(np.longdouble)),
    ("FILE-7", np.zeros(2, "f4,i4"))], ids=lambda value: str(getattr(value, "dtype", value)))
def test_what_no_file_can_hold_is_refused(expected, array):
    """Nothing is pickled, nothing converted."""
    actual = refusal(bytes_of, {"w": array})

    assert expected == actual


@pytest.mark.parametrize(("expected", "arguments"), [
    ("FILE-6", (CSR,)), ("FILE-6", ([W],)), ("FILE-8", ({"w": W}, None, {"w": View((16,))})),
    ("FILE-8", ({"w": CSR}, None, {"v": View((16,))})), ("FILE-8", ({"w": CSR}, None, {"w": (16,)})),
    ("FILE-8", ({"w": CSR, "tie": CSR}, None, {"tie": View((16,))})),
    ("FILE-10", ({"w": W}, {"a": 1})), ("FILE-10", ({"w": W}, {1: "a"})), ("FILE-10", ({"w": W}, {"sparseref": "x"})),
    ("FILE-10", ({"w": W}, {"sparseref.sha256": "x"})), ("FILE-10", ({"w": W}, [("a", "b")])),
    ("FILE-10", ({"w": W}, {"a": "half \ud800"}))])
def test_arguments_of_another_form_are_refused(expected, arguments):
    """With the clause, before anything is written."""
    actual = refusal(bytes_of, *arguments)

    assert expected == actual


# ---- What was there stays


@given(FILES, FILES, st.integers(0, 6), st.sampled_from([OSError("no space left on device"), KeyboardInterrupt()]))
def test_a_write_that_fails_leaves_the_old_file(old, new, after, problem):  # FILE-13
    """After any piece: the old bytes, and no other file beside them."""
    def failing(*arguments):
        for number, piece in enumerate(pieces(*arguments)):
            if number == after:
                raise problem
            yield piece
        raise problem

    expected = bytes_of(old), [PATH]
    with patch("sparseref.files.saving.pieces", failing), pytest.raises(type(problem)):
        save_file(new, PATH)
    actual = PATH.read_bytes(), list(PATH.parent.iterdir())

    assert expected == actual


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are of Unix")
@pytest.mark.parametrize("ends", ["a full disk", "a kill"])
def test_the_old_file_survives(ends, tmp_path):
    """A disk that takes 100 kB of 1 MB, and a process that is killed while it writes: in a process of their own."""
    path = save_file({"w": CSR}, tmp_path / "file")
    expected = path.read_bytes()
    answer = {"a full disk": "SIG_IGN", "a kill": "SIG_DFL"}[ends]      # to the signal of a file that grows too large
    program = f"import resource as r, signal as s, numpy, sparseref.files as files; s.signal(s.SIGXFSZ, s.{answer}); " \
              f"r.setrlimit(r.RLIMIT_FSIZE, (100_000, 100_000)); " \
              f"files.save_file({{'w': numpy.zeros(250_000, 'f4')}}, {str(path)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    actual = path.read_bytes()

    assert done.returncode != 0
    assert expected == actual
    assert ("File too large" in done.stderr) == (ends == "a full disk")


def test_a_file_that_is_not_there_is_not_there(tmp_path):
    """As `open` says it."""
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "none")


def test_files_are_a_part_of_the_package_that_is_imported_late():
    """`sr.files` works; other names that are missing still are."""
    assert sr.__getattr__("files").save_file is save_file       # which `sr.files` asks for the first time
    assert sr.files is sys.modules["sparseref.files"]
    assert not hasattr(sr, "filez")
