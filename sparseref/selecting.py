"""select, sparsify and energy: which entries live, and what they keep."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import SparseArray
from .coding import decode, encode
from .dtypes import value_dtype
from .errors import SpecError
from .formats import parse_format
from .layouts.base import Layout
from .registry import parse_layout, parse_sparsifier
from .sparsifiers import own_sparsifier
from .sparsifiers.base import Sparsifier, without_nan
from .sparsifiers.scores import magnitude


def select(values: Any, sparsifier: str | Sparsifier, scores: np.ndarray | None = None,
           rng: np.random.Generator | None = None, draws: np.ndarray | None = None) -> np.ndarray:
    """values [shape] dense or sparse, scores [shape] or None for |values| -> pattern bool [shape].

    `rng` is asked for one number an entry where the sparsifier needs chance; `draws` [shape] gives the numbers instead.
    Errors: SPF-2 (scores of another shape), SPF-5 (no generator, draws of another shape), the sparsifier's own.
    """
    sparsifier = parse_sparsifier(sparsifier)
    dense = decode(values) if isinstance(values, SparseArray) else np.asarray(values)
    value_dtype(dense.dtype)
    ranked = magnitude(dense) if scores is None else without_nan(_real("SPF-2", "scores", scores))  # SPF-2, SPF-3
    if ranked.shape != dense.shape:                                                        # SPF-2
        raise SpecError("SPF-2", "the scores have another shape than the values.", wanted=f"{dense.shape}",
                        given=f"{ranked.shape}")
    if sparsifier.needs_draws and draws is None:
        if not isinstance(rng, np.random.Generator):                                       # SPF-5
            raise SpecError("SPF-5", f"{sparsifier} leaves the choice to chance.", wanted="a numpy.random.Generator",
                            given=repr(rng), fix="pass rng=np.random.default_rng(0)")
        draws = rng.random(dense.shape)
    chances = np.zeros(0) if draws is None else _real("SPF-5", "draws", draws)
    if draws is not None and chances.shape != dense.shape:                                 # SPF-5
        raise SpecError("SPF-5", "the draws have another shape than the values.", wanted=f"{dense.shape}",
                        given=f"{chances.shape}", fix="pass rng.random(values.shape)")
    pattern = sparsifier.select(ranked, chances)
    if isinstance(values, SparseArray) and not sparsifier.structured:                      # SPF-6
        pattern = pattern & values.pattern
    return pattern


def _real(clause: str, what: str, given: Any) -> np.ndarray:
    """Numbers [shape] -> float64 [shape]; text, objects and complex numbers are refused."""
    array = np.asarray(given)
    if array.dtype.kind in "OUSMmcV" and array.dtype.name != "bfloat16":
        raise SpecError(clause, f"the {what} are no real numbers.", wanted="real numbers", given=f"dtype {array.dtype}")
    return array.astype(np.float64)


def sparsify(values: Any, layout: str | Layout, sparsifier: str | Sparsifier | None = None,
             scores: np.ndarray | None = None, rng: np.random.Generator | None = None) -> SparseArray:
    """values [shape], dense or sparse -> SparseArray: the sparsifier chooses, the layout places (SPF-1, SPF-10).

    Without a sparsifier the layout's own is used: nmg:2:8:8 its greedy, csr every entry that is not zero.
    `layout` may be a format such as "csr:0.9", which names the share that a magnitude sparsifier drops (FMT-4).
    """
    if sparsifier is None and isinstance(layout, str):
        sparsifier, layout = parse_format(layout)
    layout = parse_layout(layout)
    pattern = select(values, sparsifier or own_sparsifier(layout), scores, rng)
    return encode(decode(values) if isinstance(values, SparseArray) else values, layout, pattern)


def energy(values: Any, kept: SparseArray | np.ndarray) -> float:
    """values [shape], kept: a SparseArray or pattern [shape] -> sum of |kept| over sum of |all|, 1 where all is 0 (SPF-11).

    Errors: CORE-D1, CORE-E1.
    """
    dense = decode(values) if isinstance(values, SparseArray) else np.asarray(values)
    value_dtype(dense.dtype)
    weights = np.abs(dense.astype(np.float64))
    pattern = kept.pattern if isinstance(kept, SparseArray) else np.asarray(kept)
    if pattern.shape != weights.shape or pattern.dtype != bool:                            # CORE-E1: 0 and 1 are no mask
        raise SpecError("CORE-E1", "the pattern does not fit the array.", wanted=f"bool {weights.shape}",
                        given=f"{pattern.dtype} {pattern.shape}", fix="e.g. pattern = dense != 0")
    total = weights.sum()
    return float(weights[pattern].sum() / total) if total else 1.0
