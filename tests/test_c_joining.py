"""Block rows that share what they load of x: for many tokens, where n is small, and the same weight as ever."""

from dataclasses import replace

import numpy as np
import pytest
from sparseref_c import joining, library
from sparseref_c.compiling import NotBuilt
from sparseref_c.multiplying import multiply
from sparseref_c.preparing import prepare
from sparseref_c.segments import ENOUGH_TOKENS

import sparseref as sr

try:
    SETS = library.instruction_sets(library.load())
except NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

JOINED = [("nmg:1:2:4", (50, 130)), ("nmg:1:4:2", (61, 150)), ("nmg:1:4:2,tail=short", (150, 400)), ("nmg:1:5:16", (33, 1700)),
          ("nmg:1:10:3", (127, 1601))]
"""Tails of rows and columns, teams that lack block rows, several groups of rows and blocks of columns."""


@pytest.fixture(autouse=True)
def machine_with_many_registers(monkeypatch):
    """So that block rows are joined alike on every machine; each set can multiply them."""
    monkeypatch.setattr(joining, "likely_set", lambda: "avx512")


def whole(shape, seed=0):
    """From 1 to 8, so that every sum is exact and a 0 says that nothing is stored."""
    return np.random.default_rng(seed).integers(1, 9, shape).astype(np.float32)


@pytest.mark.parametrize(("form", "shape"), JOINED)
@pytest.mark.parametrize("name", SETS)
def test_the_same_product_for_any_number_of_tokens(form, shape, name):
    a = sr.sparsify(whole(shape), form)
    weight = prepare(a)
    using = library.Library(library.load(), name, SETS[name])
    x, bias = whole((133, shape[1]), seed=1), whole(shape[0], seed=2)
    expected = x @ sr.decode(a).T + bias

    assert weight.many is not None
    for tokens in (ENOUGH_TOKENS - 1, ENOUGH_TOKENS, 65, 133):
        assert np.array_equal(expected[:tokens], multiply(weight, x[:tokens], bias, using=using))


@pytest.mark.parametrize(("form", "shape"), JOINED)
def test_each_value_stands_once_in_long_runs(form, shape):
    a = sr.sparsify(whole(shape), form)
    joined = prepare(a).many
    _, segments, _, columns, values = joined.arrays
    stored = a.values[a.layout.positions(a) >= 0]
    J = joining.block_rows_joined(a.layout.n, a.layout.patterns, shape[1])

    assert np.array_equal(np.sort(stored), np.sort(values[values != 0]))                   # 0: no row
    assert set(segments["n"]) <= {a.layout.n, a.layout.n * J}
    assert len(columns) < 0.7 * len(stored) / a.layout.n                                   # x is loaded so much more rarely


def test_padding_is_never_read():
    a = sr.sparsify(whole((61, 150)), "nmg:1:4:2")
    poisoned = a.values.copy()
    poisoned.reshape(-1)[a.layout.positions(a).reshape(-1) < 0] = np.nan
    x = whole((40, 150), seed=1)

    assert np.isnan(poisoned).any()
    assert np.array_equal(multiply(prepare(a), x), multiply(prepare(a.with_values(poisoned)), x))


@pytest.mark.parametrize(("name", "n", "patterns", "columns", "expected"), [
    ("avx512", 1, 4, 768, 3), ("avx512", 1, 10, 768, 2), ("avx512", 1, 10, 400, 1), ("avx512", 2, 6, 768, 2),
    ("avx512", 3, 4, 768, 1), ("avx512", 1, 2, 768, 4), ("avx512", 1, 16, 768, 1), ("avx512", 1, 10, 10**6, 2),
    ("avx2", 1, 4, 768, 3), ("avx2", 1, 10, 768, 2), ("avx2", 1, 16, 768, 1), ("avx2", 1, 5, 768, 2), ("avx2", 2, 6, 768, 1),
    ("avx2", 1, 2, 768, 3), ("avx2", 4, 5, 768, 1), ("avx512", 7, 8, 768, 1), ("avx512", 1, 1, 0, 1)])
def test_as_many_block_rows_as_runs_stay_long(monkeypatch, name, n, patterns, columns, expected):
    monkeypatch.setattr(joining, "likely_set", lambda: name)

    assert joining.block_rows_joined(n, patterns, columns) == expected


def test_what_a_prepared_weight_holds_decides_alone():
    """A product takes the joined weight by its tokens, not by those of a tile: no sum depends on threads."""
    rng = np.random.default_rng(0)
    weight = prepare(sr.sparsify(rng.standard_normal((64, 300)).astype(np.float32), "nmg:1:4:2"))
    x = rng.standard_normal((65, 300)).astype(np.float32)
    apart = replace(weight, many=None)

    assert multiply(weight, x, at_most=1).tobytes() == multiply(weight, x, at_most=7).tobytes()
    assert multiply(weight, x[:20]).tobytes() == multiply(apart, x[:20]).tobytes()
    assert multiply(weight, x).tobytes() != multiply(apart, x).tobytes()                  # another order of sums


@pytest.mark.parametrize(("form", "shape"), [("nmg:2:8:2", (60, 100)), ("nmg:2:5:3,tail=short", (33, 81)),
                                             ("nmg:5:7:2", (40, 50))])
@pytest.mark.parametrize("name", SETS)
def test_runs_of_unlike_length_go_by_it(form, shape, name):
    """Where the last chunk is not full and n is no less than 2."""
    a = sr.sparsify(whole(shape), form)
    weight = prepare(a)
    x = whole((70, shape[1]), seed=1)
    _, segments, runs, _, values = weight.many.arrays

    assert np.array_equal(multiply(weight, x, using=library.Library(library.load(), name, SETS[name])), x @ sr.decode(a).T)
    assert np.array_equal(np.sort(values[values != 0]), np.sort(a.values[a.layout.positions(a) >= 0]))  # 0: no row
    for segment in segments:
        own = runs[int(segment["first_run"]):][:int(segment["runs"])]
        block_row = own["row"][:, 0] // a.layout.m
        assert np.all(np.diff(block_row) >= 0)
        assert np.all(np.diff(own["count"].astype(int))[np.diff(block_row) == 0] >= 0)


def test_runs_that_are_equally_long_stand_there_no_third_time():
    assert prepare(sr.sparsify(whole((60, 112)), "nmg:2:8:2")).many is None
