"""From and to what others call a sparse array: jax.experimental.sparse and scipy.sparse."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.experimental import sparse

from sparseref import COO, CSC, CSR, SpecError, validate
from sparseref.dtypes import coordinate_dtype

from .arrays import JaxSparse, to_numpy
from .operators import forward
from .positions import positions


def to_bcoo(a: JaxSparse) -> sparse.BCOO:
    """a [shape], any layout -> BCOO [shape] of the same slots; padding lies beyond the array.  Also inside jit."""
    position = positions(a).reshape(-1)
    coords = jnp.unravel_index(jnp.maximum(position, 0), a.shape) if a.size else [position] * a.ndim
    sides = jnp.asarray(a.shape, position.dtype)
    indices = jnp.where(position[:, None] < 0, sides, jnp.stack(coords, axis=1).astype(position.dtype))
    return sparse.BCOO((a.values.reshape(-1), indices), shape=a.shape)


def from_bcoo(b: sparse.BCOO) -> JaxSparse:
    """BCOO [shape] without batch and dense axes -> coo; its padding is left out, its duplicates stay (CORE-V2).

    Errors: COO-C2 for negative coordinates; TypeError for batch and dense axes.
    """
    _no_batch(b)
    inside = np.asarray(jnp.all(b.indices < jnp.asarray(b.shape), axis=1))
    coords = b.indices[inside].T.astype(coordinate_dtype(b.shape))
    return _valid(JaxSparse(COO(), tuple(b.shape), {"coords": coords, "values": b.data[inside]}))


def to_bcsr(a: JaxSparse) -> sparse.BCSR:
    """a [R, C], any layout -> BCSR [R, C]; csr shares its arrays, also inside jit."""
    if not isinstance(a.layout, CSR):
        converted = forward("convert", a, layout=CSR())
        assert isinstance(converted, JaxSparse)
        a = converted
    return sparse.BCSR((a.values, a["indices"], a["indptr"]), shape=a.shape)


def from_bcsr(b: sparse.BCSR) -> JaxSparse:
    """BCSR [R, C] without batch and dense axes -> csr.  Errors: CSR-C2, CSR-C3; TypeError for batch and dense axes."""
    _no_batch(b)
    index = coordinate_dtype(b.shape)
    arrays = {"indptr": b.indptr.astype(index), "indices": b.indices.astype(index), "values": b.data}
    return _valid(JaxSparse(CSR(), tuple(b.shape), arrays))


def to_scipy(a: JaxSparse) -> Any:
    """a [R, C], any layout -> scipy.sparse: csr_array for csr, csc_array for csc, coo_array for all others."""
    whole = to_numpy(a)
    if isinstance(a.layout, CSR | CSC):
        made = scipy.sparse.csr_array if isinstance(a.layout, CSR) else scipy.sparse.csc_array
        return made((whole.values, whole["indices"], whole["indptr"]), shape=a.shape)
    place = whole.layout.positions(whole).reshape(-1)
    return scipy.sparse.coo_array((whole.values.reshape(-1)[place >= 0], np.divmod(place[place >= 0], max(a.shape[1], 1))),
                                  shape=a.shape)


def from_scipy(matrix: Any) -> JaxSparse:
    """scipy.sparse [R, C] -> csr, csc or coo as it is, any other format as coo; float64 needs JAX's 64-bit types."""
    index = coordinate_dtype(matrix.shape)
    if matrix.format in ("csr", "csc"):
        layout = CSR() if matrix.format == "csr" else CSC()
        arrays = {"indptr": matrix.indptr.astype(index), "indices": matrix.indices.astype(index), "values": matrix.data}
    else:
        entries = matrix.tocoo()
        layout, arrays = COO(), {"coords": np.stack(entries.coords).astype(index), "values": entries.data}
    made = {name: jnp.asarray(array) for name, array in arrays.items()}
    if made["values"].dtype != arrays["values"].dtype:
        raise SpecError("CORE-D1", f"JAX would make {made['values'].dtype} of {arrays['values'].dtype}.",
                        wanted="64-bit types, or narrower values", given=f"{matrix.dtype}",
                        fix="jax.config.update('jax_enable_x64', True), or matrix.astype(numpy.float32)")
    return _valid(JaxSparse(layout, tuple(matrix.shape), made))


def _no_batch(b: Any) -> None:
    if b.n_batch or b.n_dense:
        raise TypeError(f"an array without batch and dense axes is wanted; this {type(b).__name__} has n_batch = {b.n_batch} "
                        f"and n_dense = {b.n_dense}: b.update_layout(n_batch=0, n_dense=0)")


def _valid(a: JaxSparse) -> JaxSparse:
    """Refuse what others let through: JAX clamps an index that is out of range, and would answer with another entry."""
    validate(to_numpy(a))
    return a
