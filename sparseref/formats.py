"""Output formats in STen's four parts, and the short strings for a sparsifier with a layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .array import SparseArray
from .coding import decode, encode
from .errors import SpecError
from .layouts import BSR, Dense
from .layouts.base import Layout
from .registry import parse_layout
from .selecting import select
from .sparsifiers import KeepAll, own_sparsifier
from .sparsifiers.base import Kind, Sparsifier
from .sparsifiers.block import BlockFraction
from .sparsifiers.fraction import ScalarFraction


@dataclass(frozen=True)
class OutputFormat:
    """How a result is stored: inline sparsifier -> temporary layout -> external sparsifier -> final layout (FMT-1).

    The inline sparsifier runs while the operator writes, so it must be streaming (FMT-2); the external one sees the
    whole temporary.  Source: STen, arXiv 2304.07613, section 3.3.  Errors: FMT-2.
    """

    inline: Sparsifier
    temporary: Layout
    external: Sparsifier
    final: Layout

    def __post_init__(self) -> None:
        if self.inline.kind is not Kind.STREAMING:                                         # FMT-2
            raise SpecError("FMT-2", f"{self.inline} cannot run inline.", wanted="a streaming sparsifier",
                            given=self.inline.kind.value, fix="make it the external sparsifier, with keep-all inline")

    def apply(self, result: np.ndarray | SparseArray, rng: np.random.Generator | None = None) -> SparseArray:
        """result [shape] -> SparseArray in the final layout (FMT-1)."""
        dense = decode(result) if isinstance(result, SparseArray) else result
        chosen = select(result, self.inline, rng=rng)
        written = np.where(chosen, dense, np.zeros((), dense.dtype))                       # FMT-1: dropped is +0
        if self.temporary == Dense():                          # dense stores the zeros that the inline sparsifier wrote
            chosen = np.ones(chosen.shape, bool)
        temporary = encode(written, self.temporary, chosen)
        return encode(decode(temporary), self.final, select(temporary, self.external, rng=rng))


def short_format(sparsifier: Sparsifier, layout: Layout) -> OutputFormat:
    """The short form (sparsifier, layout): keep-all into dense, then the sparsifier, then the layout (FMT-3)."""
    return OutputFormat(KeepAll(), Dense(), sparsifier, layout)


def parse_format(text: str) -> tuple[Sparsifier, Layout]:
    """`"nmg:2:8:8"`, `"csr:0.9"`, `"bsr:4:4:0.75"` -> (sparsifier, layout) (FMT-4).

    A last positional part with a point in it is a fraction to drop: of blocks for bsr, of entries for a layout that takes
    every pattern.  Without one the layout's own sparsifier is meant.  Errors: FMT-4, CORE-L1, REG-2, SPF-8.
    """
    head, *named = text.split(",")
    parts = head.split(":")
    if "." not in parts[-1]:
        layout = parse_layout(text)
        return own_sparsifier(layout), layout
    layout = parse_layout(",".join([":".join(parts[:-1]), *named]))
    try:
        fraction = float(parts[-1])
    except ValueError:
        fraction = -1.0                                                                    # SPF-8 names it below
    if isinstance(layout, BSR):
        return BlockFraction(layout.r, layout.c, fraction), layout
    if not layout.any_pattern:                                                             # FMT-4
        raise SpecError("FMT-4", f"{layout} leaves no fraction to choose.", wanted="a layout that takes every pattern, or bsr",
                        given=text, fix=f"write {layout}")
    return ScalarFraction(fraction), layout
