"""Who takes part: one way to compute y = x W^T + b, and what it is asked to compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..array import SparseArray
from ..coding import decode
from ..layouts import CSR

GROUP = "sparseref.bench"
"""The entry-point group: modules with CONTENDERS, a tuple, and perhaps `fma_peak(threads)` -> operations a second."""


@dataclass(frozen=True)
class Problem:
    """a [O, K] sparse, x [T, K], bias [O], all float32 -> y [T, O], by at most so many threads."""

    a: SparseArray
    x: np.ndarray
    bias: np.ndarray
    threads: int

    @cached_property
    def dense(self) -> np.ndarray:
        """The weight [O, K] for those that know no sparse one."""
        return decode(self.a)

    @cached_property
    def csr(self) -> Any:
        """The same entries as a csr_array of SciPy, for those that know no other layout."""
        from scipy.sparse import csr_array

        from ..functions import convert

        a = convert(self.a, CSR())
        return csr_array((a.values, a["indices"], a["indptr"]), a.shape)

    @property
    def operations(self) -> int:
        """Multiplications and additions that count: of the stored entries."""
        return 2 * len(self.x) * self.a.nnz

    @property
    def bytes(self) -> float:
        """What has to be read and written at least: the weight as it is stored, x, bias and y."""
        return self.a.bits / 8 + 4 * (self.x.size + self.bias.size + len(self.x) * len(self.bias))


@dataclass(frozen=True)
class Contender:
    """name; make(problem) -> a call without arguments that gives y [T, O], or [O, T] where `feature_major`.

    A contender whose library wants activations the other way round than a model has them, [K, T], comes twice: with what
    turning them costs, and, as feature_major, without.  dense: it multiplies zeros, so its speed does not depend on the format.
    packages: what has to be importable; brings: the command that makes it so; lacks: why it cannot run here though they are.
    """

    name: str
    make: Callable[[Problem], Callable[[], Any]] = field(compare=False)
    packages: tuple[str, ...] = ()
    brings: str = ""
    feature_major: bool = False
    dense: bool = False
    lacks: Callable[[], str] = field(default=lambda: "", compare=False)

    @property
    def missing(self) -> str:
        """Why it cannot run, "" if it can."""
        absent = [package for package in self.packages if find_spec(package) is None]
        return f"no {', '.join(absent)}: {self.brings}" if absent else self.lacks()


@dataclass(frozen=True)
class Field:
    """All contenders, and who can measure the machine's peak."""

    contenders: tuple[Contender, ...]
    fma_peak: Callable[[int], float] | None
    absent: dict[str, str]


def gather() -> Field:
    """-> the contenders of every entry point; where one cannot be loaded, its name and why."""
    found, peak, absent = list[Contender](), None, dict[str, str]()
    for point in entry_points(group=GROUP):
        try:
            module = point.load()
        except ImportError as problem:
            absent[point.name] = str(problem)
            continue
        found += module.CONTENDERS
        peak = getattr(module, "fma_peak", peak)
    return Field(tuple(found), peak, absent)
