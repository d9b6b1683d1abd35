"""What follows a product in C: relu, gelu in both forms, what is added; alone and fused, on every instruction set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparseref_c import compiling, library
from sparseref_c.multiplying import activated, multiply
from sparseref_c.preparing import prepare

import sparseref as sr
from sparseref.bounds import error_ratio, expected_forward
from sparseref.registry import get_operator

try:
    SETS = library.instruction_sets(library.load())
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)
FORMS = {"gelu": {"approximate": "none"}, "gelu_tanh": {"approximate": "tanh"}}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
def test_gelu_is_within_its_bound_everywhere(name, dtype, form):                            # GELU-1, BOUND-3
    """Dense in the middle, out to where Phi is 0 or 1, and the odd ones."""
    tiny = np.finfo(dtype).tiny
    odd = [np.inf, -np.inf, np.nan, 0.0, -0.0, tiny, -tiny, tiny / 4, np.finfo(dtype).max / 4, -np.finfo(dtype).max / 4]
    x = np.concatenate([np.linspace(-45, 45, 90_001), np.linspace(-3, 3, 60_001), odd]).astype(dtype)
    expected, _ = expected_forward(get_operator("gelu"), (x,), FORMS[form], np.dtype(dtype).name)
    actual = activated(x, form, using=library.Library(library.load(), name, SETS[name]))

    assert error_ratio(actual, expected).max() <= 1


@given(st.integers(0, 70), st.integers(1, 3))
def test_what_lies_around_is_not_touched(count, threads):
    """Any count, also one that fills no vector; relu keeps NaN."""
    values = np.linspace(-2, 2, count, dtype=np.float32)
    values[::7] = np.nan

    np.testing.assert_array_equal(np.maximum(values, 0), activated(values, "relu", threads))


def test_threads_do_not_change_a_bit():
    values = np.random.default_rng(0).standard_normal((3, 50_001))

    assert sr.same_bits(activated(values, "gelu", 1), activated(values, "gelu", 3))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tokens", [1, 19])
def test_fused_is_one_after_the_other(name, form, tokens):
    """activation(x W^T + bias) + added: the sums are exact, so that gelu's own bound and one rounding remain."""
    rng = np.random.default_rng(1)
    w, x = (rng.integers(-2, 3, shape).astype(np.float32) for shape in ((33, 24), (tokens, 24)))
    bias, added = rng.integers(-2, 3, 33).astype(np.float32), rng.standard_normal((tokens, 33)).astype(np.float32)
    a = sr.sparsify(w, "nmg:1:4:2")
    sums = x @ sr.decode(a).T + bias
    expected, _ = expected_forward(get_operator("gelu"), (sums,), FORMS[form], "float32")
    actual = multiply(prepare(a), x, bias, form, added, using=library.Library(library.load(), name, SETS[name]))
    bound = expected.bound + 2**-24 * np.abs(expected.value + added)

    assert (np.abs(actual - (expected.value + added)) <= bound).all()
    assert (np.abs(sums) > 1).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_gelu_of_a_sparse_array_keeps_its_pattern(dtype):                                   # GELU-1, OPS-4
    a = sr.sparsify(np.random.default_rng(2).standard_normal((12, 16)).astype(dtype), "nmg:2:4:2")
    expected, _ = expected_forward(get_operator("gelu"), (sr.decode(a),), {}, "float64" if dtype == np.float64 else "float32")
    result = sr.gelu(a, backend="c", strict=True)

    assert (result.layout, result.dtype) == (a.layout, dtype)
    assert np.array_equal(result.pattern, a.pattern)
    assert error_ratio(sr.decode(result), expected).max() <= 1
