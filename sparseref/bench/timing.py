"""Contenders in turns: every output is checked, then each takes a sample a round, so that what disturbs one disturbs all."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

import numpy as np

from ..bounds import error_ratio, expected_forward
from ..registry import get_operator
from .contender import Contender, Problem
from .remote import Remote

SAMPLE = 0.02
"""Seconds that one sample takes at least: so many calls in a row."""

REST = 0.2
"""Seconds before each sample: threads of OpenMP and OpenBLAS wait busily for so long, in the way of the next contender."""

WAKE = 3
"""Calls before any that count: some compile or choose a kernel then.  Before each sample go a quarter as many as it has."""


@dataclass(frozen=True)
class Timed:
    """One contender at one problem: seconds of one call, a sample each; error_over_bound; wrong: why it was not timed."""

    name: str
    feature_major: bool
    dense: bool
    ours: bool
    seconds: tuple[float, ...]
    error_over_bound: float
    wrong: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The middle half of the samples, as a share of the median."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / self.median


def in_turns(contenders: list[Contender], problem: Problem, rounds: int,
             on_round: Callable[[int, int], None] = lambda done, total: None) -> list[Timed]:
    """-> what each took, those that are wrong without samples."""
    with ExitStack() as workers:                               # they end with the problem, whatever happens
        calls, ratios, wrong = _checked(contenders, problem, workers)
        repeats: dict[int, int] = {}
        samples: dict[int, list[float]] = {at: [] for at in calls}
        for done in range(1, rounds + 1):
            for at, call in list(calls.items()):
                sleep(REST)
                try:
                    if at not in repeats:
                        _seconds(call, WAKE)
                        repeats[at] = max(1, round(SAMPLE / _seconds(call, WAKE)))
                    _seconds(call, max(1, repeats[at] // 4))
                    samples[at].append(_seconds(call, repeats[at]))
                except Exception as accident:  # a worker may die at any time, and the others go on
                    wrong[at] = f"{type(accident).__name__}: {accident}".partition("\n")[0]
                    del calls[at], samples[at]
            on_round(done, rounds)
    return [Timed(contender.name, contender.feature_major, contender.dense, contender.ours, tuple(samples.get(at, ())),
                  ratios.get(at, np.inf), wrong.get(at, "")) for at, contender in enumerate(contenders)]


def _checked(contenders: list[Contender], problem: Problem, workers: ExitStack,
             ) -> tuple[dict[int, Callable[[], Any]], dict[int, float], dict[int, str]]:
    """-> by a contender's number: the calls that are right, error / bound, and why it is wrong."""
    expected, _ = expected_forward(get_operator("linear"), (problem.x, problem.a, problem.bias), {}, "float32", flushes=True)
    calls, ratios, wrong = dict[int, Callable[[], Any]](), dict[int, float](), dict[int, str]()
    for at, contender in enumerate(contenders):
        try:
            call = contender.make(problem)
            if isinstance(call, Remote):
                workers.callback(call.close)
            y = np.asarray(call())
        except Exception as accident:  # a peer may raise anything, and the others go on
            wrong[at] = f"{type(accident).__name__}: {accident}".partition("\n")[0]
            continue
        y = y.T if contender.feature_major else y
        if y.shape != expected.value.shape:
            wrong[at] = f"its output is {y.shape}, wanted {expected.value.shape}"
            continue
        ratios[at] = float(error_ratio(y, expected).max(initial=0.0))
        if ratios[at] <= 1:
            calls[at] = call
        else:
            wrong[at] = f"its output is wrong: error / bound {ratios[at]:.3g}, at most 1 is right"
    return calls, ratios, wrong


def _seconds(call: Callable[[], Any], times: int) -> float:
    """Of one call, of so many in a row; a worker takes its own time, in which nothing is sent."""
    if isinstance(call, Remote):
        return call.timed(times)
    start = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - start) / times
