"""A layout, a sparsifier, an operator and a backend from outside, without a line of sparseref changed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref import registry
from sparseref.bounds import error_ratio, expected_forward
from sparseref.conformance import strategies as some

FOLDER = Path(__file__).parent / "third_party"
sys.path.insert(0, str(FOLDER))

from diagonal_block import NEGATE, BlockBackend, DiagonalBlock, DiagonalOnly  # noqa: E402 - found once its folder is named

REGISTRATIONS = [(registry.layouts, DiagonalBlock), (registry.sparsifiers, DiagonalOnly), (registry.operators, NEGATE),
                 (registry.backends, BlockBackend)]


@pytest.fixture(autouse=True, scope="module")
def _registered():
    """Known by name while this file's tests run."""
    for known, thing in REGISTRATIONS:
        known.add(thing)
    yield
    for known, thing in REGISTRATIONS:
        known.remove(thing.name)


@st.composite
def diagonal(draw, **how):
    """A sparse array in the third party's layout, from the shared strategies."""
    return draw(some.sparse_arrays(draw(some.layouts(["diagonal-block"])), **how))


@given(diagonal())
def test_coding_comes_for_free(a):  # CORE-V1, CORE-C1, CORE-B1
    """decode, pattern, bits, validation and canonical form follow from fields, positions and encode."""
    sr.validate(a)
    size = a.layout.size
    expected = np.kron(np.eye(a.shape[0] // size), np.ones((size, size))).astype(bool).reshape(a.shape)
    actual = a.pattern

    assert sr.same_bits(expected, actual)
    assert sr.is_canonical(a)
    assert a.bits == a.layout.bits(a.shape, a.dtype) == a.shape[0] * size * a.dtype.itemsize * 8
    assert sr.same_array(a, sr.sparsify(sr.decode(a), str(a.layout)))


@given(diagonal(dtype=np.dtype(np.float64), channels=("exact",)), some.generators())
def test_operators_and_gradients_come_for_free(a, rng):  # MATMUL-1, MATMUL-3, GRAD-1, TRANSPOSE-1
    """matmul, its gradient in the layout's own slots, transpose, convert."""
    x = rng.integers(-2, 3, (a.shape[1], 3)).astype(float)
    grad = rng.integers(-2, 3, (a.shape[0], 3)).astype(float)
    expected = sr.decode(a) @ x
    actual = sr.matmul(a, x)
    grad_a, grad_x = sr.run("matmul.gradient", grad, a, x)

    assert np.array_equal(expected, actual)
    assert np.array_equal(np.where(a.pattern, grad @ x.T, 0), sr.decode(grad_a))
    assert grad_a.layout == a.layout
    assert np.array_equal(sr.decode(a).T @ grad, grad_x)
    assert sr.transpose(a).layout == a.layout
    assert sr.same_bits(sr.decode(a), sr.decode(sr.convert(a, "csr")))


@given(some.float_dtypes().flatmap(lambda dtype: diagonal(dtype=dtype)))
def test_an_operator_from_outside(a):  # OPS-1, OPS-4, GRAD-1
    """Meaning, gradient and result layout; its operands may be in any layout."""
    expected = np.where(a.pattern, -sr.decode(a), np.zeros((), a.dtype))
    actual = sr.run("negate", a)
    gradient, = sr.run("negate.gradient", np.ones(a.shape, a.dtype), a)

    assert sr.same_bits(expected, sr.decode(actual))
    assert actual.layout == a.layout
    assert sr.same_bits(np.full(a.values.shape, -1, a.dtype), gradient.values)


@given(diagonal(dtype=np.dtype(np.float32), channels=("normal",)), some.generators())
def test_a_backend_from_outside(a, rng):  # DSP-1, BOUND-1
    """It runs where it says it does, by name, within the bound of the accumulator it declares."""
    x = rng.normal(size=(a.shape[1], 2)).astype(np.float32)
    backend = sr.get_backend("blocks")
    expected, _ = expected_forward(registry.get_operator("matmul"), (a, x), {}, backend.accumulator("float32"))
    actual = sr.matmul(a, x, backend="blocks")

    assert (error_ratio(actual, expected) <= 1).all()
    assert sr.explain("matmul", a, x, backend="blocks").kind == "exact"
    assert refusal(sr.linear, x.T, sr.transpose(a), backend="blocks") == "DSP-4"


@given(st.sampled_from([(2, 4), (3, 3), (4,)]))
def test_its_own_clauses_refuse(shape):  # ERR-1
    """An error from outside is made as ours are."""
    expected = "DIAGB-1"
    actual = refusal(sr.sparsify, np.ones(shape), "diagonal-block:2") if len(shape) == 2 else refusal(
        DiagonalBlock(2).check, shape)

    assert expected == actual
    assert refusal(sr.encode, np.ones((2, 2)), DiagonalBlock(2), np.eye(2, dtype=bool)) == "DIAGB-2"


ENTRY_POINTS = "\n".join(f"[sparseref.{group}]\n{name} = diagonal_block:{thing}" for group, name, thing in [
    ("layouts", "diagonal-block", "DiagonalBlock"), ("sparsifiers", "diagonal-only", "DiagonalOnly"),
    ("operators", "negate", "NEGATE"), ("backends", "blocks", "BlockBackend")])

USE = """
import numpy as np, sparseref as sr
assert "diagonal-block" in sr.registry.layouts.names()
a = sr.sparsify(np.arange(16, dtype=np.float32).reshape(4, 4), "diagonal-block:2")
print(sr.matmul(a, np.ones((4, 1), np.float32), backend="blocks").ravel().tolist(), sr.run("negate", a).nnz)
"""


def test_installed_packages_are_found_by_their_entry_points(tmp_path, monkeypatch):
    """REG-2: a dist-info folder on the path, as pip makes it, is all it takes."""
    info = tmp_path / "diagonal_block-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: diagonal-block\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "diagonal_block.py").write_text((FOLDER / "diagonal_block.py").read_text())
    expected = "[1.0, 9.0, 21.0, 29.0] 8\n"
    actual = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{USE}"],
                            capture_output=True, text=True, check=True).stdout
    monkeypatch.syspath_prepend(tmp_path)
    fresh = registry.Registry("layouts", "REG-2")

    assert expected == actual
    assert fresh.names() == ["diagonal-block"]
    assert fresh.get("diagonal-block").name == "diagonal-block"
