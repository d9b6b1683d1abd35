"""Which entries live: every sparsifier on float64 scores, bit for bit as the reference chooses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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
)
from sparseref.layouts.blocks import ceil_div
from sparseref.sparsifiers import own_sparsifier
from sparseref.sparsifiers.base import dropped_count
from sparseref.sparsifiers.same import checked_like

from .blocks import bring_last, fill_to, send_back
from .decoding import pair_of, pattern_of
from .selection_nmg import select_nmg
from .tensors import TorchSparse, to_torch


def select(values: Tensor | TorchSparse, sparsifier: Sparsifier, scores: Tensor | None = None,
           draws: Tensor | None = None) -> Tensor:
    """values [shape], scores [shape] or None for |values|, draws [shape] where chance decides -> pattern bool [shape].

    Errors: SPF-2, SPF-5, the sparsifier's own.
    """
    pair = pair_of(values) if isinstance(values, TorchSparse) else None
    dense = values if pair is None else pair.value
    ranked = without_nan(dense.double().abs() if scores is None else scores.double())    # SPF-2, SPF-3
    if ranked.shape != dense.shape:                                                        # SPF-2
        raise SpecError("SPF-2", "the scores have another shape than the values.", wanted=f"{tuple(dense.shape)}",
                        given=f"{tuple(ranked.shape)}")
    if sparsifier.needs_draws and draws is None:                                           # SPF-5
        raise SpecError("SPF-5", f"{sparsifier} leaves the choice to chance.", wanted="draws, one number an entry",
                        given="none", fix="pass draws=rng.random(values.shape)")
    if draws is not None and draws.shape != dense.shape:                                   # SPF-5
        raise SpecError("SPF-5", "the draws have another shape than the values.", wanted=f"{tuple(dense.shape)}",
                        given=f"{tuple(draws.shape)}", fix="pass rng.random(values.shape)")
    pattern = _RULES[type(sparsifier)](sparsifier, ranked, draws)
    if pair is not None and not sparsifier.structured:                                     # SPF-6
        pattern = pattern & pair.stored
    return pattern


def without_nan(scores: Tensor) -> Tensor:
    """scores [...] -> [...] with +inf for NaN (SPF-3)."""
    return torch.where(scores.isnan(), torch.inf, scores)


def keep_largest(scores: Tensor, count: int) -> Tensor:
    """scores [..., L] -> bool [..., L]: the `count` largest along the last axis, ties to the lower index (SPF-4)."""
    order = (-scores).argsort(dim=-1, stable=True)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order[..., :count], True)


def _keep_all(sparsifier: KeepAll, scores: Tensor, draws: Tensor | None) -> Tensor:
    return torch.ones_like(scores, dtype=torch.bool)                                       # KEEP-S1


def _random_fraction(sparsifier: RandomFraction, scores: Tensor, draws: Tensor) -> Tensor:
    return draws >= sparsifier.fraction                                                    # RAND-S1


def _scalar_threshold(sparsifier: ScalarThreshold, scores: Tensor, draws: Tensor | None) -> Tensor:
    return scores >= sparsifier.threshold                                                  # STHR-S1


def _scalar_fraction(sparsifier: ScalarFraction, scores: Tensor, draws: Tensor | None) -> Tensor:
    kept = scores.numel() - dropped_count(sparsifier.fraction, scores.numel())             # SFRAC-S1
    return keep_largest(scores.reshape(-1), kept).reshape(scores.shape)


def _block_scores(scores: Tensor, r: int, c: int) -> Tensor:
    """scores [R, C] -> [RB, CB]: sums over each block in row-major order (BLK-S1)."""
    if scores.ndim != 2:                                                                   # BLK-S3
        raise SpecError("BLK-S3", "blocks are cut from matrices.", wanted="a shape (R, C)",
                        given=f"shape = {tuple(scores.shape)}")
    rows, columns = ceil_div(scores.shape[0], r), ceil_div(scores.shape[1], c)
    blocks = fill_to(scores, (rows * r, columns * c), 0).reshape(rows, r, columns, c)
    total = scores.new_zeros(rows, columns)
    for i in range(r):
        for j in range(c):
            total = total + blocks[:, i, :, j]                                             # BLK-S1: the order of the sum
    return without_nan(total)


def _spread(blocks: Tensor, r: int, c: int, shape: torch.Size) -> Tensor:
    """bool [RB, CB] -> bool [R, C]: each entry lives as its block does."""
    return blocks.repeat_interleave(r, 0).repeat_interleave(c, 1)[:shape[0], :shape[1]]


def _block_threshold(sparsifier: BlockThreshold, scores: Tensor, draws: Tensor | None) -> Tensor:
    kept = _block_scores(scores, sparsifier.r, sparsifier.c) >= sparsifier.threshold       # BTHR-S1
    return _spread(kept, sparsifier.r, sparsifier.c, scores.shape)


def _block_fraction(sparsifier: BlockFraction, scores: Tensor, draws: Tensor | None) -> Tensor:
    blocks = _block_scores(scores, sparsifier.r, sparsifier.c)
    kept = blocks.numel() - dropped_count(sparsifier.fraction, blocks.numel())             # BFRAC-S1
    chosen = keep_largest(blocks.reshape(-1), kept).reshape(blocks.shape)
    return _spread(chosen, sparsifier.r, sparsifier.c, scores.shape)


def _nm(sparsifier: PerBlockNM, scores: Tensor, draws: Tensor | None) -> Tensor:
    sparsifier.layout.check(tuple(scores.shape))
    lines = bring_last(scores, sparsifier.axis)                                            # [B, K]
    blocks = ceil_div(lines.shape[1], sparsifier.m)
    filled = fill_to(lines, (blocks * sparsifier.m,), -torch.inf).reshape(len(lines), blocks, sparsifier.m)
    kept = keep_largest(filled, sparsifier.n)                                              # NMS-S1: filling ranks last
    return send_back(kept.reshape(len(lines), blocks * sparsifier.m), tuple(scores.shape), sparsifier.axis)


def _vnm(sparsifier: VectorNM, scores: Tensor, draws: Tensor | None) -> Tensor:
    sparsifier.layout.check(tuple(scores.shape))
    axes, v, m = (sparsifier.vector_axis, sparsifier.sparse_axis), sparsifier.v, sparsifier.m
    plane = bring_last(scores, *axes)                                                      # [B, V, K]
    batch, rows, columns = plane.shape
    row_blocks, column_blocks = ceil_div(rows, v), ceil_div(columns, m)
    filled = fill_to(plane, (row_blocks * v, column_blocks * m), 0).reshape(batch, row_blocks, v, column_blocks, m)
    total = scores.new_zeros(batch, row_blocks, column_blocks, m)
    for row in range(v):
        total = total + filled[:, :, row]                                                  # VNMS-S1: the order of the sum
    filling = torch.arange(column_blocks * m, device=scores.device).reshape(column_blocks, m) >= columns
    column = keep_largest(torch.where(filling, -torch.inf, without_nan(total)), sparsifier.n)      # [B, VB, KB, m]
    kept = column[:, :, None].expand(-1, -1, v, -1, -1).reshape(batch, row_blocks * v, column_blocks * m)
    return send_back(kept, tuple(scores.shape), *axes)


def _same_pattern(sparsifier: SamePattern, scores: Tensor, draws: Tensor | None) -> Tensor:
    checked_like("SAME-S1", sparsifier.like, tuple(scores.shape))
    return pattern_of(to_torch(sparsifier.like)).clone().to(scores.device)


def _same_format(sparsifier: SameFormat, scores: Tensor, draws: Tensor | None) -> Tensor:
    checked_like("SAME-S2", sparsifier.like, tuple(scores.shape))
    like = to_torch(sparsifier.like)
    if like.layout.any_pattern:                                                            # SAME-S2: the exact count
        return keep_largest(scores.reshape(-1), int(pattern_of(like).sum())).reshape(scores.shape)
    own = own_sparsifier(like.layout)
    return _RULES[type(own)](own, scores, draws)


_RULES: dict[type[Sparsifier], Callable[..., Tensor]] = {
    KeepAll: _keep_all, RandomFraction: _random_fraction, ScalarThreshold: _scalar_threshold, ScalarFraction: _scalar_fraction,
    BlockThreshold: _block_threshold, BlockFraction: _block_fraction, PerBlockNM: _nm, VectorNM: _vnm, GreedyNMG: select_nmg,
    OptimalNMG: select_nmg, SamePattern: _same_pattern, SameFormat: _same_format}

SPARSIFIERS = tuple(sparsifier.name for sparsifier in _RULES)
"""The sparsifiers that this backend knows, by name."""
