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
    place, values = places_of(a), a.values.reshape(-1)
    pattern = jnp.zeros(a.size, bool).at[place].set(True, mode="drop")
    dense = jnp.zeros(a.size, a.dtype)
    if isinstance(a.layout, COO | CSR | CSC) and len(place):   # the others hold each position once at most
        dense = lax.cond(_no_duplicates(a, place), _set, _add_up, dense, place, values)
    else:
        dense = _set(dense, place, values)
    return Pair(dense.reshape(a.shape), pattern.reshape(a.shape))


def places_of(a: JaxSparse) -> Array:
    """a -> [slots]: the row-major index of each slot's entry; of padding one beyond the array, another for each (CORE-P5)."""
    position = positions(a).reshape(-1)
    most = a.size + position.size
    if most > jnp.iinfo(position.dtype).max:
        if not jax.config.jax_enable_x64:
            raise ValueError(f"an array of {a.size} entries needs 64-bit indices: jax.config.update('jax_enable_x64', True)")
        position = position.astype(jnp.int64)
    return jnp.where(position < 0, a.size + jnp.arange(position.size, dtype=position.dtype), position)


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
    return dense.at[place].set(values, mode="drop", unique_indices=True)


def _add_up(dense: Array, place: Array, values: Array) -> Array:
    """Duplicates add up in slot order, each sum rounded (CORE-V2); what stands alone is moved, not added to 0."""
    beyond, slots = dense.shape[0], jnp.arange(len(place), dtype=place.dtype)
    first = jnp.full(dense.shape, len(place), place.dtype).at[place].min(slots)            # the first slot of each place
    leads = first[place] == slots
    dense = _set(dense, jnp.where(leads, place, beyond + slots), values)

    def one(dense: Array, slot: tuple[Array, Array]) -> tuple[Array, None]:
        at, value = slot
        return dense.at[at].add(value, mode="drop"), None

    return lax.scan(one, dense, (jnp.where(leads, beyond, place), values))[0]
