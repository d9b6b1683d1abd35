"""Cases of L3 that select: bit-identical to the reference, ties, NaN and chance included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..backend import Cell
from ..dtypes import DTYPES, value_dtype
from ..errors import SpecError
from ..registry import parse_layout, parse_sparsifier, sparsifiers
from ..sparsifiers import SameFormat, SamePattern
from ..sparsifiers.base import Sparsifier
from .case import Ask, Build, Case
from .inputs import Shape, instances, sparse, values
from .wire import Call

SHAPES = ((1, 1), (3, 4), (4, 5), (5, 13), (7, 12), (9, 25), (0, 4), (4, 0))
BLOCKS = ((2, 3, 5), (2, 5, 9))

HOW = {"normal": ("SPF-1", "SPF-2"), "ties": ("SPF-4",), "special": ("SPF-3",), "extreme": ("SPF-2",), "scores": ("SPF-2",),
       "close-scores": ("SPF-2",), "sparse-input": ("SPF-6",)}
"""What makes a selection hard -> the clauses that decide it."""


def selection_cases(profile: str) -> Iterator[Case]:
    """Every sparsifier x dtype x shape; quick: the dtypes other than float32 at two shapes."""
    for name in sparsifiers.names():
        if name in ("same-pattern", "same-format"):
            yield from _same_cases(name)
            continue
        for text in instances(sparsifiers.get(name)):
            sparsifier = parse_sparsifier(text)
            for dtype in DTYPES:
                chosen = SHAPES + BLOCKS if profile == "full" or dtype == "float32" else (SHAPES[4], BLOCKS[1])
                for shape in (shape for shape in chosen if _takes(sparsifier, shape)):
                    yield from _cases(sparsifier, dtype, shape)


def _cases(sparsifier: Sparsifier, dtype: str, shape: Shape) -> Iterator[Case]:
    ask = Ask.SAME_ENERGY if sparsifier.name == "nmg-optimal" else Ask.ANSWER
    for how, clauses in HOW.items():
        unfit = "special" if dtype.startswith("int") else "extreme"                        # integers have no NaN
        if how == unfit or (ask is Ask.SAME_ENERGY and how != "normal"):                   # only optimal's total is decided
            continue
        own = SELECTION_CLAUSE.get(sparsifier.name, ())
        yield Case("L3", Cell("select", (sparsifier.name,), dtype), f"{sparsifier}/{how}", (*clauses, *own),
                   _select(sparsifier, dtype, how), shape, ask)


SELECTION_CLAUSE = {"keep-all": ("KEEP-S1",), "random-fraction": ("RAND-S1", "SPF-5"), "scalar-threshold": ("STHR-S1",),
                    "scalar-fraction": ("SFRAC-S1",), "block-threshold": ("BTHR-S1", "BLK-S1"),
                    "block-fraction": ("BFRAC-S1", "BLK-S1"), "nm": ("NMS-S1",), "vnm": ("VNMS-S1",),
                    "nmg": ("NMGS-S2", "NMGS-S3", "NMGS-S1", "NMGS-S4"), "nmg-optimal": ("NMGO-S1",)}


def _select(sparsifier: Sparsifier, dtype: str, how: str) -> Build:
    def build(shape: Shape, rng: np.random.Generator) -> Call:
        channel = {"ties": "exact", "special": "special", "extreme": "extreme"}.get(how, "normal")
        dense = values(channel, shape, value_dtype(dtype), rng)
        scores: np.ndarray | None = rng.normal(size=shape) if how == "scores" else None
        if how == "close-scores":                              # only float64 tells them apart
            scores = 1 + rng.integers(0, 1000, shape) * 2.0**-40
        draws = rng.random(shape) if sparsifier.needs_draws else None
        given = sparse(parse_layout("coo"), dense, rng) if how == "sparse-input" else dense
        return Call("select", (given, scores, draws), {"sparsifier": str(sparsifier)})
    return build


def _same_cases(name: str) -> Iterator[Case]:
    kind, clause = (SamePattern, "SAME-S1") if name == "same-pattern" else (SameFormat, "SAME-S2")
    for text in ("csr", "masked", "nm:2:4", "nmg:1:3:2", "bsr:2:2"):
        def build(shape: Shape, rng: np.random.Generator, text: str = text) -> Call:
            like = sparse(parse_layout(text), values("normal", shape, np.dtype(np.float32), rng), rng)
            dense = values("normal", shape, np.dtype(np.float32), rng)
            return Call("select", (dense, None, None), {"sparsifier": kind(like)})

        for shape in ((5, 6), (7, 9)):
            yield Case("L3", Cell("select", (name,), "float32"), f"{name} of {text}", (clause,), build, shape)


def _takes(sparsifier: Sparsifier, shape: Shape) -> bool:
    """True where the sparsifier takes arrays of this shape."""
    try:
        sparsifier.select(np.zeros(shape), np.zeros(shape))
    except SpecError:
        return False
    return True
