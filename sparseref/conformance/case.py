"""One case: a call that is built the same way every time, and what is asked of the answer."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from ..backend import Cell
from .inputs import Shape
from .wire import Call

Build = Callable[[Shape, np.random.Generator], Call]


class Ask(Enum):
    """What is asked of the answer."""

    ANSWER = "what the reference gives, bit for bit or within the derived bound"
    EXACT = "what the reference gives: the inputs are such that every order of summation is exact"
    REFUSAL = "the SpecError of one clause"
    SAME_VERDICT = "accepted or refused by the clause that the reference refuses it by"
    SAME_ENERGY = "a pattern that keeps as much as the reference's, in a form that the layout admits"
    REPEAT = "the same bits every time, from every thread"


@dataclass(frozen=True)
class Case:
    """level, cell, and a name that is unique among the cases of a cell; `build(shape, rng)` makes the call.

    clauses: those it checks, the most telling first; form: the memory form of its operands; refusal: the clause that
    must refuse it.  `smaller` are shapes at which a failure is looked for again, to show a smaller one.
    """

    level: str
    cell: Cell
    name: str
    clauses: tuple[str, ...]
    build: Build = field(compare=False)
    shape: Shape = ()
    ask: Ask = Ask.ANSWER
    form: str = "contiguous"
    refusal: str = ""

    @property
    def id(self) -> str:
        sides = "x".join(map(str, self.shape))
        return "/".join(part for part in (self.level, str(self.cell), self.name, sides) if part)

    def call(self) -> Call:
        """The call: its random numbers are seeded by the case's own id, so that it is the same everywhere."""
        return self.build(self.shape, np.random.default_rng(zlib.crc32(self.id.encode())))

    def at(self, shape: Shape) -> Case:
        """The same case at another shape."""
        return replace(self, shape=shape)
