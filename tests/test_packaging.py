"""The wheel and the sdist, installed where there is nothing but NumPy and SciPy."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from sparseref_c import compiling

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
WITHOUT_COMPILER = {**os.environ, "CC": "no-such-compiler"}
try:
    compiling.find_compiler()
    compiler = True
except compiling.NotBuilt:
    compiler = False
needs_compiler = pytest.mark.skipif(not compiler, reason="there is no C compiler")


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


def libraries(wheel):
    return [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


@needs_compiler
def test_the_wheel_brings_the_c_library(built):
    """For this platform and any Python 3, named by its sources."""
    wheel = next(built.glob("*.whl"))
    expected = [f"sparseref_c/{compiling.bundled_name()}"]
    actual = libraries(wheel)

    assert expected == actual
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")


@pytest.mark.parametrize("told", [{"CC": "no-such-compiler"}, {"SPARSEREF_C_BUILD": "0"}])
def test_a_wheel_without_it_is_pure_and_says_why(told, tmp_path):
    done = subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT], env={**os.environ, **told},
                          capture_output=True, text=True, check=True)
    wheel = next(tmp_path.glob("*.whl"))
    says = [line for line in (done.stdout + done.stderr).splitlines() if "compiles it at first use" in line]

    assert wheel.name.endswith("-py3-none-any.whl")
    assert libraries(wheel) == []
    assert len(says) == 1
    assert next(iter(told.values())) in says[0] or "SPARSEREF_C_BUILD" in says[0]


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


PRODUCT = """
import numpy as np, sparseref as sr, sparseref_c
from sparseref_c.backend import not_built
w, x = (np.arange(size, dtype=np.float32).reshape(-1, 8) % 5 for size in (64, 24))
a = sr.sparsify(w, "nmg:2:4:1")
print(sparseref_c.__file__)
print(not_built() or np.array_equal(sr.linear(x, a, backend="c", strict=True), x @ sr.decode(a).T))
"""


@needs_compiler
def test_it_multiplies_in_c_without_a_compiler(python, tmp_path):
    """Nothing is compiled, and nothing written."""
    expected = "True"
    actual = output(python, "-c", PRODUCT, cwd=tmp_path, env={**WITHOUT_COMPILER, "XDG_CACHE_HOME": tmp_path})

    assert expected == actual.splitlines()[1]
    assert list(tmp_path.iterdir()) == []


@needs_compiler
def test_a_library_of_other_sources_is_not_used(built, python, tmp_path):
    """One line of C is changed after the wheel was made; the backend is not there, and says why."""
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(tmp_path)
    source = tmp_path / "sparseref_c" / "src" / "product.c"
    source.write_text(source.read_text() + "/* another */\n")
    where, reason = output(python, "-c", PRODUCT, cwd=tmp_path, env={**WITHOUT_COMPILER, "PYTHONPATH": tmp_path}).splitlines()

    assert where == str(tmp_path / "sparseref_c" / "__init__.py")
    assert "no-such-compiler" in reason


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
