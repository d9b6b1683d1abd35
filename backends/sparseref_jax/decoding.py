"""From a sparse array to its dense values and its pattern."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from sparseref import COO, CSC, CSR, Dense, Masked

from .arrays import JaxSparse, Operand, Pair, wide_dtype
from .positions import positions


def pair_of(a: JaxSparse) -> Pair:
    """JaxSparse -> value [shape], +0 where nothing is stored, and pattern [shape] (CORE-V1, CORE-P1)."""
    if isinstance(a.layout, Dense):
        return Pair(a.values)
    if isinstance(a.layout, Masked):
        return Pair(jnp.where(a["mask"], a.values, jnp.zeros((), a.dtype)), a["mask"])
    position, values = positions(a).reshape(-1), a.values.reshape(-1)
    place = jnp.where(position < 0, a.size, position)          # CORE-P5: padding goes to a spare place that is cut off
    pattern = jnp.zeros(a.size + 1, bool).at[place].set(True, mode="promise_in_bounds")
    dense = jnp.zeros(a.size + 1, a.dtype)
    if isinstance(a.layout, COO | CSR | CSC) and len(place):   # the others hold each position once at most
        dense = lax.cond(_no_duplicates(a, place), _set, _add_up, dense, place, values)
    else:
        dense = _set(dense, place, values)
    return Pair(dense[:a.size].reshape(a.shape), pattern[:a.size].reshape(a.shape))


def decode(a: JaxSparse) -> Array:
    """JaxSparse -> dense [shape]."""
    return pair_of(a).value


def pattern_of(a: JaxSparse) -> Array:
    """JaxSparse -> bool [shape]: True where an entry is stored."""
    return pair_of(a).stored


def wide_pair(operand: Operand) -> Pair | None:
    """Any operand -> its pair in the dtype that sums are kept in."""
    if operand is None:
        return None
    pair = pair_of(operand) if isinstance(operand, JaxSparse) else Pair(operand)
    return Pair(pair.value.astype(wide_dtype(pair.value.dtype)), pair.pattern)


def _no_duplicates(a: JaxSparse, place: Array) -> Array:
    """True where the slots rise in the layout's own order, as canonical ones do."""
    order = place if not isinstance(a.layout, CSC) else place % a.shape[1] * a.shape[0] + place // a.shape[1]
    return jnp.all(order[1:] > order[:-1])


def _set(dense: Array, place: Array, values: Array) -> Array:
    return dense.at[place].set(values, mode="promise_in_bounds")


def _add_up(dense: Array, place: Array, values: Array) -> Array:
    """Duplicates add up in slot order, each sum rounded (CORE-V2); what stands alone is moved, not added to 0."""
    spare, slots = dense.shape[0] - 1, jnp.arange(len(place), dtype=place.dtype)
    first = jnp.full(dense.shape, len(place), place.dtype).at[place].min(slots)            # the first slot of each place
    leads = first[place] == slots
    dense = dense.at[jnp.where(leads, place, spare)].set(values)

    def one(dense: Array, slot: tuple[Array, Array]) -> tuple[Array, None]:
        at, value = slot
        return dense.at[at].add(value), None

    return jax.lax.scan(one, dense, (jnp.where(leads, spare, place), values))[0]
