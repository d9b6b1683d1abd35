"""What `sparseref bench` times of the C library, and how it finds the machine's peak."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np

from sparseref.bench.contender import Contender, Problem

from .backend import not_built
from .library import library
from .multiplying import multiply
from .preparing import prepare


def ours(problem: Problem) -> Callable[[], Any]:
    """A weight that is prepared once, as the torch front end keeps it."""
    if find_spec("torch"):                                     # its OpenMP threads, if torch is in the process, are ours, too
        from .torch_kernel import borrow_threads

        borrow_threads()
    weight, y = prepare(problem.a), np.empty((len(problem.x), len(problem.bias)), np.float32)
    return lambda: multiply(weight, problem.x, problem.bias, out=y, at_most=problem.threads)


def fma_peak(threads: int) -> float:
    """Multiplications and additions of float32 in registers alone, a second.  Errors: NotBuilt."""
    using = library()
    using.functions.sparseref_spin(using.number, 4, 100_000, threads)          # wakes the threads
    start = perf_counter()
    operations = using.functions.sparseref_spin(using.number, 4, 2_000_000, threads)
    return float(operations / (perf_counter() - start))


CONTENDERS = (Contender("sparseref_c", ours, ours=True, lacks=lambda: not_built() or ""),)
