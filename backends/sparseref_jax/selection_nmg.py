"""nmg: the pattern of every fibre, greedy or optimal."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from sparseref import GreedyNMG, OptimalNMG
from sparseref.layouts.blocks import ceil_div
from sparseref.layouts.patterns import pattern_masks, pattern_places

from .blocks import bring_last, fill_to, send_back
from .numbers import added, rank_of


def select_nmg(sparsifier: GreedyNMG | OptimalNMG, scores: Array, draws: Any) -> Array:
    """scores float64 [shape] -> pattern bool [shape]; each pattern goes to g fibres of every chunk."""
    layout, shape = sparsifier.layout, tuple(scores.shape)
    layout.check(shape)
    plane = bring_last(scores, layout.sparse_axis, layout.group_axis)                      # [B, R, F]
    batch, rows, fibres = plane.shape
    m, blocks, slots = layout.m, ceil_div(rows, layout.m), layout.slots(fibres)
    cut = fill_to(plane, (blocks * m, slots), 0).reshape(batch * blocks, m, slots)         # NMGS-S4: filling scores 0
    masks, kept = jnp.asarray(pattern_masks(layout.n, m)), [jnp.zeros((*cut.shape[:2], 0), bool)]      # [C, m]
    for chunk in layout.chunks(fibres):
        by_pattern = fibre_scores(cut[:, :, chunk.fibres], layout.n)                       # [B*RB, F, C]
        if isinstance(sparsifier, OptimalNMG):                 # SciPy solves the assignment, as it does for the reference
            owner = jax.pure_callback(lambda part, g=chunk.g: sparsifier.assign(np.asarray(part), g).astype(np.int64),
                                      jax.ShapeDtypeStruct(by_pattern.shape[:2], jnp.int64), by_pattern)
        else:
            owner = assign_greedily(by_pattern, chunk.g)
        kept.append(masks[owner].swapaxes(1, 2))                                           # [B*RB, m, F]
    whole = jnp.concatenate(kept, axis=2).reshape(batch, blocks * m, slots)
    return send_back(whole, shape, layout.sparse_axis, layout.group_axis)


def fibre_scores(blocks: Array, n: int) -> Array:
    """blocks [X, m, F] -> [X, F, C]: what fibre f keeps under pattern p, summed in the order of its places (NMGS-S1)."""
    places = pattern_places(n, blocks.shape[1])                                            # [C, n]
    total = jnp.zeros((len(blocks), len(places), blocks.shape[2]), blocks.dtype)
    for j in range(n):
        total = added(total, blocks[:, places[:, j]])                                      # NMGS-S1
    return jnp.where(jnp.isnan(total), jnp.inf, total).swapaxes(1, 2)


def assign_greedily(scores: Array, g: int) -> Array:
    """scores [X, F, C] of X chunks -> [X, F]: best pair first, ties to the lower fibre, then pattern (NMGS-S2, S3).

    Taking pairs from one ranking, best first, gives the one stable matching between fibres and patterns.  So does deferred
    acceptance (Gale and Shapley 1962), which treats all fibres at once: each goes to the best pattern that has not turned it
    down, and each pattern turns down all but its best g; some dozens of rounds instead of F*C steps.
    """
    chunks, fibres, patterns = scores.shape
    pairs = fibres * patterns
    ranking = jnp.argsort(~rank_of(scores).reshape(chunks, pairs), axis=1, stable=True)    # fibre-major: NMGS-S3
    rank = jnp.argsort(ranking, axis=1).reshape(chunks, fibres, patterns)
    wishes = jnp.argsort(rank, axis=2)                         # [X, F, C]: each fibre's patterns, best first
    at = jnp.arange(fibres)

    def propose(refusals: Array) -> tuple[Array, Array]:
        """-> the pattern that each fibre goes to, [X, F], and whether it is turned down."""
        wish = jnp.take_along_axis(wishes, refusals[..., None], axis=2)                    # [X, F, 1]
        merit = jnp.take_along_axis(rank, wish, axis=2)[..., 0]
        line = jnp.argsort(wish[..., 0] * pairs + merit, axis=1)                           # [X, F]: by pattern, the best first
        pattern = jnp.take_along_axis(wish[..., 0], line, axis=1)
        place = at - jax.vmap(jnp.searchsorted)(pattern, pattern)
        turned_down = jnp.take_along_axis(place >= g, jnp.argsort(line, axis=1), axis=1)
        return wish[..., 0], turned_down

    def again(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        refusals, _, turned_down = state
        refusals = refusals + turned_down
        return (refusals, *propose(refusals))

    start = jnp.zeros((chunks, fibres), jnp.int64)
    return lax.while_loop(lambda state: jnp.any(state[2]), again, (start, *propose(start)))[1]
