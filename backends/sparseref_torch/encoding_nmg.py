"""nmg: from a pattern to the slot of every fibre, in canonical order."""

from __future__ import annotations

import torch
from torch import Tensor

from sparseref import NMG
from sparseref.layouts.nmg import Chunk
from sparseref.layouts.patterns import pattern_masks


def assign_fibres(layout: NMG, kept: Tensor, rows: int, fibres: int) -> Tensor | None:
    """kept bool [B, RB, m, S], the real rows and fibres -> int64 [B, RB, S]: the fibre in each slot, counted from the
    start of its chunk (NMG-C10); None where a fibre finds no slot."""
    idx = torch.zeros(kept.shape[:2] + kept.shape[3:], dtype=torch.int64, device=kept.device)
    whole = rows // layout.m                                   # blocks with all m rows; at most one more has fewer
    for chunk in layout.chunks(fibres):
        real_fibres = min(fibres - chunk.first, chunk.patterns * chunk.g)
        for blocks, real_rows in ((slice(0, whole), layout.m), (slice(whole, None), rows % layout.m)):
            part = kept[:, blocks, :, chunk.fibres].transpose(2, 3)                        # [B, blocks, fibre, m]
            if not part.numel():
                continue
            slot_of = _slot_of_each_fibre(layout, chunk, part, real_fibres, real_rows)
            if slot_of is None:
                return None
            idx[:, blocks, chunk.fibres] = slot_of.argsort(2)  # the fibre of each slot
    return idx


def _slot_of_each_fibre(layout: NMG, chunk: Chunk, kept: Tensor, real_fibres: int, real_rows: int) -> Tensor | None:
    """kept bool [B, blocks, fibre, m] -> int64 [B, blocks, fibre]: each pattern takes its g lowest fitting fibres."""
    device = kept.device
    masks = torch.from_numpy(pattern_masks(layout.n, layout.m)).to(device)                 # [C, m]
    masks = masks & (torch.arange(layout.m, device=device) < real_rows)                    # real rows only
    overlap = kept.float() @ masks.float().T                                               # [B, blocks, fibre, C]
    count = kept.sum(3, keepdim=True)
    fits = (overlap == count) & (masks.sum(1) == count)        # the real rows of pattern p are the fibre's kept rows
    fits[:, :, real_fibres:] = False                           # filling comes last, where room is left
    slot_of = torch.full(kept.shape[:3], -1, device=device)                                # [B, blocks, fibre]
    for p in range(chunk.patterns):                                                        # NMG-C10: pattern order
        wanting = fits[..., p] & (slot_of < 0)
        order = wanting.cumsum(2) - 1                                                      # lower fibre first
        slot_of = torch.where(wanting & (order < chunk.g), p * chunk.g + order, slot_of)
    if (slot_of[:, :, :real_fibres] < 0).any():                                            # NMG-C6
        return None
    taken = torch.zeros_like(slot_of).scatter_(2, slot_of[:, :, :real_fibres], 1)
    free = taken.argsort(dim=2, stable=True)[:, :, :slot_of.shape[2] - real_fibres]            # free slots, lowest first
    slot_of[:, :, real_fibres:] = free                                                     # NMG-C10: filling
    return slot_of
