"""nmg: the pattern of every fibre, greedy or optimal."""

from __future__ import annotations

import torch
from torch import Tensor

from sparseref import GreedyNMG, OptimalNMG
from sparseref.layouts.blocks import ceil_div
from sparseref.layouts.patterns import pattern_masks, pattern_places

from .blocks import bring_last, fill_to, send_back


def select_nmg(sparsifier: GreedyNMG | OptimalNMG, scores: Tensor, draws: Tensor | None) -> Tensor:
    """scores float64 [shape] -> pattern bool [shape]; each pattern goes to g fibres of every chunk."""
    layout, shape = sparsifier.layout, tuple(scores.shape)
    layout.check(shape)
    plane = bring_last(scores, layout.sparse_axis, layout.group_axis)                      # [B, R, F]
    batch, rows, fibres = plane.shape
    m, blocks, slots = layout.m, ceil_div(rows, layout.m), layout.slots(fibres)
    cut = fill_to(plane, (blocks * m, slots), 0).reshape(batch * blocks, m, slots)         # NMGS-S4: filling scores 0
    masks = torch.from_numpy(pattern_masks(layout.n, m)).to(scores.device)                 # [C, m]
    kept = torch.zeros_like(cut, dtype=torch.bool)
    for chunk in layout.chunks(fibres):
        by_pattern = fibre_scores(cut[:, :, chunk.fibres], layout.n)                       # [B*RB, F, C]
        if isinstance(sparsifier, OptimalNMG):                 # SciPy solves the assignment, as it does for the reference
            owner = torch.from_numpy(sparsifier.assign(by_pattern.cpu().numpy(), chunk.g)).to(scores.device)
        else:
            owner = assign_greedily(by_pattern, chunk.g)
        kept[:, :, chunk.fibres] = masks[owner].transpose(1, 2)                            # [B*RB, m, F]
    return send_back(kept.reshape(batch, blocks * m, slots), shape, layout.sparse_axis, layout.group_axis)


def fibre_scores(blocks: Tensor, n: int) -> Tensor:
    """blocks [X, m, F] -> [X, F, C]: what fibre f keeps under pattern p, summed in the order of its places (NMGS-S1)."""
    places = torch.from_numpy(pattern_places(n, blocks.shape[1])).to(blocks.device)        # [C, n]
    total = blocks.new_zeros(len(blocks), len(places), blocks.shape[2])
    for j in range(n):
        total = total + blocks[:, places[:, j]]                                            # NMGS-S1
    return torch.where(total.isnan(), torch.inf, total).transpose(1, 2)


def assign_greedily(scores: Tensor, g: int) -> Tensor:
    """scores [X, F, C] of X chunks -> int64 [X, F]: best pair first, ties to the lower fibre, then pattern (NMGS-S2, S3)."""
    chunks, fibres, patterns = scores.shape
    order = (-scores.reshape(chunks, fibres * patterns)).argsort(dim=1, stable=True)           # fibre-major: NMGS-S3
    every = torch.arange(chunks, device=scores.device)
    fibre_at = (order // patterns + every[:, None] * fibres).T.contiguous()                # [F*C, X], flat in owner
    pattern_of = (order % patterns).T.contiguous()
    pattern_at = pattern_of + every * patterns                                             # [F*C, X], flat in room
    owner = torch.full((chunks * fibres,), -1, device=scores.device)
    room = torch.full((chunks * patterns,), g, device=scores.device)
    for fibre, place, pattern in zip(fibre_at, pattern_at, pattern_of, strict=True):       # the same rank in all chunks
        before, left = owner[fibre], room[place]
        take = (before < 0) & (left > 0)
        owner[fibre] = torch.where(take, pattern, before)
        room[place] = left - take.long()
    return owner.reshape(chunks, fibres)
