"""What every sparsifier answers: which entries live, how it reads them, and how ties and NaN fall."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar

import numpy as np

from ..descriptor import Descriptor
from ..errors import SpecError


class Kind(Enum):
    """How much of the tensor a sparsifier must hold before it can decide (SPF-7)."""

    STREAMING = "streaming"            # one entry at a time, O(1) memory
    BLOCKING = "blocking"              # one block at a time, O(block) memory
    MATERIALIZING = "materializing"    # the whole tensor


class Sparsifier(Descriptor, ABC):
    """Chooses which entries live, from one score an entry; it never changes a value and knows no layout (SPF-1).

    `structured` says that the pattern has a fixed form, so that a structural zero of the input may be chosen (SPF-6).
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    passes: ClassVar[int] = 1
    memory: ClassVar[str]              # working memory, in entries
    structured: ClassVar[bool] = False
    needs_draws: ClassVar[bool] = False

    @abstractmethod
    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """scores float64 [shape], no NaN; draws float64 [shape] in [0, 1) or empty -> pattern bool [shape]."""


def checked_fraction(fraction: float) -> None:
    """Refuse a fraction outside 0..1 (SPF-8)."""
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise SpecError("SPF-8", "this is no fraction.", wanted="0 <= fraction <= 1, the share that is dropped",
                        given=f"fraction = {fraction!r}", fix="0.9 drops nine entries of ten")


def checked_threshold(threshold: float) -> None:
    """Refuse a threshold that no score can be compared with (SPF-9)."""
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or math.isnan(threshold):
        raise SpecError("SPF-9", "this is no threshold.", wanted="a number, not NaN", given=f"threshold = {threshold!r}")


def without_nan(scores: np.ndarray) -> np.ndarray:
    """scores [...] -> [...] with +inf for NaN: a NaN is kept first, never lost from sight (SPF-3)."""
    return np.where(np.isnan(scores), np.inf, scores)


def keep_largest(scores: np.ndarray, count: int) -> np.ndarray:
    """scores [..., L], count -> bool [..., L]: the `count` largest along the last axis, ties to the lower index (SPF-4)."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    pattern = np.zeros(scores.shape, bool)
    np.put_along_axis(pattern, order[..., :count], True, axis=-1)
    return pattern


def put_back(kept: np.ndarray, numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """kept bool [...], numbers [...] of the entries (-1: filling) -> pattern bool [shape]."""
    pattern = np.zeros(math.prod(shape), bool)
    pattern[numbers[kept & (numbers >= 0)]] = True
    return pattern.reshape(shape)


def dropped_count(fraction: float, size: int) -> int:
    """How many of `size` a fraction drops: the float64 product rounded to nearest, ties to even (SFRAC-S1)."""
    return int(np.rint(np.float64(fraction) * size))


LEAST_POSITIVE = math.ldexp(1.0, -1074)
"""The least positive float64: as a threshold it keeps every entry that is not zero."""
