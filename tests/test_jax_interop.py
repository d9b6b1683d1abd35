"""sparseref_jax from and to jax.experimental.sparse and scipy.sparse."""

import numpy as np
import pytest
import scipy.sparse

import sparseref as sr

jax = pytest.importorskip("jax", reason="the JAX backend needs the extra 'jax'")
import jax.numpy as jnp  # noqa: E402
import sparseref_jax as sj  # noqa: E402
from jax.experimental import sparse  # noqa: E402
from sparseref_jax import interop  # noqa: E402

W = np.random.default_rng(0).standard_normal((10, 13)).astype(np.float32)
FORMATS = ["csr:0.7", "csc:0.7", "coo:0.7", "nmg:2:4:1", "nm:1:4", "ell:0.7", "bsr:2:2", "masked:0.7"]


@pytest.mark.parametrize("text", FORMATS)
def test_others_hold_the_same_entries(text):
    """Ragged sides, so that blocks have filling."""
    a = sj.sparsify(jnp.asarray(W), text)
    expected = np.asarray(sj.decode(a))

    assert np.array_equal(expected, jax.jit(interop.to_bcoo)(a).todense())
    assert np.array_equal(expected, interop.to_bcsr(a).todense())
    assert np.array_equal(expected, interop.to_scipy(a).todense())
    for back in (interop.from_bcoo(interop.to_bcoo(a)), interop.from_bcsr(interop.to_bcsr(a)),
                 interop.from_scipy(interop.to_scipy(a))):
        assert np.array_equal(expected, sj.decode(back))
        assert np.array_equal(sj.pattern_of(a), sj.pattern_of(back))


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "lil"])
def test_any_matrix_of_scipy(kind):
    """What has no layout of its own comes as coo."""
    kept = np.where(np.abs(W) > 1, W, 0)
    a = interop.from_scipy(scipy.sparse.csr_array(kept).asformat(kind))

    assert a.layout.name == (kind if kind in ("csr", "csc", "coo") else "coo")
    assert np.array_equal(kept, sj.decode(a))


def test_duplicates_add_up_and_padding_is_left_out():                                      # CORE-V2
    """BCOO writes padding as an index beyond the array."""
    indices = jnp.asarray([[0, 1], [0, 1], [2, 3]])
    a = interop.from_bcoo(sparse.BCOO((jnp.asarray([1.0, 2.0, 9.0]), indices), shape=(2, 3)))

    assert a.values.shape == (2,)
    assert np.array_equal([[0, 3, 0], [0, 0, 0]], sj.decode(a))


def test_what_is_wrong_is_refused():                                                       # CSR-C3, CORE-D1
    """An index out of range, batch axes, and float64 that JAX would narrow."""
    bad = sparse.BCSR((jnp.ones(1), jnp.asarray([7]), jnp.asarray([0, 1])), shape=(1, 3))
    with pytest.raises(sr.SpecError, match="CSR-C3"):
        interop.from_bcsr(bad)
    with pytest.raises(TypeError, match="n_batch = 1"):
        interop.from_bcoo(sparse.BCOO.fromdense(jnp.ones((2, 3)), n_batch=1))
    with pytest.raises(sr.SpecError, match="CORE-D1"):
        interop.from_scipy(scipy.sparse.csr_array(np.eye(3)))
