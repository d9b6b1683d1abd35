"""A whole run: the machine, then every weight, token count and format with all contenders in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product

import numpy as np

from ..array import SparseArray
from ..errors import MissingDependency
from ..formats import parse_format
from ..selecting import energy, sparsify
from .contender import Contender, Problem, gather
from .machine import Machine, measure, use_cores
from .timing import Timed, in_turns

BASELINES = ("torch dense", "numpy dense")
"""What ratios are to: the first of these that is right; at one token NumPy's is the bar."""


@dataclass(frozen=True)
class Measured:
    """One problem: shape [O, K], tokens T, format; the density and energy that it keeps, its storage in bits; times."""

    shape: tuple[int, int]
    tokens: int
    format: str
    density: float
    energy: float
    bits: int
    timed: tuple[Timed, ...]

    @property
    def fastest_dense(self) -> Timed | None:
        """Of all products that multiply zeros, too; None where none is right."""
        return min((one for one in self.timed if one.dense and one.seconds), key=lambda one: one.median, default=None)

    @property
    def baseline(self) -> Timed | None:
        """The dense product that the others are measured by; None where none is right."""
        names = BASELINES[::-1] if self.tokens == 1 else BASELINES
        right = {one.name: one for one in self.timed if one.seconds}
        return next((right[name] for name in names if name in right), None)

    def speed(self, one: Timed) -> float:
        """How many times as fast as the baseline; NaN where there is nothing to compare."""
        return self.baseline.median / one.median if self.baseline and one.seconds else math.nan

    def operations(self, one: Timed) -> float:
        """Multiplications and additions a second: of stored entries, of a dense product all that it does."""
        return 2 * self.tokens * math.prod(self.shape) * (1 if one.dense else self.density) / one.median

    def bytes(self, one: Timed) -> float:
        """Bytes a second that have to be moved: the weight, dense or as the format stores it, x, bias and y."""
        rows, columns = self.shape
        weight = 4 * rows * columns if one.dense else self.bits / 8
        return (weight + 4 * (self.tokens * (rows + columns) + rows)) / one.median


@dataclass(frozen=True)
class Bench:
    """Everything that was measured; missing: contender -> why it is not among them."""

    machine: Machine
    rounds: int
    measured: tuple[Measured, ...]
    missing: dict[str, str]
    versions: dict[str, str]

    @property
    def ours_wrong(self) -> list[str]:
        """What of our own gave a wrong output, or none."""
        return [f"{one.name}, {each.format}: {one.wrong}" for each in self.measured for one in each.timed
                if one.wrong and one.ours]


def run_bench(shapes: Sequence[tuple[int, int]], formats: Sequence[str], tokens: Sequence[int], threads: int, rounds: int,
              peers: bool, on_step: Callable[[str, int, int], None] = lambda what, done, total: None) -> Bench:
    """-> the figures.  peers: also other libraries' products, not only ours and the dense ones to compare with.

    The process stays on as many cores as there are threads.  Errors: those of the formats, before anything is measured;
    MissingDependency.
    """
    for text, shape in product(formats, shapes):
        parse_format(text)[1].check(shape)
    use_cores(threads)
    found = gather()
    wanted = [one for one in found.contenders if peers or one.name in BASELINES or one.ours]
    wanted.sort(key=lambda one: (not one.dense, one.ours))     # stable: dense ones, sparse ones, ours
    here = [one for one in wanted if not one.missing]
    measured, steps = list[Measured](), len(shapes) * len(formats) * len(tokens)
    with only_threads(threads):
        machine = measure(threads, found.fma_peak)
        for shape, text in product(shapes, formats):
            w = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
            a = sparsify(w, text)
            for count in tokens:
                def told(at: int, of: int, what: str = f"{shape[0]}x{shape[1]} {text} {count} tokens") -> None:
                    on_step(what, len(measured) * rounds + at, steps * rounds)
                measured.append(measure_one(here, w, a, text, count, threads, rounds, told))
    absent = found.absent if peers else {}
    return Bench(machine, rounds, tuple(measured), {one.name: one.missing for one in wanted if one.missing} | absent,
                 _versions(here))


def only_threads(threads: int) -> AbstractContextManager[object]:
    """Every BLAS and OpenMP of the process has so many threads.  Errors: MissingDependency."""
    try:
        from threadpoolctl import threadpool_limits  # scikit-learn's: reaches them all
    except ImportError as missing:
        raise MissingDependency("threadpoolctl", "measuring speed", "conformance") from missing
    return threadpool_limits(threads)


def measure_one(contenders: list[Contender], w: np.ndarray, a: SparseArray, text: str, tokens: int, threads: int, rounds: int,
                on_round: Callable[[int, int], None]) -> Measured:
    """w [O, K] and what is kept of it, a; random x [T, K] and bias [O] -> the contenders in turns."""
    rng = np.random.default_rng(1)
    x, bias = (rng.standard_normal(side).astype(np.float32) for side in ((tokens, a.shape[1]), a.shape[0]))
    timed = in_turns(contenders, Problem(a, x, bias, threads), rounds, on_round)
    rows, columns = a.shape
    return Measured((rows, columns), tokens, text, a.nnz / w.size, energy(w, a), a.bits, tuple(timed))


def _versions(contenders: Sequence[Contender]) -> dict[str, str]:
    """Of ours and of the packages that the contenders name."""
    packages = dict.fromkeys(package for one in contenders for package in one.packages)
    found = {}
    for name in ("sparseref", "numpy", "scipy", *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
