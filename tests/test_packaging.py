"""The wheel and the sdist, installed where there is nothing but NumPy and SciPy."""

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def output(*command, **how):
    """A command's stdout; what it says on failure is shown."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **how)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the sdist and of the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    output(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """The interpreter of an empty environment with the wheel in it, and what it depends on."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    output(interpreter, "-m", "pip", "install", "--quiet", next(built.glob("*.whl")))
    return interpreter


def test_the_wheel_brings_the_code_the_spec_and_the_types_marker(built):
    """And no tests; the sdist has all that it takes to build and test."""
    wheel = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        sdist = {name.partition("/")[2] for name in archive.getnames()}

    assert {"sparseref/__init__.py", "sparseref/py.typed", "sparseref_torch/__init__.py",
            "sparseref/_spec/clauses/nmg.toml"} <= wheel
    assert not [name for name in wheel if name.startswith("tests")]
    assert {"pyproject.toml", "Makefile", "README.md", "LICENSE", "spec/clauses/nmg.toml", "tests/conftest.py"} <= sdist


def test_numpy_and_scipy_are_all_it_needs(python):
    """Nothing else is installed."""
    expected = {"numpy", "scipy", "sparseref"}
    listed = output(python, "-m", "pip", "list", "--format=freeze").splitlines()
    actual = {line.partition("==")[0].partition(" @")[0] for line in listed} - {"pip", "setuptools"}

    assert expected == actual


def test_it_works_there(python, tmp_path):
    """Encode nmg, run an operator, and read a clause from the spec that came along."""
    program = """
from importlib.resources import files
import numpy as np, sparseref as sr
w = np.arange(64, dtype=np.float32).reshape(8, 8)
a = sr.sparsify(w, "nmg:2:4:1")
sr.validate(a)
clauses = files("sparseref").joinpath("_spec/clauses/nmg.toml").read_text()
print(a.nnz, sr.linear(np.ones((1, 8), np.float32), a).shape, "NMG-C4" in clauses)
"""
    expected = "32 (1, 8) True\n"
    actual = output(python, "-c", program, cwd=tmp_path)

    assert expected == actual


def test_the_command_says_what_brings_it(python, tmp_path):
    """Without typer and rich, one line that can be pasted."""
    done = subprocess.run([python.parent / "sparseref", "--help"], capture_output=True, text=True, cwd=tmp_path)

    assert done.returncode != 0
    assert "pip install 'sparseref[conformance]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_bfloat16_says_what_brings_it(python, tmp_path):
    """An absent ml_dtypes is an answer, not a crash from deep inside."""
    program = "import sparseref as sr\ntry: sr.parse_layout('csr').bits((2, 2), 'bfloat16', nnz=1)\n" \
              "except sr.MissingDependency as error: print(error.package, error.extra)"
    expected = "ml_dtypes conformance\n"
    actual = output(python, "-c", program, cwd=tmp_path)

    assert expected == actual


def test_import_is_quick(python, tmp_path):
    """Under 0.3 s, the best of five starts, NumPy included: processor time, which a busy machine does not lengthen."""
    program = "import time; start = time.process_time(); import sparseref; print(time.process_time() - start)"
    expected = 0.3
    actual = min(float(output(python, "-c", program, cwd=tmp_path)) for _ in range(5))

    assert actual < expected
