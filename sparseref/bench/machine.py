"""What the machine can do at most: operations and bytes a second, and how many threads it is given."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

FROM_MEMORY = 1 << 28
"""Bytes that no cache holds."""


@dataclass(frozen=True)
class Machine:
    """processor; threads; peak: multiplications and additions of float32 a second; read: bytes a second from memory.

    peak_by: how it was found, in registers alone, or, without a compiler, by a large product of NumPy's, which stays below.
    """

    processor: str
    threads: int
    peak: float
    peak_by: str
    read: float


def measure(threads: int, fma_peak: Callable[[int], float] | None) -> Machine:
    """Some seconds of measuring."""
    try:
        peak, by = (max(fma_peak(threads) for _ in range(5)), "in registers") if fma_peak else (_by_product(), "by a product")
    except (OSError, RuntimeError):                            # the library that spins could not be built
        peak, by = _by_product(), "by a product"
    return Machine(processor(), threads, peak, by, _read())


def processor() -> str:
    """Its name, as Linux tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as told:
            return next(line.partition(":")[2].strip() for line in told if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores(count: int) -> None:
    """Stay on so many cores, or all that there are, from here on: libraries that are loaded later take as many as they see."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _by_product() -> float:
    side = 1024
    a = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
    return 2 * side**3 / min(_once(lambda: a @ a) for _ in range(8))


def _read() -> float:
    """The fastest of some passes over an array, summed as integers by one thread."""
    array = np.ones(FROM_MEMORY // 8, np.int64)
    return array.nbytes / min(_once(array.sum) for _ in range(5))


def _once(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
