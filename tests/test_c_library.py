"""The C library: built once, proven before use, the same bits from any number of threads, and no crash for what is odd."""

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparseref_c import compiling, library, proving
from sparseref_c.backend import CBackend
from sparseref_c.compiling import NotBuilt
from sparseref_c.multiplying import activated, multiply
from sparseref_c.preparing import prepare
from sparseref_c.segments import ENOUGH_TOKENS

import sparseref as sr
from sparseref.bounds import error_ratio, expected_forward
from sparseref.dtypes import value_dtype
from sparseref.registry import get_operator

FORMATS = ("nmg:1:4:4", "nmg:2:8:2", "nmg:3:6:1", "nmg:5:7:1", "nmg:2:4:8,tail=short", "nmg:4:4:3", "csr:0.7",
           "nm:2:4", "coo:0.9")
try:
    SETS = library.instruction_sets(library.load())
except NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)


def drawn(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("name", SETS)
def test_every_instruction_set_of_this_machine_proves_itself(name):
    assert proving.failure(library.Library(library.load(), name, SETS[name])) is None


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("tokens", [1, 8, 33, 130])
def test_threads_do_not_change_a_bit(form, tokens):
    """Nor does the number of tokens beside a token, but for one token and what has another order for many; not the sign of a
    zero either, of which filling could make another."""
    weight = prepare(sr.sparsify(drawn((300, 150)), form))
    negative = prepare(sr.sparsify(-1 - np.abs(drawn((300, 150))), form))
    x, bias, zeros = drawn((tokens, 150), seed=1), drawn(300, seed=2), np.full((tokens, 300), -0.0, np.float32)

    for w, xs, first, added in [(weight, x, bias, None), (negative, np.abs(0 * x), zeros[0], zeros)]:
        expected = multiply(w, xs, first, added=added, at_most=1)
        for count in (2, 3, 7):
            assert expected.tobytes() == multiply(w, xs, first, added=added, at_most=count).tobytes()
        few = min(tokens, 2) if w.runs_for(tokens) is w.runs else ENOUGH_TOKENS
        alone = multiply(w, xs[:few], first, added=None if added is None else added[:few])
        assert expected[:few].tobytes() == alone.tobytes()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("tokens", [1, 9])
def test_abreast_or_not_is_the_same_weight(form, tokens):
    """Whole numbers, so that every order of summing is exact; without fours each value stands once."""
    a = sr.sparsify(np.random.default_rng(0).integers(1, 9, (300, 150)).astype(np.float32), form)
    x = np.random.default_rng(1).integers(-4, 5, (tokens, 150)).astype(np.float32)
    alone = prepare(a, abreast=False)
    values = alone.arrays[-1]

    assert np.array_equal(multiply(prepare(a), x), multiply(alone, x))
    assert np.array_equal(np.sort(a.values[a.layout.positions(a) >= 0]), np.sort(values[values != 0]))   # 0: no row


def test_many_python_threads_at_once():
    weight, x = prepare(sr.sparsify(drawn((260, 90)), "nmg:2:4:4")), drawn((70, 90), seed=1)
    expected, wrong = multiply(weight, x), []

    def work():
        wrong.extend(i for i in range(50) if not np.array_equal(expected, multiply(weight, x, at_most=2)))

    running = [threading.Thread(target=work) for _ in range(6)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    assert wrong == []


@given(st.sampled_from(FORMATS), st.integers(1, 20), st.integers(1, 40), st.integers(1, 30), st.booleans(), st.booleans())
def test_any_shape_and_strides(form, rows, columns, tokens, x_turned, y_turned):
    """Integers, so that every sum is exact; what lies around the result is not touched."""
    rng = np.random.default_rng(rows * 1000 + columns)
    dense = rng.integers(-4, 5, (rows, columns)).astype(np.float32)
    a = sr.sparsify(dense, form)
    x = rng.integers(-4, 5, (columns, 2 * tokens) if x_turned else (2 * tokens, columns)).astype(np.float32)
    x = x.T[::2] if x_turned else x[::2]
    space = np.full((rows + 2, tokens + 2) if y_turned else (tokens + 2, rows + 2), np.nan, np.float32)
    y = space[1:-1, 1:-1]
    multiply(prepare(a), x, out=y.T if y_turned else y)

    assert np.array_equal(x @ sr.decode(a).T, y.T if y_turned else y)
    assert np.isnan(space).sum() == space.size - y.size


@pytest.mark.parametrize("form", FORMATS)
def test_relu_bias_and_what_is_added(form):
    """activation(x W^T + bias) + added, in this order; a NaN stays one."""
    rng = np.random.default_rng(3)
    dense, x = (rng.integers(-4, 5, shape).astype(np.float64) for shape in ((21, 30), (9, 30)))
    bias, added = (rng.integers(-9, 9, shape).astype(np.float64) for shape in (21, (9, 21)))
    a = sr.sparsify(dense, form)
    bias[4] = np.nan
    expected = np.maximum(x @ sr.decode(a).T + bias, 0) + added

    np.testing.assert_array_equal(expected, multiply(prepare(a), x, bias, "relu", added))


def test_padding_is_never_read():
    """Poisoned with NaN, in both tails of nmg (NMG-C8)."""
    a = sr.sparsify(drawn((21, 45)), "nmg:2:8:2")
    poisoned = a.values.copy()
    poisoned.reshape(-1)[a.layout.positions(a).reshape(-1) < 0] = np.nan
    x = drawn((5, 45), seed=1)

    assert np.isnan(poisoned).any()
    assert np.array_equal(multiply(prepare(a), x), multiply(prepare(a.with_values(poisoned)), x))


def test_arrays_that_only_seem_writable_are_read():
    """np.broadcast_arrays says so of what it gives, and warns where it is asked."""
    a = sr.sparsify(drawn((8, 24)), "nmg:1:4:2")
    x, added = np.broadcast_arrays(drawn(24), drawn((1, 24)))[0], np.broadcast_arrays(drawn(8), drawn((1, 8)))[0]

    assert np.array_equal(multiply(prepare(a), x.copy(), added=added.copy()), multiply(prepare(a), x, added=added))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_one_token_is_looked_up_whatever_the_values_are_stored_in(dtype):
    """Each becomes float32 when it is prepared."""
    a = sr.sparsify(np.random.default_rng(0).integers(-8, 9, (40, 64)).astype(np.float32), "nmg:1:4:8")
    stored = a.with_values(a.values.astype(value_dtype(dtype)))

    assert np.array_equal(prepare(a).arrays[1], prepare(stored).arrays[1])


def test_a_structural_zero_meets_nothing():
    """Infinity times an entry that is not stored is no NaN (CORE-P2)."""
    a = sr.sparsify(drawn((16, 24)), "nmg:1:4:2")
    x = drawn((3, 24), seed=1)
    x[:, 5] = np.inf
    expected = sr.linear(x, a)

    assert np.array_equal(np.isnan(expected), np.isnan(multiply(prepare(a), x)))
    assert np.isfinite(expected).any()


@pytest.mark.parametrize(("name", "told"), [("SPARSEREF_C_ISA", "mmx"), ("SPARSEREF_NUM_THREADS", "two"),
                                            ("SPARSEREF_NUM_THREADS", "0"), ("SPARSEREF_NUM_THREADS", "4294967297"),
                                            ("OMP_NUM_THREADS", "-1")])
def test_what_the_environment_says_is_checked(monkeypatch, name, told):         # CLIB-1, CLIB-2
    monkeypatch.setenv(name, told)
    clause = "CLIB-1" if name == "SPARSEREF_C_ISA" else "CLIB-2"
    with pytest.raises(sr.SpecError, match=clause) as refused:
        multiply(prepare(sr.sparsify(drawn((8, 8)), "nmg:2:4:1")), drawn((2, 8)))

    assert told in str(refused.value)


@pytest.mark.parametrize("name", SETS)
def test_an_instruction_set_can_be_forced(name):
    program = "from sparseref_c.library import library; print(library().name)"
    environment = {**os.environ, "SPARSEREF_C_ISA": name}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)

    assert (told.stdout.strip(), told.stderr) == (name, "")


def test_a_set_that_computes_wrongly_is_not_used(monkeypatch):
    """It is warned of by name, and the next best is taken."""
    monkeypatch.setattr(proving, "failure", lambda using: "nothing" if using.name == list(SETS)[-1] else None)
    proving.proven.cache_clear()
    with pytest.warns(RuntimeWarning, match=list(SETS)[-1]):
        assert proving.proven(tuple(reversed(SETS))) == list(SETS)[-2]
    proving.proven.cache_clear()


def test_a_library_that_is_there_is_not_built_again(tmp_path, monkeypatch):
    made = compiling.built_file(tmp_path)
    monkeypatch.setattr(compiling, "compile_library", lambda *given: pytest.fail("compiled again"))

    assert made == compiling.built_file(tmp_path)
    assert [made] == list(tmp_path.iterdir())
    assert ctypes.CDLL(str(made)).sparseref_sets() == len(compiling.SETS[compiling.platform.machine()])


def test_without_a_compiler_the_backend_says_so(monkeypatch):
    """Its cells are declined with the reason, and nothing breaks."""
    cell = sr.Cell("linear", ("array", "nmg"), "float32")
    monkeypatch.setenv("CC", "no-such-compiler")
    compiling.find_compiler.cache_clear()
    monkeypatch.setattr("sparseref_c.backend.library", compiling.find_compiler)
    declines = CBackend.declines.__globals__["not_built"]
    declines.cache_clear()
    reason = CBackend().declines(cell)
    declines.cache_clear()
    compiling.find_compiler.cache_clear()

    assert "no-such-compiler" in reason
    assert "install gcc or clang" in reason


def test_a_compiler_that_fails_is_quoted(monkeypatch, tmp_path):
    broken = tmp_path / "src"
    broken.mkdir()
    for source in compiling.SOURCES.iterdir():
        (broken / source.name).write_text("this is no C")
    monkeypatch.setattr(compiling, "SOURCES", broken)

    with pytest.raises(NotBuilt, match=r"unknown type name|expected"):
        compiling.built_file(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotBuilt, match="cannot write"):
        compiling.built_file(tmp_path / "file" / "c")


def test_warnings_are_errors_for_these_sources(tmp_path):
    """-Wall -Wextra -Werror."""
    compiler = compiling.find_compiler()

    assert compiling.compile_library(compiler, tmp_path, ("-Werror", "-O1")).is_file()
    assert Path(tmp_path / "libsparseref.so").stat().st_size > 0


@pytest.mark.parametrize(("clause", "given"), [
    ("LINEAR-2", {"x": drawn((3, 23))}), ("LINEAR-2", {"x": drawn((24,))}), ("LINEAR-2", {"bias": drawn(15)}),
    ("LINEAR-2", {"added": drawn((3, 15))}), ("LINEAR-2", {"out": drawn((2, 16))}),
    ("CORE-D2", {"x": drawn((3, 24), np.float64)}),
    ("CORE-D2", {"bias": drawn(16, np.float64)}), ("CLIB-3", {"out": np.broadcast_to(drawn(16), (3, 16))}),
    ("CLIB-3", {"out": np.zeros((3, 16), [("a", "f4"), ("b", "i2")])["a"]}),
    ("CLIB-3", {"out": np.lib.stride_tricks.as_strided(np.zeros(18, np.float32), (3, 16), (4, 4))}),
    ("CLIB-3", {"out": np.lib.stride_tricks.as_strided(np.zeros(16, np.float32), (3, 16), (0, 4))}),
    ("bytes in reverse", {"x": drawn((3, 24), ">f4")}), ("CLIB-2", {"at_most": 0}), ("CLIB-2", {"at_most": 2**32 + 1}),
    ("CLIB-2", {"at_most": 1.0})])
def test_what_does_not_fit_is_refused_before_c_sees_it(clause, given):                      # CLIB-3
    weight = prepare(sr.sparsify(drawn((16, 24)), "nmg:2:4:2"))
    with pytest.raises(sr.SpecError, match=clause):
        multiply(weight, **{"x": drawn((3, 24)), **given})


@pytest.mark.parametrize("given", [{"x": [[1.0] * 24]}, {"activation": "tanh"}, {"bias": 1.0}])
def test_what_is_no_array_or_no_activation_is_named(given):
    with pytest.raises((TypeError, ValueError), match=r"list|tanh|float"):
        multiply(prepare(sr.sparsify(drawn((16, 24)), "nmg:2:4:2")), **{"x": drawn((3, 24)), **given})


def test_a_weight_has_to_be_prepared():
    with pytest.raises(TypeError, match="prepare"):
        multiply(sr.sparsify(drawn((16, 24)), "nmg:2:4:2"), drawn((3, 24)))


@pytest.mark.parametrize("values", [np.arange(3), np.ones(3, np.float16), [1, 2]])
def test_activations_of_what_c_does_not_compute_are_refused(values):
    """The bytes of whole numbers are numbers of another kind."""
    with pytest.raises(TypeError, match="float32"):
        activated(values, "relu")


@pytest.mark.parametrize("tokens", [1, 3, 40])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("which", ["x", "added", "shifted"])
def test_a_result_may_be_written_over_what_it_is_made_of(tokens, threads, which):
    weight, space = prepare(sr.sparsify(drawn((512, 512)), "nmg:1:10:4")), drawn((tokens + 1, 512), seed=1)
    out, x = space[:-1], {"x": space[:-1], "shifted": space[1:], "added": drawn((tokens, 512))}[which]
    added = out if which == "added" else None
    expected = multiply(weight, x, added=added)

    assert multiply(weight, x, added=added, out=out, at_most=threads) is out
    assert expected.tobytes() == out.tobytes()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_that_is_forked_while_another_thread_multiplies_computes_rightly():
    """The parent's work is none of the child's, whose threads would otherwise take from it."""
    done = subprocess.run([sys.executable, Path(__file__).parent / "c_forks.py"], capture_output=True, text=True, timeout=300)

    assert (done.returncode, done.stdout) == (0, "all is right\n"), done.stderr


def test_a_product_is_packed_as_c_reads_it():
    assert library.PRODUCT.size == library.ctypes.sizeof(library.CProduct)


def test_unaligned_operands_are_copied():
    weight, x = prepare(sr.sparsify(drawn((16, 24)), "nmg:2:4:2")), np.zeros((3, 24), [("a", "i2"), ("b", "f4")])
    x["b"] = drawn((3, 24))

    assert np.array_equal(multiply(weight, x["b"].copy()), multiply(weight, x["b"]))


def test_a_broken_file_in_the_cache_is_a_reason(tmp_path):
    (tmp_path / "lib.so").write_bytes(b"no library")
    with pytest.raises(NotBuilt, match="delete it"):
        library.load(tmp_path / "lib.so")


@pytest.mark.parametrize("form", ["nmg:1:10:16", "nmg:2:8:8", "nmg:3:12:1"])
def test_a_real_size_is_within_its_bound(form):
    """A BERT-base Linear: error over bound at most 1 (BOUND-2)."""
    w, x = drawn((768, 768)), drawn((40, 768), seed=1)
    a = sr.sparsify(w, form)
    expected, _ = expected_forward(get_operator("linear"), (x, a), {}, "float32")

    assert error_ratio(multiply(prepare(a), x), expected).max() <= 1
