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
    """scores [X, F, C] of X chunks -> int64 [X, F]: best pair first, ties to the lower fibre, then pattern (NMGS-S2, S3).

    Taking pairs from one ranking, best first, gives the one stable matching between fibres and patterns.  So does deferred
    acceptance (Gale and Shapley 1962), which treats all fibres at once: each goes to the best pattern that has not turned it
    down, and each pattern turns down all but its best g; some dozens of rounds instead of F*C steps.
    """
    chunks, fibres, patterns = scores.shape
    pairs = fibres * patterns
    ranking = (-scores.reshape(chunks, pairs)).argsort(dim=1, stable=True)                 # fibre-major: NMGS-S3
    rank = torch.empty_like(ranking).scatter_(1, ranking, torch.arange(pairs, device=scores.device).expand_as(ranking))
    rank = rank.reshape(chunks, fibres, patterns)
    wishes = rank.argsort(dim=2)                               # [X, F, C]: each fibre's patterns, best first
    refusals = torch.zeros(chunks, fibres, dtype=torch.int64, device=scores.device)
    while True:
        wish = wishes.gather(2, refusals[..., None])           # [X, F, 1]
        merit = rank.gather(2, wish)[..., 0]
        line = (wish[..., 0] * pairs + merit).argsort(dim=1)   # [X, F]: fibres by pattern, the best first
        pattern = wish[..., 0].gather(1, line)
        place = torch.arange(fibres, device=scores.device) - torch.searchsorted(pattern, pattern)
        if not (place >= g).any():
            return wish[..., 0]
        refusals.scatter_add_(1, line, (place >= g).long())
