"""sparseref_jax as a user of JAX meets it: jit, grad, jvp, vmap, sharding, and no compilation for equal shapes."""

import os
import subprocess
import sys

import numpy as np
import pytest

import sparseref as sr

jax = pytest.importorskip("jax", reason="the JAX backend needs the extra 'jax'")
import jax.numpy as jnp  # noqa: E402
import sparseref_jax as sj  # noqa: E402
from sparseref_jax import contraction  # noqa: E402
from sparseref_jax.numbers import added  # noqa: E402

FORMATS = ["nmg:2:8:2", "nmg:1:16:2", "nm:1:8", "csr:0.9", "coo:0.9", "csc:0.9", "ell:0.9", "masked:0.9", "vnm:4:2:8",
           "bsr:2:2"]


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def dense_of(a):
    return np.asarray(sj.decode(a))


@pytest.mark.slow
@pytest.mark.parametrize("text", FORMATS)
def test_linear_and_its_derivatives_are_those_of_the_dense_weight(text):                   # LINEAR-1, GRAD-1
    """Under jit, by the values and by x, forwards and backwards."""
    x, a = drawn(5, 96), sj.sparsify(drawn(32, 96, seed=1), text)
    dense = sj.decode(a)

    def sparse_loss(values, x):
        return (sj.linear(x, a.with_values(values)) ** 2).sum()

    def dense_loss(w, x):
        return ((x @ w.T) ** 2).sum()

    by_values, by_x = jax.jit(jax.grad(sparse_loss, (0, 1)))(a.values, x)
    by_w, expected_by_x = jax.grad(dense_loss, (0, 1))(dense, x)
    slots = a.layout.positions(sj.to_numpy(a))
    expected = np.where(slots >= 0, np.asarray(by_w).reshape(-1)[slots], 0)
    tangent = jax.jvp(lambda values: sj.linear(x, a.with_values(values)), (a.values,), (a.values,))[1]

    np.testing.assert_allclose(expected, by_values, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(expected_by_x, by_x, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(x @ dense.T, tangent, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(x @ dense.T, jax.jit(sj.linear)(x, a), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["nmg:2:8:2", "nmg:1:10:2,tail=short", "nm:2:4", "vnm:4:2:8"])
@pytest.mark.parametrize("x64", [False, True])
def test_sparsify_under_jit_is_the_references(text, x64):                                  # NMGS-S2
    """Bit for bit, with and without 64-bit types."""
    w = drawn(20, 90)
    with jax.enable_x64(x64):
        actual = jax.jit(lambda w: sj.sparsify(w, text))(w)
    expected = sr.sparsify(np.asarray(w), text)

    assert actual.dtype == jnp.float32
    assert all(np.array_equal(expected[name], actual[name]) and expected[name].dtype == actual[name].dtype
               for name in expected.arrays)


def test_the_gradient_of_a_whole_array_has_no_numbers_for_indices():
    """float0, JAX's way to say so."""
    a, x = sj.sparsify(drawn(8, 16), "nmg:2:4:1"), drawn(3, 16)
    grad = jax.grad(lambda a: sj.linear(x, a).sum(), allow_int=True)(a)

    assert isinstance(grad, sj.JaxSparse)
    assert (grad["idx"].dtype, grad.values.shape) == (jax.dtypes.float0, a.values.shape)


def test_vmap_over_tokens_and_over_values():
    """The layout stays; a batch of values is a batch of weights."""
    a, x = sj.sparsify(drawn(8, 32), "nmg:1:8:1"), drawn(3, 32)
    values = jnp.stack([a.values, 2 * a.values, -a.values])
    expected = np.stack([x @ (sign * dense_of(a)).T for sign in (1, 2, -1)])

    np.testing.assert_allclose(x @ dense_of(a).T, jax.vmap(lambda one: sj.linear(one, a))(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(expected, jax.vmap(lambda v: sj.linear(x, a.with_values(v)))(values), rtol=1e-5, atol=1e-5)


def test_equal_shapes_are_compiled_once():
    """Other values and other indices are no reason."""
    traced = []

    @jax.jit
    def layer(x, w):
        traced.append(1)
        return sj.linear(x, w)

    for seed in range(3):
        layer(drawn(4, 32, seed=seed), sj.sparsify(drawn(8, 32, seed=seed), "nmg:1:8:1"))

    assert len(traced) == 1


@pytest.mark.parametrize("text", ["coo:0.7", "csr:0.7", "csc:0.7"])
def test_results_under_jit_whose_size_the_pattern_decides(text):                           # ADD-1, RELU-1
    """As many slots as may be needed; what is too many adds nothing, and the array is valid."""
    a, b = sj.sparsify(drawn(6, 9), text), sj.sparsify(drawn(6, 9, seed=1), text)
    total, kept = jax.jit(lambda a, b: (sj.run("add", a, b), sj.run("relu", a)))(a, b)
    sr.validate(sj.to_numpy(total))

    assert np.array_equal(dense_of(a) + dense_of(b), dense_of(total))
    assert np.array_equal(np.maximum(dense_of(a), 0), dense_of(kept))
    with pytest.raises(ValueError, match="slots"):
        jax.jit(lambda w: sj.sparsify(w, text))(drawn(6, 9))


def test_a_pattern_that_does_not_fit_is_nan_under_jit_and_refused_without():               # NM-C5
    """Nothing can be raised inside jit; a wrong number is no answer."""
    dense, pattern = drawn(2, 8), jnp.ones((2, 8), bool)
    inside = jax.jit(lambda d, p: sj.encode(d, sr.NM(2, 4), p))(dense, pattern)

    assert np.isnan(inside.values).all()
    with pytest.raises(sr.SpecError, match="NM-C5"):
        sj.encode(dense, sr.NM(2, 4), pattern)


def test_whole_numbers_that_may_not_fit_are_refused_while_they_are_traced():                  # NM-C5
    """They have no NaN; a layout's own choice, and what keeps the pattern of its operand, always fits."""
    dense, pattern = jnp.arange(16, dtype=jnp.int32).reshape(2, 8), jnp.ones((2, 8), bool)
    a = jax.jit(lambda d: sj.sparsify(d, "nm:2:4"))(dense)
    doubled = jax.jit(lambda a: sj.run("scale", a, jnp.asarray(2, jnp.int32)))(a)

    assert np.array_equal(2 * dense_of(a), dense_of(doubled))
    with pytest.raises(ValueError, match="int32 has not"):
        jax.jit(lambda d, p: sj.encode(d, sr.NM(2, 4), p))(dense, pattern)
    with pytest.raises(ValueError, match="int32 has not"):
        jax.jit(lambda a: sj.run("add", a, a))(a)


@pytest.mark.parametrize("text", ["bsr:2:2", "ell:0.7", "csr:0.7", "nm:2:4"])
def test_operators_that_keep_a_pattern_need_no_slots_under_jit(text):                      # RELU-1, TRANSPOSE-1, CONVERT-1
    """Their operand has as many; those of csr, csc and coo are bounded by what the operands have."""
    a = sj.sparsify(drawn(6, 8), text)
    kept, turned, as_csr = jax.jit(lambda a: (sj.run("relu", a), sj.run("transpose", a), sj.convert(a, "csr")))(a)

    assert (kept.layout, as_csr.layout) == (a.layout, sr.CSR())
    assert np.array_equal(np.maximum(dense_of(a), 0), dense_of(kept))
    assert np.array_equal(dense_of(a).T, dense_of(turned))
    assert np.array_equal(dense_of(a), dense_of(as_csr))


def test_slots_of_a_result_can_be_given():                                                 # CONVERT-1
    """Where they do not follow from the operands; too few are NaN."""
    a = sj.sparsify(drawn(6, 8), "csr:0.7")
    longest = int(np.diff(np.asarray(a["indptr"])).max())
    as_ell, too_few = (jax.jit(lambda a, n=n: sj.convert(a, "ell", slots=n))(a) for n in (longest, longest - 1))

    assert np.array_equal(dense_of(a), dense_of(as_ell))
    assert np.isnan(too_few.values).all()
    with pytest.raises(ValueError, match="slots=number"):
        jax.jit(lambda a: sj.convert(a, "ell"))(a)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("text", ["csr", "coo", "csc"])
def test_patterns_without_a_common_entry_are_never_a_wrong_answer_under_jit(text, dtype):    # MUL-1
    """No slot can say so: NaN, and whole numbers are refused."""
    layout, eye = sr.registry.parse_layout(text), jnp.eye(4, dtype=dtype)
    a, b = sj.encode(eye, layout, eye != 0), sj.encode(eye[::-1], layout, eye[::-1] != 0)
    multiply = jax.jit(lambda a, b: sj.run("multiply", a, b))
    if dtype == "int32":
        with pytest.raises(ValueError, match="int32 has not"):
            multiply(a, b)
    else:
        assert np.isnan(multiply(a, b).values).all()
        assert np.array_equal(dense_of(a), dense_of(multiply(a, a)))
    assert sj.run("multiply", a, b).values.size == 0


@pytest.mark.parametrize("text", ["csr", "coo", "csc", "ell"])
def test_a_dense_array_is_converted_under_jit(text):                                       # CONVERT-1
    """Every entry is stored."""
    dense = drawn(3, 4)

    assert np.array_equal(dense, dense_of(jax.jit(lambda x: sj.convert(x, text))(dense)))


def test_a_layouts_own_choice_of_a_sparse_array_may_not_fit():                             # SPF-6, DENSE-C2
    """dense keeps all, but of a sparse array only what is stored can be kept."""
    a = sj.sparsify(drawn(3, 8), "csr:0.5")
    with pytest.raises(sr.SpecError, match="DENSE-C2"):
        sj.sparsify(a, "dense")

    assert np.isnan(jax.jit(lambda a: sj.sparsify(a, "dense"))(a).values).all()


@pytest.mark.parametrize("text", ["csr", "coo", "csc", "ell", "nmg:1:4:1"])
def test_vmap_over_weights_with_patterns_of_their_own(text):                               # LINEAR-1
    """Every array, the indices too, has the batch as its first axis."""
    scores = [drawn(8, 16, seed=seed) for seed in range(3)]
    patterns = [jnp.asarray(np.argsort(np.argsort(s, axis=1), axis=1) < 4) for s in scores]    # four in every row
    weights = [sj.sparsify(s, text) if ":" in text else sj.encode(s, sr.registry.parse_layout(text), p)
               for s, p in zip(scores, patterns, strict=True)]
    x = drawn(3, 5, 16)
    together = jax.tree.map(lambda *arrays: jnp.stack(arrays), *weights)
    y = jax.jit(jax.vmap(sj.linear))(x, together)

    for one, weight, expected in zip(x, weights, y, strict=True):
        np.testing.assert_allclose(one @ dense_of(weight).T, expected, rtol=1e-5, atol=1e-5)


def test_bad_operands_are_refused_while_they_are_traced():                                 # LINEAR-2, CORE-D2
    """Shapes and dtypes are known there."""
    a = sj.sparsify(drawn(8, 32), "nmg:1:8:1")
    with pytest.raises(sr.SpecError, match="LINEAR-2"):
        jax.jit(sj.linear)(drawn(3, 31), a)
    with pytest.raises(sr.SpecError, match="CORE-D2"):
        jax.jit(sj.linear)(drawn(3, 32).astype(jnp.bfloat16), a)


def test_the_route_by_rows_is_taken_and_pads_with_zeros():                                 # NMG-C8
    """80 columns leave 16 slots of filling in three chunks of 32."""
    a, x = sj.sparsify(drawn(32, 80), "nmg:1:16:2"), drawn(3, 80)

    assert contraction.pays(a)
    np.testing.assert_allclose(x @ dense_of(a).T, contraction.by_rows(a, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", ["scalar-threshold", "nmg:2:4:1", "block-threshold:2:2:1e-323", "vnm:2:2:4",
                                  "scalar-fraction:0.5"])
def test_subnormal_doubles_are_ranked_and_added_up(text):                                  # SPF-4, NMGS-S1, BLK-S1
    """XLA's arithmetic reads them as 0; a choice must not."""
    numbers = np.random.default_rng(0).integers(0, 4, (12, 48)) * 5e-324
    with jax.enable_x64(True):
        actual = sj.select(jnp.asarray(numbers), sr.registry.parse_sparsifier(text))

    assert np.array_equal(sr.select(numbers, text), actual)


def test_sums_of_doubles_are_those_of_numpy():
    """Around the smallest normal number, and where only one side is small; the sign of a zero is free."""
    rng = np.random.default_rng(0)
    a, b = (np.ldexp(rng.standard_normal(20_000), rng.integers(-1080, -880, 20_000)) for _ in range(2))
    a[:6], b[:6] = [np.inf, 5e-324, -5e-324, 5e-324, 1e308, -np.inf], [1, 5e-324, 5e-324, 1, 1e308, np.inf]
    with jax.enable_x64(True), np.errstate(all="ignore"):
        actual = np.asarray(jax.jit(added)(a, b))
        expected = a + b

    assert np.array_equal(expected[:5], actual[:5])
    assert np.isnan(actual[5])
    assert np.array_equal(expected[6:], actual[6:])


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_the_optimum_of_what_is_not_finite_is_refused(number):                             # NMGO-S2
    """Outside jit, where something can be refused."""
    with pytest.raises(sr.SpecError, match="NMGO-S2"):
        sj.select(jnp.full((4, 4), number), sr.registry.parse_sparsifier("nmg-optimal:2:4:1"))


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, sparseref_jax as sj
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
assert len(jax.devices()) == 4
mesh = Mesh(np.array(jax.devices()), ("rows",))
rng = np.random.default_rng(0)
w, x = (jnp.asarray(rng.standard_normal(shape).astype(np.float32)) for shape in ((32, 96), (8, 96)))
a = sj.sparsify(w, "nmg:1:8:2")
expected = jax.jit(sj.linear)(x, a)
by_rows = jax.tree.map(lambda array: jax.device_put(array, NamedSharding(mesh, P(None, "rows"))), a)
by_tokens = jax.device_put(x, NamedSharding(mesh, P("rows")))
assert len(by_rows.values.sharding.device_set) == 4
for left, right in ((x, by_rows), (by_tokens, jax.device_put(a, NamedSharding(mesh, P())))):
    np.testing.assert_array_equal(expected, jax.jit(sj.linear)(left, right))
print("equal")
"""


def test_rows_or_tokens_over_several_devices_give_the_result_of_one():
    """The block rows of a weight, or the tokens, over four."""
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", SHARDED], env=flags, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr[-2000:]
