"""nmg: from a pattern to the slot of every fibre, in canonical order."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from sparseref import NMG
from sparseref.layouts.nmg import Chunk
from sparseref.layouts.patterns import pattern_masks


def assign_fibres(layout: NMG, kept: Array, rows: int, fibres: int) -> tuple[Array, Any]:
    """kept bool [B, RB, m, S], the real rows and fibres -> [B, RB, S]: the fibre in each slot, counted from the start of its
    chunk (NMG-C10); whether every fibre finds a slot."""
    whole, fits, parts = rows // layout.m, jnp.asarray(True), []   # blocks with all m rows; at most one more has fewer
    for chunk in layout.chunks(fibres):
        real_fibres = min(fibres - chunk.first, chunk.patterns * chunk.g)
        pieces = []
        for blocks, real_rows in ((slice(0, whole), layout.m), (slice(whole, None), rows % layout.m)):
            part = kept[:, blocks, :, chunk.fibres].swapaxes(2, 3)                         # [B, blocks, fibre, m]
            slot_of, found = _slot_of_each_fibre(layout, chunk, part, real_fibres, real_rows)
            fits &= found
            pieces.append(jnp.argsort(slot_of, axis=2))                                    # the fibre of each slot
        parts.append(jnp.concatenate(pieces, axis=1))
    if not parts:
        return jnp.zeros((*kept.shape[:2], 0), jnp.int32), True
    return jnp.concatenate(parts, axis=2), fits


def _slot_of_each_fibre(layout: NMG, chunk: Chunk, kept: Array, real_fibres: int, real_rows: int) -> tuple[Array, Any]:
    """kept bool [B, blocks, fibre, m], rows of which are real -> [B, blocks, fibre]; whether all have a slot."""
    masks = pattern_masks(layout.n, layout.m) & (np.arange(layout.m) < real_rows)          # real rows only
    overlap = jnp.einsum("bkfm,pm->bkfp", kept.astype(jnp.float32), masks.astype(np.float32))
    count = jnp.sum(kept, axis=3, keepdims=True)
    fits = (overlap == count) & (masks.sum(1) == count)        # the real rows of pattern p are the fibre's kept rows
    fibre = jnp.arange(kept.shape[2])
    fits &= (fibre < real_fibres)[:, None]                     # filling comes last, where room is left

    def one(slot_of: Array, pattern: tuple[Array, Array]) -> tuple[Array, None]:           # NMG-C10: pattern order
        number, fitting = pattern
        wanting = fitting & (slot_of < 0)
        order = jnp.cumsum(wanting, axis=2) - 1                                            # lower fibre first
        return jnp.where(wanting & (order < chunk.g), number * chunk.g + order, slot_of), None

    numbers = jnp.arange(chunk.patterns)
    slot_of, _ = lax.scan(one, jnp.full(kept.shape[:3], -1, numbers.dtype), (numbers, jnp.moveaxis(fits, 3, 0)))
    found = jnp.all(slot_of[:, :, :real_fibres] >= 0)                                      # NMG-C6
    slot = jnp.arange(slot_of.shape[2])
    taken = jnp.any(slot_of[..., None] == slot, axis=2) if real_fibres < len(slot) else None
    if taken is not None:                                      # NMG-C10: filling takes the free slots, lowest first
        free = jnp.argsort(taken, axis=2, stable=True)[:, :, :len(slot) - real_fibres]
        slot_of = slot_of.at[:, :, real_fibres:].set(free)
    return slot_of, found
