"""Ladders: the formats that a tensor passes through on its way from dense to its final format."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from sparseref import Dense, KeepAll, Layout, OutputFormat, Sparsifier, SpecError
from sparseref.layouts.blocks import ceil_div
from sparseref.sparsifiers import BlockFraction, ScalarFraction

from ..tensor.make import as_matrix, parse

Rung = tuple[Sparsifier, Layout]

DENSE: Rung = (KeepAll(), Dense())
"""Where every ladder begins: all entries, stored in order."""


class Ladder:
    """Formats from dense to final; `at(sparsity)` is the sparsest that is not sparser than asked.

    formats: one with a fraction, such as "csr:0.9", which has every level up to it; or a list of formats, each sparser than
    the one before, such as ["nmg:4:8:8", "nmg:2:8:8"].
    Errors: TRAIN-4, and those of the formats.
    """

    def __init__(self, formats: Any) -> None:
        self.rungs = [_rung(form) for form in (formats if isinstance(formats, list) else [formats])]
        self.sparsities = [nominal(*rung) for rung in self.rungs]
        rising = all(low < high for low, high in zip([0.0, *self.sparsities], self.sparsities, strict=False))
        if not self.rungs or not (rising or self.sparsities == [0.0]):                     # TRAIN-4
            raise SpecError("TRAIN-4", "the ladder does not get sparser.", wanted="each sparser than the one before",
                            given=", ".join(f"{rung[1]}: {s:.4g}" for rung, s in zip(self.rungs, self.sparsities, strict=True)),
                            fix='e.g. ["nmg:4:8:8", "nmg:2:8:8"]')

    @property
    def final(self) -> float:
        """The nominal sparsity of the last format."""
        return self.sparsities[-1]

    @property
    def divides(self) -> bool:
        """True where the format has a fraction, so that every sparsity is a level of it."""
        return hasattr(self.rungs[-1][0], "fraction") and len(self.rungs) == 1

    @property
    def by_entry(self) -> bool:
        """True where single entries are chosen, so that tensors can be compared entry by entry."""
        return self.divides and isinstance(self.rungs[-1][0], ScalarFraction)

    def at(self, sparsity: float) -> Rung:
        """A sparsity up to `final` -> the format."""
        if sparsity <= 0:
            return DENSE
        if self.divides:
            sparsifier, layout = self.rungs[-1]
            return dataclasses.replace(sparsifier, fraction=sparsity), layout              # type: ignore[type-var, call-arg]
        return next((rung for rung, level in zip(reversed(self.rungs), reversed(self.sparsities), strict=True)
                     if level <= sparsity), DENSE)

    def units(self, tensor: Tensor, turned: bool) -> tuple[int, ...]:
        """tensor [shape] -> the shape of what the sparsifier counts: entries, or blocks of the matrix."""
        sparsifier, _ = self.rungs[-1]
        if not isinstance(sparsifier, BlockFraction):
            return tuple(tensor.shape)
        rows, columns = as_matrix(tensor, turned).shape
        return ceil_div(rows, sparsifier.r), ceil_div(columns, sparsifier.c)

    def check_levels(self, levels: Sequence[float]) -> None:
        """Refuse a schedule that passes through levels of which the formats have none (TRAIN-4)."""
        between = [level for level in levels if 0 < level < self.final]
        if between and not self.divides and len(self.rungs) == 1:                          # TRAIN-4
            _, layout = self.rungs[-1]
            raise SpecError("TRAIN-4", f"{layout} has no level between dense and {self.final:.4g}.",
                            wanted="formats for the schedule's levels " + _few(between), given=str(layout),
                            fix=f"give a ladder such as {_example(layout)}, or use OneShot()")


def nominal(sparsifier: Sparsifier, layout: Layout) -> float:
    """The sparsity that a format is meant to have, whatever the shape.  Errors: TRAIN-4 where the values decide."""
    if hasattr(sparsifier, "fraction") and not sparsifier.needs_draws:
        return float(sparsifier.fraction)
    for part in (sparsifier, layout):                          # nm, nmg, vnm: as sparsifier of any layout, or by the layout
        if hasattr(part, "n") and hasattr(part, "m"):
            return 1 - part.n / part.m
    if isinstance(layout, Dense) and isinstance(sparsifier, KeepAll):
        return 0.0
    fix = 'use scores="random" with a fraction' if sparsifier.needs_draws else f"give it a fraction, e.g. {layout}:0.9"
    raise SpecError("TRAIN-4", f"what {sparsifier} drops depends on the values or on chance.",
                    wanted="a format whose sparsity is known beforehand", given=f"({sparsifier}, {layout})", fix=fix)


def _rung(form: Any) -> Rung:
    if isinstance(form, OutputFormat):
        if not isinstance(form.inline, KeepAll) or form.temporary != Dense():              # TRAIN-4
            raise SpecError("TRAIN-4", "a weight is whole when it is sparsified, so nothing runs inline.",
                            wanted="keep-all inline and dense as the temporary layout",
                            given=f"({form.inline}, {form.temporary})", fix="use (external sparsifier, final layout)")
        return form.external, form.final
    return parse(form)


def _few(levels: Iterable[float]) -> str:
    listed = [f"{level:.3g}" for level in levels]
    return ", ".join(listed[:4]) + (", ..." if len(listed) > 4 else "")


def _example(layout: Layout) -> str:
    if hasattr(layout, "n") and layout.n * 2 < layout.m:
        return f'["{dataclasses.replace(layout, n=layout.n * 2)}", "{layout}"]'            # type: ignore[type-var, call-arg]
    return '["nmg:4:8:8", "nmg:2:8:8"]'

