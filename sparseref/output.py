"""Output formats in STen's four parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .array import SparseArray
from .coding import decode, encode
from .errors import SpecError
from .formats import parse_format
from .layouts import Dense
from .layouts.base import Layout
from .selecting import select
from .sparsifiers import KeepAll
from .sparsifiers.base import Kind, Sparsifier


@dataclass(frozen=True)
class OutputFormat:
    """How a result is stored: inline sparsifier -> temporary layout -> external sparsifier -> final layout (FMT-1).

    The inline sparsifier runs while the operator writes, so it must be streaming (FMT-2); the external one sees the
    whole temporary.  Source: STen, arXiv 2304.07613.  Errors: FMT-2.
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


def output_format(given: OutputFormat | str) -> OutputFormat:
    """An output format -> itself; a format string such as "csr:0.9" -> its short form.  Errors: CORE-L1, FMT-4."""
    if isinstance(given, OutputFormat):
        return given
    if not isinstance(given, str):
        raise SpecError("CORE-L1", "this is no output format.", wanted="an OutputFormat, or a format string such as csr:0.9",
                        given=repr(given))
    return short_format(*parse_format(given))
