"""The weight of a Linear that stores few entries and comes nearest to the wanted outputs: which entries, and their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from sparseref import GreedyNMG, OptimalNMG, PerBlockNM, Sparsifier

from ..training.reconstruct import kept_least_squares
from .moments import Moments

Choose = Callable[[Tensor, Sparsifier], Tensor]
"""scores [O, K], sparsifier -> pattern bool [O, K]."""

SHRINK = 0.02
"""How strongly the least-squares weight is drawn to the trained one, against the fit on the texts."""
DAMPING = 0.05
"""Added to the correlations of the inputs while entries are chosen: inputs that say the same are not played off."""
FIT_DAMPING = 0.005
RISING, ROUNDS = 10, 20
"""Rounds in which the sparsity rises to its final value, and all rounds."""


def best_dense(moments: Moments, weight: Tensor, shrink: float = SHRINK) -> Tensor:
    """weight [O, K] -> [O, K]: argmin of E|y - W x|^2 + shrink * sum_k E[x_k^2] |W_k - weight_k|^2, nothing left out."""
    pull = torch.diag(shrink * floored(moments.xx.diagonal()))                             # [K, K]
    return torch.linalg.solve(moments.xx + pull, (moments.yx + weight @ pull).T).T


def best_sparse(target: Tensor, xx: Tensor, sparsifier: Sparsifier, choose: Choose) -> tuple[Tensor, Tensor]:
    """target [O, K], xx [K, K] -> weight [O, K] and pattern bool [O, K]: few entries, (W - target) xx (W - target)T small.

    The alternating direction method of multipliers (ADMM): a dense W that fits, its projection Z on what the sparsifier keeps,
    and U, the sum of how far they were apart; the sparsity rises over the first rounds.  In the scale in which every input
    has variance 1, |W| is the score of Wanda.
    Source: Boza 2024, arXiv 2401.02938; Sun et al. 2023, arXiv 2306.11695.
    """
    scale = floored(xx.diagonal()).sqrt()                                                  # [K]
    target, xx = target * scale, xx / torch.outer(scale, scale)
    eye = torch.eye(len(xx), dtype=xx.dtype, device=xx.device)
    damped = xx + DAMPING * eye
    inverse, wanted = torch.linalg.inv(damped + eye), target @ damped
    weight, apart = target, torch.zeros_like(target)
    for turn in range(ROUNDS):
        if turn < RISING:
            pattern = choose((weight + apart).abs(), on_the_way(sparsifier, (turn + 1) / RISING))
        kept = (weight + apart) * pattern
        apart = apart + weight - kept
        weight = (wanted + kept - apart) @ inverse
    damped = (xx + FIT_DAMPING * eye).double()
    return kept_least_squares(damped, target.double() @ damped, pattern).to(kept) / scale, pattern


def on_the_way(sparsifier: Sparsifier, share: float) -> Sparsifier:
    """A sparsifier, how much of the way is gone -> one that drops less, along a cubic (Zhu and Gupta 2017); at 1 the same."""
    left = (1 - share) ** 3
    if share < 1 and isinstance(sparsifier, GreedyNMG | OptimalNMG | PerBlockNM):
        axis = sparsifier.axis if isinstance(sparsifier, PerBlockNM) else sparsifier.sparse_axis
        return PerBlockNM(sparsifier.n + round((sparsifier.m - sparsifier.n) * left), sparsifier.m, axis)
    if share < 1 and hasattr(sparsifier, "fraction"):
        return dataclasses.replace(sparsifier, fraction=sparsifier.fraction * (1 - left))  # type: ignore[type-var]
    return sparsifier


def floored(variances: Tensor) -> Tensor:
    """[K] -> [K], above 0: an input that never varies is no reason to divide by 0."""
    return variances.clamp_min(1e-6 * float(variances.mean())).clamp_min(torch.finfo(variances.dtype).tiny)
