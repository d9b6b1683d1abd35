"""Quality on real data: does a headline find its own article among all?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean over queries and its standard error: another sample of queries would give value +- 2 errors, 19 times of 20."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


def estimate(scores: np.ndarray) -> Estimate:
    """scores [N], one a query -> their mean and its standard error; of hits and misses it is the binomial one."""
    return Estimate(float(scores.mean()), float(scores.std() / np.sqrt(len(scores))))


def ranks_of(cosines: np.ndarray) -> np.ndarray:
    """Cosines [N, N] -> int [N]: the place of each headline's own article among all, 1 is best.

    A tie, or a NaN, is counted against the model: one that gives every text the same vector must not look perfect.
    """
    own = cosines.diagonal()[:, None]                          # [N, 1]
    return np.asarray((~(cosines < own)).sum(axis=1))


def hits(ranks: np.ndarray, k: int) -> np.ndarray:
    """ranks [N] -> float [N]: 1 where the article is among the first k."""
    return (ranks <= k).astype(np.float64)


@dataclass(frozen=True)
class Quality:
    """The rank [N] of each headline's article under the dense and under the sparse model, over the same queries."""

    dense: np.ndarray
    sparse: np.ndarray

    @classmethod
    def of(cls, dense: np.ndarray, sparse: np.ndarray) -> Quality:
        """The two models' cosines [N, N] -> the ranks."""
        return cls(ranks_of(dense), ranks_of(sparse))

    @property
    def queries(self) -> int:
        return len(self.dense)

    def recall(self, k: int = 1) -> tuple[Estimate, Estimate, Estimate]:
        """The share of headlines whose article is among the first k: dense, sparse, sparse - dense."""
        return _compare(hits(self.dense, k), hits(self.sparse, k))

    def mrr(self) -> tuple[Estimate, Estimate, Estimate]:
        """The mean of 1 / rank: dense, sparse, sparse - dense."""
        return _compare(1 / self.dense, 1 / self.sparse)


def _compare(dense: np.ndarray, sparse: np.ndarray) -> tuple[Estimate, Estimate, Estimate]:
    """The error of the difference is that of paired samples: both models answer the same queries."""
    return estimate(dense), estimate(sparse), estimate(sparse - dense)
