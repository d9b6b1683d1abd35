"""Products of one token: sixteen rows abreast, in an order of their own that is made when it is first asked for."""

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sparseref_c import library
from sparseref_c.compiling import NotBuilt
from sparseref_c.multiplying import multiply, product, run
from sparseref_c.one_token import LOOKS_UP, MOST_COLUMNS, SIXTEEN, for_one_token
from sparseref_c.preparing import prepare

import sparseref as sr

FORMATS = ("nmg:1:4:4", "nmg:1:10:16", "nmg:1:5:8", "nmg:2:8:2", "nmg:3:6:1", "nmg:5:7:1", "nmg:2:4:8,tail=short",
           "csr:0.7", "nm:2:4", "vnm:4:2:4", "coo:0.9")
try:
    SETS = library.instruction_sets(library.load())
except NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)
looks_up = pytest.mark.skipif(library.likely_set() != LOOKS_UP, reason=f"{LOOKS_UP} is not used here")


def whole(shape, seed=0):
    """Whole numbers, so that every order of summing is exact."""
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(np.float32)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("shape", [(300, 150), (1, 33), (17, 160), (40, 321), (3, 1), (5, 0), (0, 5)])
def test_a_product_is_exact_in_every_instruction_set(form, shape, name):
    a, x, bias = sr.sparsify(whole(shape), form), whole((1, shape[1]), 1), whole(shape[0], 2)
    expected = x @ sr.decode(a).T + bias

    y = multiply(prepare(a), x, bias, using=library.Library(library.load(), name, SETS[name]))

    assert np.array_equal(expected, y)


@looks_up
@pytest.mark.parametrize("form", FORMATS)
def test_rows_go_abreast_in_tables_that_registers_hold(form):
    one = for_one_token(prepare(sr.sparsify(whole((300, 350)), form)))
    segments = one.arrays[1]

    assert set(segments["abreast"]) == {SIXTEEN}
    assert segments["x_columns"].max() <= MOST_COLUMNS


@looks_up
def test_chunks_fill_nothing_up():
    a = sr.sparsify(whole((320, 320)), "nmg:1:10:16")                                      # two chunks of 160 columns

    assert a.nnz == for_one_token(prepare(a)).arrays[-1].size


@looks_up
def test_a_row_that_is_much_longer_than_others_leaves_the_weight_as_it_is():
    dense = np.zeros((160, 300), np.float32)
    dense[::16] = 1
    weight, x = prepare(sr.encode(dense, "csr", dense != 0)), whole((1, 300))

    assert for_one_token(weight) is None
    assert np.array_equal(x @ dense.T, multiply(weight, x))


def test_what_no_row_stores_is_not_read():
    """Neither by filling, nor beside what is looked up."""
    dense = whole((64, 100))
    dense[:, 7], dense[:40, 50] = 0, 0
    x = whole((1, 100), 1)
    expected = x @ dense[:40].T
    x[0, 7], x[0, 50] = np.nan, np.inf

    assert np.array_equal(expected, multiply(prepare(sr.encode(dense, "csr", dense != 0)), x)[:, :40])


def test_many_python_threads_may_be_the_first():
    weight, x, start = prepare(sr.sparsify(whole((256, 300)), "nmg:2:8:8")), whole((1, 300), 1), threading.Barrier(6)
    expected = multiply(prepare(sr.sparsify(whole((256, 300)), "nmg:2:8:8")), x)

    def work(_):
        start.wait()
        return all(np.array_equal(expected, multiply(weight, x)) for _ in range(50))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))


@pytest.mark.parametrize("tokens", [5, 9, 17])                         # one more than a vector of some instruction set
def test_a_tile_of_one_token_is_no_product_of_one(tokens):
    """Threads decide on tiles, where a weight has only one group of rows, and may not decide on a bit."""
    rng = np.random.default_rng(0)
    dense, x = (rng.standard_normal((rows, 400)).astype(np.float32) for rows in (100, tokens))
    weight = prepare(sr.sparsify(dense, "nmg:2:8:8"))
    multiply(weight, x[:1])
    expected = multiply(weight, x, at_most=1)

    assert expected.tobytes() == multiply(weight, x, at_most=2).tobytes()


def test_a_weight_of_another_form_cannot_stand_for_one_token():
    weight, other = (prepare(sr.sparsify(whole((rows, 300)), "nmg:2:8:8")) for rows in (256, 512))
    x, y = whole((1, 300)), np.zeros((1, 256), np.float32)
    what = product(weight, library.where(x), library.where(y), None, tokens=1)
    weight.runs.one_token = ctypes.addressof(other.runs)

    with pytest.raises(RuntimeError, match="status 2"):
        run(what, weight.dtype)
