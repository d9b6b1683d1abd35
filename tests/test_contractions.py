"""matmul, linear, conv2d, sum: every dot product in plain loops, of values whose sums are exact in every order."""

import numpy as np
from checking import refusal
from hypothesis import assume, given
from hypothesis import strategies as st
from meanings import CONTRACTIONS, dot, operands, pair, product, same_sums, summands

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.conformance.forms import FORMS, guarded

SIDES = st.integers(0, 6)
DTYPES = some.dtypes(CONTRACTIONS)


@st.composite
def factors(draw, batched):
    """a and b that can be multiplied; one of them may be sparse, or both; `batched` names the one with batch axes."""
    M, K, N = draw(SIDES), draw(SIDES), draw(SIDES)
    dtype, batch = draw(DTYPES), tuple(draw(st.lists(st.integers(0, 2), min_size=1, max_size=2)))
    a = draw(summands((*batch, M, K) if batched == "a" else (M, K), dtype, False if batched == "a" else None))
    b = draw(summands((*batch, K, N) if batched == "b" else (K, N), dtype, False if batched == "b" else None))
    return a, b


@given(st.data(), st.sampled_from(["", "a", "b"]))
def test_matmul_sums_the_products_of_stored_pairs(data, batched):  # MATMUL-1, CORE-P2, CORE-P3, OPS-1
    """Sparse or dense on either side, a batch on one of them; NaN and inf meet only what is stored."""
    a, b = data.draw(factors(batched))
    (va, pa), (vb, pb) = pair(a), pair(b)
    shape = np.broadcast_shapes(va.shape[:-2], vb.shape[:-2])
    expected = np.zeros((*shape, va.shape[-2], vb.shape[-1]), va.dtype)
    for at in np.ndindex(shape):
        in_a, in_b = (at if batched == "a" else ()), (at if batched == "b" else ())
        expected[at] = product((va[in_a], pa[in_a]), (vb[in_b], pb[in_b]))
    actual = sr.matmul(a, b)

    assert same_sums(expected, actual, a.dtype)


@given(st.data(), st.booleans())
def test_linear_is_one_dot_product_an_output(data, with_bias):  # LINEAR-1, CORE-P2, CORE-P3
    """y = x W^T + b for any number of token axes."""
    tokens = tuple(data.draw(st.lists(st.integers(0, 3), max_size=2)))
    K, outputs, dtype = data.draw(SIDES), data.draw(SIDES), data.draw(DTYPES)
    x = data.draw(summands((*tokens, K), dtype, None if len(tokens) == 1 else False))
    w = data.draw(summands((outputs, K), dtype))
    bias = data.draw(some.arrays((outputs,), dtype, ("exact",))) if with_bias else None
    (vx, px), (vw, pw) = pair(x), pair(w)
    expected = np.zeros((*tokens, outputs), vx.dtype)
    for at in np.ndindex(tokens):
        for o in range(outputs):
            expected[(*at, o)] = dot(vx[at], px[at], vw[o], pw[o]) + (0 if bias is None else vx.dtype.type(bias[o]))
    actual = sr.linear(x, w, bias)

    assert same_sums(expected, actual, dtype)


@given(some.sparse_arrays(channels=("exact",)), st.data())
def test_sum_adds_what_is_stored(a, data):  # SUM-1
    """Over one axis, counted from either end, or all."""
    assume(a.dtype.name != "int8")
    axis = data.draw(st.sampled_from([None, *range(-len(a.shape), len(a.shape))]))
    value, pattern = pair(a)
    expected = np.zeros(() if axis is None else np.delete(np.array(a.shape, int), axis), value.dtype)
    for at in np.ndindex(value.shape):
        if pattern[at]:
            kept = () if axis is None else tuple(np.delete(at, axis))
            expected[kept] += value[at]
    actual = sr.sum(a, axis)

    assert same_sums(expected, actual, a.dtype)


@st.composite
def windows(draw):
    """kernel, stride, padding, dilation, each one number or two."""
    def number(low, high):
        return draw(st.one_of(st.integers(low, high), st.tuples(st.integers(low, high), st.integers(low, high))))
    return {"kernel": number(1, 3), "stride": number(1, 3), "padding": number(0, 2), "dilation": number(1, 2)}


def sides(number):
    return number if isinstance(number, tuple) else (number, number)


@st.composite
def convolutions(draw):
    """x [B, C, H, W], w [O, C*kh*kw], bias [O] or None, and a window that fits the image."""
    window = draw(windows())
    (kh, kw), (ph, pw), (dh, dw) = (sides(window[name]) for name in ("kernel", "padding", "dilation"))
    B, C, outputs, dtype = draw(st.integers(0, 2)), draw(st.integers(1, 2)), draw(st.integers(0, 3)), draw(DTYPES)
    H, W = (max(d * (k - 1) + 1 - 2 * p, 0) + draw(st.integers(0, 3)) for k, p, d in ((kh, ph, dh), (kw, pw, dw)))
    x, w = draw(summands((B, C, H, W), dtype, False)), draw(summands((outputs, C * kh * kw), dtype))
    return x, w, draw(st.one_of(st.none(), some.arrays((outputs,), dtype, ("exact",)))), window


@given(convolutions())
def test_conv2d_is_one_dot_product_a_window(case):  # CONV2D-1, CORE-P2, CORE-P3
    """The zeros that padding brings are stored: they make NaN of an infinite weight."""
    x, w, bias, window = case
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (sides(window[name]) for name in ("kernel", "stride", "padding", "dilation"))
    (vx, _), (vw, stored) = pair(x), pair(w)
    B, C, H, W = vx.shape
    out = (H + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (W + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    expected = np.zeros((B, len(vw), *out), vx.dtype)
    for b, o, y, z in np.ndindex(expected.shape):
        patch = []
        for c, i, j in np.ndindex(C, kh, kw):
            row, column = y * sh + i * dh - ph, z * sw + j * dw - pw
            patch.append(vx[b, c, row, column] if 0 <= row < H and 0 <= column < W else vx.dtype.type(0))
        total = dot(np.array(patch), [True] * len(patch), vw[o], stored[o])
        expected[b, o, y, z] = total + (0 if bias is None else vx.dtype.type(bias[o]))
    actual = sr.conv2d(x, w, bias, **window)

    assert same_sums(expected, actual, x.dtype)


@given(st.sampled_from([((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (2, 3)), ((1, 2, 3), (1, 3, 2)), ((), (1, 1))]))
def test_matmul_refuses_shapes_that_do_not_fit(shapes):  # MATMUL-2
    """Fewer than two axes, a batch on both sides, or unequal contracted sides."""
    expected = "MATMUL-2"
    actual = refusal(sr.matmul, *map(np.ones, shapes))

    assert expected == actual


@given(st.sampled_from([((3,), (2, 4), None), ((), (2, 3), None), ((3,), (3,), None), ((3,), (2, 3), (3,)),
                        ((3,), (2, 3), (1, 2))]))
def test_linear_refuses_shapes_that_do_not_fit(shapes):  # LINEAR-2
    """A weight that is no matrix, another K, a bias that is not [O]."""
    expected = "LINEAR-2"
    actual = refusal(sr.linear, *(None if shape is None else np.ones(shape) for shape in shapes))

    assert expected == actual


@given(st.sampled_from([2, -3, 1.0, "0", True]))
def test_sum_is_along_an_axis_of_the_array(axis):  # SUM-2
    """Of a matrix, -2 to 1."""
    expected = "SUM-2"
    actual = refusal(sr.sum, np.ones((2, 2)), axis)

    assert expected == actual


@given(st.sampled_from(["kernel", "stride", "padding", "dilation"]),
       st.sampled_from([-1, 1.5, "1", True, (1, 2, 3), (1,), (1, None)]))
def test_windows_are_whole_numbers(name, number):  # CONV2D-2
    """One for both sides, or one each; padding may be 0, the others not."""
    window = {"kernel": 1, name: number}
    expected = "CONV2D-2"
    actual = refusal(sr.conv2d, np.ones((1, 1, 4, 4)), np.ones((1, 1)), **window)

    assert expected == actual
    if name != "padding":
        assert refusal(sr.conv2d, np.ones((1, 1, 4, 4)), np.ones((1, 1)), **{"kernel": 1, name: 0}) == "CONV2D-2"


@given(st.sampled_from([((1, 4, 4), (1, 1), None), ((1, 1, 4, 4), (1, 2), None), ((1, 1, 4, 4), (1, 1, 1), None),
                        ((1, 1, 4, 4), (1, 1), (2,)), ((1, 1, 0, 4), (1, 1), None), ((1, 1, 4, 0), (1, 1), None)]))
def test_conv2d_refuses_shapes_that_do_not_fit(shapes):  # CONV2D-3
    """An image of other axes or smaller than the kernel, a weight or bias of another size."""
    expected = "CONV2D-3"
    actual = refusal(sr.conv2d, *(None if shape is None else np.ones(shape) for shape in shapes), kernel=1)

    assert expected == actual


@given(st.data(), st.sampled_from(FORMS))
def test_memory_forms_do_not_matter(data, form):  # CORE-M1, CORE-M2
    """Strides and read-only memory: the same bits, nothing written, nothing shared."""
    dtype = data.draw(some.float_dtypes())
    x, w = data.draw(operands((3, 5), dtype, False)), data.draw(operands((4, 5), dtype, True))
    x, w, bias = guarded(x, form), guarded(w, form), guarded(np.ones(4, dtype), form)
    copies = [guarded(g.operand, "contiguous").operand for g in (x, w, bias)]
    expected = sr.linear(*copies)
    actual = sr.linear(x.operand, w.operand, bias.operand)

    assert sr.same_bits(expected, actual)
    assert x.intact()
    assert w.intact()
    assert bias.intact()


@given(st.data())
def test_an_operators_result_does_not_depend_on_the_layout(data):  # OPS-2, OPS-6
    """The same entries in coo, and the same call again: the same bits."""
    dtype = data.draw(some.float_dtypes())
    x, w = data.draw(operands((3, 5), dtype, False)), data.draw(operands((4, 5), dtype, True))
    expected = sr.linear(x, w)
    actual = sr.linear(x, sr.convert(w, "coo"))

    assert sr.same_bits(expected, actual)
    assert sr.same_bits(expected, sr.linear(x, w))


@given(st.integers(-2**31, 2**31 - 1), st.integers(-2**31, 2**31 - 1))
def test_integers_wrap(x, y):  # OPS-1
    """Sums of products in int64, then modulo 2**32."""
    expected = (2 * x * y + 2**31) % 2**32 - 2**31
    actual = int(sr.matmul(np.full((1, 2), x, np.int32), np.full((2, 1), y, np.int32))[0, 0])

    assert expected == actual
