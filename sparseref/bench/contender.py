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
from ..errors import install_hint
from ..layouts import CSR

GROUP = "sparseref.bench"
"""The entry-point group: modules with CONTENDERS, a tuple, and perhaps ABSENT, who cannot be here and why, and
`fma_peak(threads)` -> operations a second."""


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


@dataclass(frozen=True)
class Contender:
    """name; make(problem) -> a call without arguments that gives y [T, O], or [O, T] where `feature_major`.

    A contender whose library wants activations the other way round than a model has them, [K, T], comes twice: with what
    turning them costs, and, as feature_major, without.  dense: it multiplies zeros, so its speed does not depend on the format;
    ours: of this project, which has failed where it is wrong.  packages: what has to be importable; brings: the command that
    makes it so; lacks: why it cannot run here though they are.
    """

    name: str
    make: Callable[[Problem], Callable[[], Any]] = field(compare=False)
    packages: tuple[str, ...] = ()
    brings: str = ""
    feature_major: bool = False
    dense: bool = False
    ours: bool = False
    lacks: Callable[[], str] = field(default=lambda: "", compare=False)

    @property
    def missing(self) -> str:
        """Why it cannot run, "" if it can."""
        absent = [package for package in self.packages if find_spec(package) is None]
        return f"no {', '.join(absent)}: {self.brings}" if absent else self.lacks()


@dataclass(frozen=True)
class Gathered:
    """All contenders, who can measure the machine's peak, and who is not among them: {name: why}."""

    contenders: tuple[Contender, ...]
    fma_peak: Callable[[int], float] | None
    absent: dict[str, str]


def gather() -> Gathered:
    """-> what every entry point brings; one that cannot be loaded is absent, as are those that its module calls ABSENT."""
    found, peak, absent = list[Contender](), None, dict[str, str]()
    for point in entry_points(group=GROUP):
        try:
            module = point.load()
            found += module.CONTENDERS
        except Exception as problem:  # a package may fail in its own way, and the others go on
            absent[point.name] = f"{type(problem).__name__}: {problem}{install_hint(point.name, problem)}"
            continue
        absent |= getattr(module, "ABSENT", {})
        peak = getattr(module, "fma_peak", peak)
    return Gathered(tuple(found), peak, absent)
