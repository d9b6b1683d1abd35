"""The ways in which the inputs of an operator are made hard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..array import SparseArray
from ..layouts.base import Layout
from .case import Ask
from .inputs import Shape, disordered, has_padding, poisoned, sparse, values, with_stored_zeros

Twist = Callable[[SparseArray, np.random.Generator], SparseArray]


@dataclass(frozen=True)
class Scenario:
    """name, level; the channels of the sparse operand and of its partners; a twist on the sparse operand; memory form."""

    name: str
    level: str
    channel: str = "normal"
    partner: str = "normal"
    twist: Twist | None = None
    form: str = "contiguous"
    clauses: tuple[str, ...] = ()
    kinds: str = "f"                    # dtypes it is for: f floats, i integers
    shape: Shape = ()                   # this one, instead of those at which the layout's code takes another turn

    @property
    def ask(self) -> Ask:
        return Ask.EXACT if self.level == "L1" else Ask.ANSWER

    @property
    def empty(self) -> bool:
        """Shapes with a side of length 0."""
        return self.name.startswith("empty")

    def applies(self, layout: Layout, shape: Shape) -> bool:
        """False where the twist would change nothing, so that no case is empty of meaning."""
        if self.twist is disordered:
            return layout.name in ("coo", "csr", "csc")
        return _has_room_for_poison(layout, shape) if self.twist is _poison else True


@cache
def _has_room_for_poison(layout: Layout, shape: Shape) -> bool:
    return has_padding(sparse(layout, np.zeros(shape, np.float32), np.random.default_rng(0)))


def _poison(a: SparseArray, rng: np.random.Generator) -> SparseArray:
    return poisoned(a)


EXACT, SPECIAL = "exact", "special"
WIDE: Shape = (66, 70)
"""Both sides beyond 64, where an unrolled or blocked loop goes round again and leaves a remainder."""

THREE_AXES: Shape = (2, 5, 7)
SCENARIOS = (
    Scenario("exact", "L1", EXACT, EXACT, kinds="fi", clauses=("OPS-1",)),
    Scenario("exact-disordered", "L1", EXACT, EXACT, disordered, kinds="fi", clauses=("CORE-V2",)),
    Scenario("exact-poisoned-padding", "L1", EXACT, EXACT, _poison, kinds="fi", clauses=("CORE-P5",)),
    Scenario("extreme-integers", "L1", "extreme", "extreme", kinds="i", clauses=("OPS-1",)),
    Scenario("wide-exact", "L1", EXACT, EXACT, clauses=("OPS-1",), shape=WIDE),
    Scenario("three-axes", "L1", EXACT, EXACT, clauses=("OPS-1",), shape=THREE_AXES),
    Scenario("empty-exact", "L1", EXACT, EXACT, kinds="fi", clauses=("CORE-S1",)),
    Scenario("normal", "L2", clauses=("BOUND-1",)),
    Scenario("cancelling", "L2", "cancelling", "cancelling", clauses=("BOUND-1",)),
    Scenario("special-partner", "L2", "normal", SPECIAL, clauses=("CORE-P2", "BOUND-4")),
    Scenario("special-values", "L2", SPECIAL, clauses=("BOUND-4",)),
    Scenario("stored-zeros", "L2", "normal", SPECIAL, with_stored_zeros, clauses=("CORE-P3",)),
    Scenario("poisoned-padding", "L2", twist=_poison, clauses=("CORE-P5",)),
    Scenario("disordered", "L2", twist=disordered, clauses=("CORE-V2",)),
    Scenario("fortran", "L2", form="fortran", clauses=("CORE-M2",)),
    Scenario("reversed", "L2", form="reversed", clauses=("CORE-M2",)),
    Scenario("strided", "L2", form="strided", clauses=("CORE-M2",)),
    Scenario("read-only", "L2", form="read-only", clauses=("CORE-M2",)),
)

GRADIENT_SCENARIOS = (
    Scenario("exact", "L3", EXACT, EXACT, clauses=("GRAD-1",)),
    Scenario("normal", "L3", clauses=("BOUND-1",)),
    Scenario("special-partner", "L3", "normal", SPECIAL, clauses=("CORE-P2",)),
    Scenario("special-values", "L3", SPECIAL, clauses=("BOUND-4",)),
    Scenario("poisoned-padding", "L3", twist=_poison, clauses=("GRAD-2",)),
    Scenario("disordered", "L3", twist=disordered, clauses=("GRAD-1",)),
    Scenario("strided", "L3", form="strided", clauses=("CORE-M2",)),
    Scenario("wide", "L3", clauses=("BOUND-1",), shape=WIDE),
    Scenario("three-axes", "L3", clauses=("BOUND-1",), shape=THREE_AXES),
    Scenario("empty", "L3", clauses=("CORE-S1",)),
)


@dataclass(frozen=True)
class Maker:
    """Makes the operands of one call in one scenario."""

    scenario: Scenario
    dtype: np.dtype[Any]
    rng: np.random.Generator

    def sparse(self, layout: Layout, shape: Shape) -> SparseArray:
        a = sparse(layout, values(self.scenario.channel, shape, self.dtype, self.rng), self.rng)
        return a if self.scenario.twist is None else self.scenario.twist(a, self.rng)

    def dense(self, *shape: int) -> np.ndarray:
        return values(self.scenario.partner, shape, self.dtype, self.rng)
