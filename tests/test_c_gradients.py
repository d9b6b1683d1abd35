"""Gradients in C: by the values that are stored, for any layout and strides, the same bits from any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparseref_c import compiling, library
from sparseref_c.multiplying import multiply
from sparseref_c.preparing import prepare
from sparseref_c.sampling import prepare_pattern, sampled

import sparseref as sr
from sparseref.bounds import error_ratio, expected_gradient
from sparseref.registry import get_backend, get_operator

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

FORMS = ("nmg:1:4:8", "nmg:2:6:3", "nmg:3:6:2,tail=short", "nmg:4:7:1", "nmg:6:8:1", "csr:0.6", "nm:2:4",
         "nmg:2:4:2,sparse_axis=1,group_axis=0")


def whole(shape, dtype=np.float32, seed=0):
    """Small whole numbers, so that every order of summing is exact."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def drawn(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def in_slots(dense, a):
    """dense [shape] -> what a's slots say of it, 0 in padding (GRAD-1, GRAD-2)."""
    return np.append(dense.reshape(-1), np.zeros(1, dense.dtype))[a.layout.positions(a)]


def backwards(array):
    """The same numbers, the last first in memory."""
    return np.ascontiguousarray(array[::-1])[::-1]


def by_values(a, grad, x, threads):
    pattern = prepare_pattern(a)
    return pattern.in_slots(sampled(pattern.holding(a.values), grad, x, at_most=threads))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tokens", [1, 7, 17, 65, 130])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_stored_has_the_entries_of_the_dense_gradient(form, tokens, dtype):         # LINEAR-3, GRAD-1, GRAD-2
    """More than one group of rows and tile of tokens, neither of them full; strided operands; 1 to 3 threads."""
    columns = 132 if form.startswith("nm:") or "axis" in form else 131
    a = sr.sparsify(whole((276, columns), dtype), form)
    x, grad = whole((tokens, columns), dtype, 1), whole((tokens, 276), dtype, 2)
    expected = in_slots(grad.T @ x, a)

    for threads in (1, 2, 3):
        for one, two in ((grad, x), (np.asfortranarray(grad), np.repeat(x, 2, axis=0)[::2]), (backwards(grad), x.T.copy().T)):
            assert np.array_equal(expected, by_values(a, one, two, threads))


@pytest.mark.parametrize("form", FORMS)
def test_threads_do_not_change_a_bit(form):
    a, x, grad = sr.sparsify(drawn((300, 152)), form), drawn((300, 152), seed=1), drawn((300, 300), seed=2)
    expected = by_values(a, grad, x, 1)

    for threads in (2, 3, 7):
        assert np.array_equal(expected, by_values(a, grad, x, threads))


@given(st.sampled_from(FORMS[:6]), st.integers(1, 40), st.integers(1, 40), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_any_linear_has_the_references_gradients(form, rows, columns, tokens, seed):        # LINEAR-3
    a = sr.sparsify(whole((rows, columns), seed=seed), form)
    x, bias, grad = whole((tokens, columns), seed=seed + 1), whole(rows, seed=seed + 2), whole((tokens, rows), seed=seed + 3)
    expected, actual = (get_backend(name).call("linear.gradient", grad, x, a, bias) for name in ("reference", "c"))

    assert np.array_equal(expected[0], actual[0])
    assert np.array_equal(expected[1].values, actual[1].values)
    assert np.array_equal(expected[2], actual[2])


def test_an_entry_stored_twice_gets_the_whole_gradient_twice():                             # GRAD-1
    arrays = {"coords": np.array([[1, 0, 1, 1], [2, 0, 2, 1]], np.int32), "values": whole(4, seed=3)}
    a, x, grad = sr.SparseArray(sr.COO(), (2, 3), np.dtype(np.float32), arrays), whole((5, 3), seed=1), whole((5, 2), seed=2)
    dense = grad.T @ x
    _, actual, _ = get_backend("c").call("linear.gradient", grad, x, a, None)

    assert np.array_equal([dense[1, 2], dense[0, 0], dense[1, 2], dense[1, 1]], actual.values)


def test_padding_gets_zero_where_x_is_infinite():                                           # GRAD-2
    """Rows and fibres that there are not, beside x that turns each product into NaN."""
    a = sr.sparsify(whole((9, 13)), "nmg:2:4:3")
    x, grad = np.full((3, 13), np.inf, np.float32), np.zeros((3, 9), np.float32)
    _, actual, _ = get_backend("c").call("linear.gradient", grad, x, a, None)
    padding = a.layout.positions(a) < 0

    assert padding.any()
    assert np.array_equal(actual.values[padding], np.zeros(padding.sum()))
    assert not np.signbit(actual.values[padding]).any()
    assert np.isnan(actual.values[~padding]).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("form", ["nmg:2:8:8", "nmg:3:6:4", "csr:0.75"])
def test_a_real_size_is_within_its_bound(form, dtype):                                      # BOUND-1
    a, x, grad = sr.sparsify(drawn((192, 384), dtype), form), drawn((200, 384), dtype, 1), drawn((200, 192), dtype, 2)
    accumulator = get_backend("c").accumulator(np.dtype(dtype).name)
    expected = expected_gradient(get_operator("linear"), grad, (x, a, None), {}, accumulator)
    actual = get_backend("c").call("linear.gradient", grad, x, a, None)

    assert error_ratio(actual[0], expected[0]).max() <= 1
    assert error_ratio(sr.decode(actual[1]), expected[1])[a.pattern].max() <= 1


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_pattern_that_is_given_values_is_the_prepared_array(form, transposed):
    """What a training step does instead of preparing anew."""
    a = sr.sparsify(drawn((60, 48)), form)
    other = a.with_values(np.where(a.layout.positions(a) >= 0, drawn(a.values.shape, seed=5), 0).astype(np.float32))
    expected, actual = prepare(other, transposed), prepare_pattern(a, transposed).holding(other.values)

    assert np.array_equal(*(multiply(weight, np.eye(weight.shape[1], dtype=np.float32)) for weight in (expected, actual)))


@pytest.mark.parametrize(("clause", "grad"), [("GRAD-3", whole((3, 7))), ("GRAD-3", whole((3, 8), np.float64)),
                                              ("CORE-D1", [[0.0] * 8] * 3)])
def test_a_grad_that_does_not_fit_is_refused(clause, grad):                                 # GRAD-3
    with pytest.raises(sr.SpecError, match=clause):
        get_backend("c").call("linear.gradient", grad, whole((3, 12)), sr.sparsify(whole((8, 12)), "nmg:2:4:1"), None)


@pytest.mark.parametrize(("clause", "grad"), [("LINEAR-2", whole((3, 7))), ("LINEAR-2", whole((2, 8))),
                                              ("CORE-D2", whole((3, 8), np.float64))])
def test_what_does_not_fit_is_refused_before_c_sees_it(clause, grad):
    with pytest.raises(sr.SpecError, match=clause):
        sampled(prepare(sr.sparsify(whole((8, 12)), "nmg:2:4:1")), grad, whole((3, 12)))


def test_the_library_refuses_what_it_cannot_do():
    """Negative tokens, no threads, values that may stand twice, an instruction set that there is not, and a size of numbers."""
    a, using = sr.sparsify(whole((8, 12)), "nmg:2:4:1"), library.library()
    once, twice = prepare(a, abreast=False), prepare(a)
    done, bad, no_set = 0, 2, 3
    values, grad, x = np.zeros(99, np.float32), whole((3, 8)), whole((3, 12))
    lies = [library.CMatrix(*library.where(array)) for array in (grad, x)]
    call = using.functions.sparseref_sampled

    def told(tokens=3, number=using.number, size=4, threads=1, weight=once):
        what = library.CSampled(library.ctypes.pointer(weight.runs), *lies, values.ctypes.data, tokens, None)
        return call(what, number, size, threads)

    assert (told(), told(tokens=0)) == (done, done)
    assert (told(tokens=-1), told(threads=0), told(weight=twice)) == (bad, bad, bad)
    assert (told(number=99), told(size=2)) == (no_set, no_set)


def test_a_side_of_the_image_may_be_padding_alone():                                        # CONV2D-1, CONV2D-4
    a, image, window = sr.sparsify(whole((4, 9)), "nmg:2:4:1"), np.zeros((2, 1, 0, 3), np.float32), {"kernel": 3, "padding": 2}
    grad = sr.conv2d(image, a, **window)
    expected, actual = (get_backend(name).call("conv2d.gradient", grad, image, a, None, **window)
                        for name in ("reference", "c"))

    assert np.array_equal(grad, sr.conv2d(image, a, **window, backend="c", strict=True))
    assert np.array_equal(expected[0], actual[0])
    assert np.array_equal(expected[1].values, actual[1].values)


def test_gelu_and_sparse_images_are_declined_with_the_reason():
    backend = get_backend("c")

    assert backend.declines(sr.Cell("gelu.gradient", ("csr",), "float32")) == "the C backend has no gradient of gelu"
    assert backend.declines(sr.Cell("add.gradient", ("csr", "csr"), "float32")) == "the C backend has no operator add"
    assert "dense images" in backend.declines(sr.Cell("conv2d.gradient", ("csr", "array"), "float32"))


def test_a_step_of_training_is_not_prepared_for_one_token():
    """It would take longer than the step, and again at the next."""
    a, x = sr.sparsify(whole((64, 96)), "nmg:2:4:1"), whole((1, 96))
    weight = prepare_pattern(a).holding(a.values)

    assert np.array_equal(x @ sr.decode(a).T, multiply(weight, x))
    assert weight.runs.one_token is None
