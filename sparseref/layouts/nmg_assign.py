"""nmg: from a pattern to the slot of every fibre, in canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import SpecError
from .patterns import pattern_masks

if TYPE_CHECKING:
    from .nmg import NMG, Chunk


def assign_fibres(layout: NMG, pattern: np.ndarray) -> np.ndarray:
    """pattern bool [shape] -> int64 [B, RB, S]: the fibre in each slot, counted from the start of its chunk (NMG-C10).

    Errors: NMG-C6, where the fibres that keep one pattern are more than the slots it owns, or a fibre keeps none.
    """
    kept = layout.cut(pattern, False)                                                      # [B, RB, m, S]
    rows, fibres = pattern.shape[layout.sparse_axis], pattern.shape[layout.group_axis]
    idx = np.zeros((*kept.shape[:2], kept.shape[3]), np.int64)
    whole = rows // layout.m                                   # blocks with all m rows; at most one more has fewer
    for chunk in layout.chunks(fibres):
        real_fibres = min(fibres - chunk.first, chunk.patterns * chunk.g)
        for blocks, real_rows in ((slice(0, whole), layout.m), (slice(whole, None), rows % layout.m)):
            part = kept[:, blocks, :, chunk.fibres].transpose(0, 1, 3, 2)                  # [B, blocks, fibre, m]
            if part.size:
                idx[:, blocks, chunk.fibres] = _assign_chunk(layout, chunk, part, real_fibres, real_rows)
    return idx


def _assign_chunk(layout: NMG, chunk: Chunk, kept: np.ndarray, real_fibres: int, real_rows: int) -> np.ndarray:
    """kept bool [B, blocks, fibre, m] -> int64 [B, blocks, C*g]: each pattern takes its g lowest fitting fibres."""
    masks = pattern_masks(layout.n, layout.m) & (np.arange(layout.m) < real_rows)          # [C, m], real rows only
    overlap = kept.astype(np.float32) @ masks.T.astype(np.float32)                         # [B, blocks, fibre, C]
    count = kept.sum(axis=3)[..., None]
    fits = (overlap == count) & (masks.sum(axis=1) == count)   # the real rows of pattern p are the fibre's kept rows
    fits[:, :, real_fibres:] = False                           # filling comes last, where room is left
    size = chunk.patterns * chunk.g
    slot_of = np.full(kept.shape[:3], -1)                                                  # [B, blocks, fibre]
    for p in range(chunk.patterns):                                                        # NMG-C10: pattern order
        wanting = fits[..., p] & (slot_of < 0)
        order = np.cumsum(wanting, axis=2) - 1                                             # lower fibre first
        slot_of = np.where(wanting & (order < chunk.g), p * chunk.g + order, slot_of)
    homeless = np.argwhere(slot_of[:, :, :real_fibres] < 0)
    if homeless.size:
        _refuse(layout, chunk, kept, homeless[0])
    taken = np.zeros((*kept.shape[:2], size), bool)
    np.put_along_axis(taken, slot_of[:, :, :real_fibres], True, axis=2)
    free = np.argsort(taken, axis=2, kind="stable")[:, :, :size - real_fibres]             # free slots, lowest first
    slot_of[:, :, real_fibres:] = free                                                     # NMG-C10: filling
    return np.argsort(slot_of, axis=2)                         # the fibre of each slot, from the slot of each fibre


def _refuse(layout: NMG, chunk: Chunk, kept: np.ndarray, where: np.ndarray) -> None:
    b, block, fibre = where
    places = np.flatnonzero(kept[b, block, fibre])
    same = int((kept[b, block] == kept[b, block, fibre]).all(axis=1).sum())
    raise SpecError("NMG-C6", f"fibre {chunk.first + fibre} (batch {b}) keeps rows {places.tolist()} of its block, and no slot "
                    "is left for it.", wanted=f"{layout.n} of {layout.m} rows kept, each pattern by at most {chunk.g} fibres",
                    given=f"{len(places)} rows kept, this pattern by {same} fibres of the chunk",
                    fix=f"choose the pattern with GreedyNMG({layout.n}, {layout.m}, {layout.g})")
