"""The one contraction behind matmul, linear and conv2d, and the route by rows for layouts with equally many entries a row.

Dense: structural zeros are multiplied, where XLA is at its fastest; beside NaN and infinity they give NaN (CORE-P4), which
the backend declares.  By rows: every row of the weight adds up its entries times the rows of x that they name.  XLA turns a few
gathers, products and additions into one loop that keeps the sums in registers; on a CPU that loop has one thread.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from sparseref import ELL, NM, NMG
from sparseref.dtypes import coordinate_dtype

from .arrays import JaxSparse, Pair, wide_dtype
from .decoding import pair_of
from .positions import nmg_places

AT_ONCE = 16
"""Entries of each row in one loop of XLA: fewer load and store the sums more often, more gain nothing (at 768 x 768)."""


def product(a: Pair, b: Pair) -> Array:
    """a [M, K], b [K, N] in one dtype -> [M, N] in it (MATMUL-1)."""
    return a.value @ b.value


def rows_of(w: JaxSparse) -> tuple[Array, Array] | None:
    """w [O, K] -> columns and values [Q, O] of the Q slots of each row, padding as column K with +0; None: no such layout."""
    if w.ndim != 2:
        return None
    if isinstance(w.layout, ELL):
        return jnp.where(w["indices"] < 0, w.shape[1], w["indices"]).T, w.values.T         # ELL-C2
    if isinstance(w.layout, NM) and w.layout.axis % 2 == 1:
        return _rows_of_nm(w, w.layout)
    if isinstance(w.layout, NMG) and w.layout.sparse_axis % 2 == 0:
        return _rows_of_nmg(w, w.layout)
    return None


def _rows_of_nm(w: JaxSparse, layout: NM) -> tuple[Array, Array]:
    rows, columns = w.shape
    blocks = jnp.arange(w.values.shape[1], dtype=coordinate_dtype(w.shape))[:, None]
    column = blocks * layout.m + w["idx"].astype(blocks.dtype)                             # [O, KB, n], NM-C3
    return jnp.minimum(column, columns).reshape(rows, -1).T, w.values.reshape(rows, -1).T


def _rows_of_nmg(w: JaxSparse, layout: NMG) -> tuple[Array, Array]:
    """Each of the m rows of a block is in C(m-1, n-1) of the patterns, so all rows have equally many slots (NMG-C4)."""
    rows, columns = w.shape
    places = layout.slot_places(columns)                                                   # [S, n]
    owner = places.reshape(-1).argsort(kind="stable").reshape(layout.m, -1).T              # [Q, m] of S * n
    _, column = nmg_places(w, layout, coordinate_dtype(w.shape))                           # [1, RB, S, 1]
    column = jnp.minimum(column[0, :, :, 0], columns)                                      # [RB, S]; NMG-C8: filling

    def of_rows(array: Array, slot: np.ndarray) -> Array:
        """array [RB, slots] -> [Q, O]; all block rows of a slot at once, as XLA gathers number by number otherwise."""
        moved = jnp.take(lax.optimization_barrier(array.T), slot, axis=0)                  # [Q, m, RB]
        return lax.optimization_barrier(moved).swapaxes(1, 2).reshape(len(slot), -1)[:, :rows]

    return of_rows(column, owner // layout.n), of_rows(w.values[0].reshape(len(column), -1), owner)


def pays(w: JaxSparse) -> bool:
    """True where the route by rows is the faster one: measured at 768 x 768 and 128 tokens, up to one slot for
    seven entries on one core and on two, filling included (asv_benchmarks/jaxlinears.py)."""
    return 0 < 7 * w.values.size <= w.size


@jax.custom_jvp
def by_rows(w: JaxSparse, x: Array) -> Array:
    """w [O, K] of equally long rows, x [N, K] -> [N, O] in the dtype that sums are kept in."""
    found = rows_of(w)
    assert found is not None, f"the rows of {w.layout} are not equally long"
    columns, values = found
    dtype = wide_dtype(x.dtype)
    tokens = jnp.concatenate([x.T.astype(dtype), jnp.zeros((1, len(x)), dtype)])           # [K + 1, N]: padding reads zeros
    count, rows = columns.shape
    steps = -(-count // AT_ONCE)

    def in_steps(array: Array, filling: Any) -> Array:
        """[Q, O] -> [steps, AT_ONCE, O]."""
        return jnp.pad(array, ((0, steps * AT_ONCE - count), (0, 0)), constant_values=filling).reshape(steps, AT_ONCE, rows)

    def step(sums: Array, entries: tuple[Array, Array]) -> tuple[Array, None]:
        for column, value in zip(*entries, strict=True):                                   # unrolled: one loop of XLA
            sums = sums + value[:, None] * tokens.at[column].get(mode="promise_in_bounds")
        return sums, None

    entries = (in_steps(columns, x.shape[1]), in_steps(values.astype(dtype), 0))
    return lax.scan(step, jnp.zeros((rows, len(x)), dtype), entries)[0].T


@by_rows.defjvp
def _by_rows_jvp(primals: tuple[JaxSparse, Array], tangents: tuple[JaxSparse, Array]) -> tuple[Array, Array]:
    """Tangents and gradients are dense products: a gather turned round would be a scatter, which XLA does entry by entry."""
    (w, x), (dw, dx) = primals, tangents
    dtype = wide_dtype(x.dtype)
    dense, change = pair_of(w).value.astype(dtype), pair_of(w.with_values(dw.values)).value.astype(dtype)
    return by_rows(w, x), dx.astype(dtype) @ dense.T + x.astype(dtype) @ change.T
