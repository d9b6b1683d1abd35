"""The C library that a wheel brings: taken without a compiler, if it was made of the sources beside it and can be loaded."""

import shutil
import sys

import pytest
from sparseref_c import compiling, library
from sparseref_c.compiling import NotBuilt

try:
    MADE = compiling.library_file()
except NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Where a wheel's files lie, without a library so far."""
    monkeypatch.setattr(compiling, "HERE", tmp_path)
    return tmp_path


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    compiling.find_compiler.cache_clear()
    yield
    compiling.find_compiler.cache_clear()


def test_it_is_taken_without_a_compiler(installed, no_compiler):
    expected = shutil.copy(MADE, installed / compiling.bundled_name())
    actual = compiling.library_file()

    assert expected == actual
    assert library.instruction_sets(library.load(actual))


def test_other_sources_make_it_another_library(installed, no_compiler, monkeypatch):
    shutil.copy(MADE, installed / compiling.bundled_name())
    sources = shutil.copytree(compiling.SOURCES, installed / "src")
    (sources / "product.c").write_text("int changed;\n")
    monkeypatch.setattr(compiling, "SOURCES", sources)

    assert compiling.bundled_file() is None
    with pytest.raises(NotBuilt, match="no-such-compiler"):
        compiling.library_file()


def test_one_that_cannot_be_loaded_is_built_instead(installed, monkeypatch):
    """As where the wheel was made for another libc."""
    (installed / compiling.bundled_name()).write_bytes(b"of another machine")
    monkeypatch.setattr(library, "built_file", lambda: MADE)

    assert library.instruction_sets(library.load.__wrapped__())


def test_one_that_cannot_be_loaded_and_no_compiler(installed, no_compiler):
    """Both reasons are told."""
    (installed / compiling.bundled_name()).write_bytes(b"of another machine")

    with pytest.raises(NotBuilt, match=r"(?s)came with the wheel.*no-such-compiler"):
        library.load.__wrapped__()


def test_a_cache_needs_platformdirs(monkeypatch):
    monkeypatch.setitem(sys.modules, "platformdirs", None)

    with pytest.raises(NotBuilt, match=r"pip install 'sparseref\[c\]'"):
        compiling.built_file()
