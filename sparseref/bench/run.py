"""A whole run: the machine, then every weight, token count and format with all contenders in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..errors import MissingDependency
from ..selecting import energy, sparsify
from .contender import Contender, Problem, gather
from .machine import Machine, measure, use_cores
from .timing import Timed, in_turns

BASELINES = ("torch dense", "numpy dense")
"""What ratios are to: the first of these that is right; at one token NumPy's is the bar."""


@dataclass(frozen=True)
class Measured:
    """One problem: shape [O, K], tokens T, format; what it keeps; operations that count, bytes that have to be moved; times."""

    shape: tuple[int, int]
    tokens: int
    format: str
    density: float
    energy: float
    operations: int
    bytes: float
    timed: tuple[Timed, ...]

    @property
    def baseline(self) -> Timed | None:
        """The dense product that the others are measured by; None where none is right."""
        names = BASELINES[::-1] if self.tokens == 1 else BASELINES
        right = {one.name: one for one in self.timed if one.seconds}
        return next((right[name] for name in names if name in right), None)

    def speed(self, one: Timed) -> float:
        """How many times as fast as the baseline; NaN where there is nothing to compare."""
        return self.baseline.median / one.median if self.baseline and one.seconds else math.nan


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
                if one.wrong and one.name.startswith("sparseref")]


def run_bench(shapes: Sequence[tuple[int, int]], formats: Sequence[str], tokens: Sequence[int], threads: int, rounds: int,
              peers: bool, on_step: Callable[[str, int, int], None] = lambda what, done, total: None) -> Bench:
    """-> the figures.  peers: also other libraries' products, not only ours and the dense ones to compare with.

    The process stays on as many cores as there are threads.  Errors: those of the formats; MissingDependency.
    """
    try:
        from threadpoolctl import threadpool_limits  # scikit-learn's: reaches every BLAS and OpenMP of the process
    except ImportError as missing:
        raise MissingDependency("threadpoolctl", "the benchmark", "conformance") from missing
    use_cores(threads)
    found = gather()
    wanted = [one for one in found.contenders if peers or one.name in BASELINES or one.name.startswith("sparseref")]
    wanted.sort(key=lambda one: (not one.dense, one.name.startswith("sparseref")))         # stable: dense, sparse, ours
    here = [one for one in wanted if not one.missing]
    measured, every = list[Measured](), list(product(shapes, formats, tokens))
    with threadpool_limits(threads):
        machine = measure(threads, found.fma_peak)
        for done, (shape, text, count) in enumerate(every):
            def told(at: int, of: int, done: int = done, what: str = f"{shape[0]}x{shape[1]} {text} {count} tokens") -> None:
                on_step(what, done * rounds + at, len(every) * rounds)
            measured.append(_measured(shape, text, count, threads, rounds, here, told))
    return Bench(machine, rounds, tuple(measured), {one.name: one.missing for one in wanted if one.missing} | found.absent,
                 _versions(here))


def _measured(shape: tuple[int, int], text: str, tokens: int, threads: int, rounds: int, here: list[Contender],
              told: Callable[[int, int], None]) -> Measured:
    rng = np.random.default_rng(0)
    w, x, bias = (rng.standard_normal(side).astype(np.float32) for side in (shape, (tokens, shape[1]), shape[0]))
    a = sparsify(w, text)
    problem = Problem(a, x, bias, threads)
    timed = in_turns(here, problem, rounds, told)
    return Measured(shape, tokens, text, a.nnz / w.size, energy(w, a), problem.operations, problem.bytes, tuple(timed))


def _versions(contenders: Sequence[Contender]) -> dict[str, str]:
    """Of the libraries that took part."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("sparseref", "numpy", "scipy", "torch", "jax", "onnxruntime", "openvino"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
