"""Which entries live: every sparsifier on float64 scores, bit for bit as the reference chooses.

Scores are added in float64 whether or not JAX otherwise has it, and ranked as whole numbers (numbers.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sparseref import (
    BlockFraction,
    BlockThreshold,
    GreedyNMG,
    KeepAll,
    OptimalNMG,
    PerBlockNM,
    RandomFraction,
    SameFormat,
    SamePattern,
    ScalarFraction,
    ScalarThreshold,
    Sparsifier,
    SpecError,
    VectorNM,
    selecting,
)
from sparseref.layouts.blocks import ceil_div
from sparseref.sparsifiers import own_sparsifier
from sparseref.sparsifiers.base import dropped_count
from sparseref.sparsifiers.same import checked_like

from .arrays import JaxSparse, is_traced, to_jax, to_numpy
from .blocks import bring_last, fill_to, send_back
from .decoding import pair_of, pattern_of
from .numbers import added, magnitude, rank_of, to_double
from .selection_nmg import select_nmg


def select(values: Array | JaxSparse, sparsifier: Sparsifier, scores: Array | None = None, draws: Array | None = None) -> Array:
    """values [shape], scores [shape] or None for |values|, draws [shape] where chance decides -> pattern bool [shape].

    Errors: SPF-2, SPF-5, the sparsifier's own.
    """
    shape = tuple(values.shape)
    if scores is not None and scores.shape != shape:                                       # SPF-2
        raise SpecError("SPF-2", "the scores have another shape than the values.", wanted=f"{shape}", given=f"{scores.shape}")
    if sparsifier.needs_draws and draws is None:                                           # SPF-5
        raise SpecError("SPF-5", f"{sparsifier} leaves the choice to chance.", wanted="draws, one number an entry",
                        given="none", fix="pass draws=jax.random.uniform(key, values.shape)")
    if draws is not None and draws.shape != shape:                                         # SPF-5
        raise SpecError("SPF-5", "the draws have another shape than the values.", wanted=f"{shape}", given=f"{draws.shape}",
                        fix="pass jax.random.uniform(key, values.shape)")
    if isinstance(sparsifier, OptimalNMG) and not is_traced(values, scores):               # NMGO-S2 can be told out here alone
        return jnp.asarray(selecting.select(to_numpy(values), sparsifier, to_numpy(scores)))
    with jax.enable_x64(True):
        if isinstance(sparsifier, SamePattern | SameFormat):   # they hold an array, so that jit cannot know them by value
            return _as_like(values, sparsifier, scores)
        return _select(values, sparsifier, scores, draws)


def _as_like(values: Array | JaxSparse, sparsifier: SamePattern | SameFormat, scores: Array | None) -> Array:
    shape = tuple(values.shape)
    checked_like("SAME-S1" if isinstance(sparsifier, SamePattern) else "SAME-S2", sparsifier.like, shape)
    like = to_jax(sparsifier.like)
    if isinstance(sparsifier, SamePattern):
        return jnp.array(pattern_of(like))                                                 # SAME-S1
    if not like.layout.any_pattern:
        return _select(values, own_sparsifier(like.layout), scores, None)
    return _exact_count(values, scores, int(jnp.sum(pattern_of(like))))                    # SAME-S2: the exact count


@partial(jax.jit, static_argnames=("sparsifier",))
def _select(values: Array | JaxSparse, sparsifier: Sparsifier, scores: Array | None, draws: Array | None) -> Array:
    pair = pair_of(values) if isinstance(values, JaxSparse) else None
    ranked = ranked_by(values if pair is None else pair.value, scores)
    pattern = _RULES[type(sparsifier)](sparsifier, ranked, draws)
    if pair is not None and not sparsifier.structured:                                     # SPF-6
        pattern = pattern & pair.stored
    return pattern


@partial(jax.jit, static_argnames=("count",))
def _exact_count(values: Array | JaxSparse, scores: Array | None, count: int) -> Array:
    ranked = ranked_by(pair_of(values).value if isinstance(values, JaxSparse) else values, scores)
    return keep_largest(ranked.reshape(-1), count).reshape(ranked.shape)


def ranked_by(dense: Array, scores: Array | None) -> Array:
    """dense [shape], scores [shape] or None for |dense| -> float64 [shape] (SPF-2, SPF-3)."""
    return without_nan(magnitude(to_double(dense)) if scores is None else to_double(scores))


def without_nan(scores: Array) -> Array:
    """scores [...] -> [...] with +inf for NaN (SPF-3)."""
    return jnp.where(jnp.isnan(scores), jnp.inf, scores)


def keep_largest(scores: Array, count: int) -> Array:
    """scores [..., L] -> bool [..., L]: the `count` largest along the last axis, ties to the lower index (SPF-4)."""
    order = jnp.argsort(~rank_of(scores), axis=-1, stable=True)                            # ~: falling, without overflow
    place = jnp.argsort(order, axis=-1)
    return place < count


def _keep_all(sparsifier: KeepAll, scores: Array, draws: Any) -> Array:
    return jnp.ones(scores.shape, bool)                                                    # KEEP-S1


def _at_least(numbers: Array, least: float) -> Array:
    return rank_of(numbers) >= rank_of(jnp.asarray(least, jnp.float64))


def _random_fraction(sparsifier: RandomFraction, scores: Array, draws: Array) -> Array:
    return _at_least(to_double(draws), sparsifier.fraction) & ~jnp.isnan(draws)            # RAND-S1


def _scalar_threshold(sparsifier: ScalarThreshold, scores: Array, draws: Any) -> Array:
    return _at_least(scores, sparsifier.threshold)                                         # STHR-S1


def _scalar_fraction(sparsifier: ScalarFraction, scores: Array, draws: Any) -> Array:
    kept = scores.size - dropped_count(sparsifier.fraction, scores.size)                   # SFRAC-S1
    return keep_largest(scores.reshape(-1), kept).reshape(scores.shape)


def _block_scores(scores: Array, r: int, c: int) -> Array:
    """scores [R, C] -> [RB, CB]: sums over each block in row-major order (BLK-S1)."""
    if scores.ndim != 2:                                                                   # BLK-S3
        raise SpecError("BLK-S3", "blocks are cut from matrices.", wanted="a shape (R, C)", given=f"shape = {scores.shape}")
    rows, columns = ceil_div(scores.shape[0], r), ceil_div(scores.shape[1], c)
    blocks = fill_to(scores, (rows * r, columns * c), 0).reshape(rows, r, columns, c)
    return without_nan(added_in_order(blocks.transpose(1, 3, 0, 2).reshape(r * c, rows, columns)))


def added_in_order(terms: Array) -> Array:
    """terms [L, ...] -> [...]: 0 + terms[0] + terms[1] and so on; the order decides the last bit (BLK-S1, NMGS-S1)."""
    return jax.lax.scan(lambda total, term: (added(total, term), None), jnp.zeros_like(terms[0]), terms)[0] if len(terms) else \
        jnp.zeros(terms.shape[1:], terms.dtype)


def _spread(blocks: Array, r: int, c: int, shape: tuple[int, ...]) -> Array:
    """bool [RB, CB] -> bool [R, C]: each entry lives as its block does."""
    return jnp.repeat(jnp.repeat(blocks, r, axis=0), c, axis=1)[:shape[0], :shape[1]]


def _block_threshold(sparsifier: BlockThreshold, scores: Array, draws: Any) -> Array:
    kept = _at_least(_block_scores(scores, sparsifier.r, sparsifier.c), sparsifier.threshold)      # BTHR-S1
    return _spread(kept, sparsifier.r, sparsifier.c, scores.shape)


def _block_fraction(sparsifier: BlockFraction, scores: Array, draws: Any) -> Array:
    blocks = _block_scores(scores, sparsifier.r, sparsifier.c)
    kept = blocks.size - dropped_count(sparsifier.fraction, blocks.size)                   # BFRAC-S1
    return _spread(keep_largest(blocks.reshape(-1), kept).reshape(blocks.shape), sparsifier.r, sparsifier.c, scores.shape)


def _nm(sparsifier: PerBlockNM, scores: Array, draws: Any) -> Array:
    sparsifier.layout.check(scores.shape)
    lines = bring_last(scores, sparsifier.axis)                                            # [B, K]
    blocks = ceil_div(lines.shape[1], sparsifier.m)
    filled = fill_to(lines, (blocks * sparsifier.m,), -np.inf).reshape(len(lines), blocks, sparsifier.m)
    kept = keep_largest(filled, sparsifier.n)                                              # NMS-S1: filling ranks last
    return send_back(kept.reshape(len(lines), blocks * sparsifier.m), scores.shape, sparsifier.axis)


def _vnm(sparsifier: VectorNM, scores: Array, draws: Any) -> Array:
    sparsifier.layout.check(scores.shape)
    axes, v, m = (sparsifier.vector_axis, sparsifier.sparse_axis), sparsifier.v, sparsifier.m
    plane = bring_last(scores, *axes)                                                      # [B, V, K]
    batch, rows, columns = plane.shape
    row_blocks, column_blocks = ceil_div(rows, v), ceil_div(columns, m)
    filled = fill_to(plane, (row_blocks * v, column_blocks * m), 0).reshape(batch, row_blocks, v, column_blocks, m)
    total = added_in_order(jnp.moveaxis(filled, 2, 0))                                     # VNMS-S1: the order of the sum
    filling = jnp.arange(column_blocks * m).reshape(column_blocks, m) >= columns
    column = keep_largest(jnp.where(filling, -jnp.inf, without_nan(total)), sparsifier.n)  # [B, VB, KB, m]
    kept = jnp.broadcast_to(column[:, :, None], (batch, row_blocks, v, column_blocks, m))
    return send_back(kept.reshape(batch, row_blocks * v, column_blocks * m), scores.shape, *axes)


_RULES: dict[type[Sparsifier], Callable[..., Array]] = {
    KeepAll: _keep_all, RandomFraction: _random_fraction, ScalarThreshold: _scalar_threshold, ScalarFraction: _scalar_fraction,
    BlockThreshold: _block_threshold, BlockFraction: _block_fraction, PerBlockNM: _nm, VectorNM: _vnm, GreedyNMG: select_nmg,
    OptimalNMG: select_nmg}

SPARSIFIERS = (*(sparsifier.name for sparsifier in _RULES), SamePattern.name, SameFormat.name)
"""The sparsifiers that this backend knows, by name."""
