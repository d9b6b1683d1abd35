"""How fast linears in a format are on this machine, and from which density and token count on they beat a dense product."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..bench.contender import gather
from ..bench.machine import processor, use_cores
from ..bench.run import Measured, measure_one, only_threads
from ..coding import encode
from ..conformance.report.summary import count
from ..layouts import NM, NMG, VNM
from ..layouts.base import Layout
from ..selecting import select
from ..sparsifiers.base import Sparsifier
from .breakeven import leaves_density_free, sparsifier_for
from .result import Crossing, Speed
from .weights import random_weight

TOKENS = (1, 8, 32, 128)
STANDARD = 128
"""The token count at which densities are compared."""

DENSITIES = (0.05, 0.1, 0.25, 0.5)
"""At which a layout of free density is timed."""

BLOCKS = ((1, 8), (1, 4), (2, 4), (3, 4))
"""The n:m at which one that has an n:m is timed, everything else as it is."""

OnStep = Callable[[str, int, int], None]


def speed_of(layout: Layout, sparsifier: Sparsifier, shapes: Sequence[tuple[int, ...]], threads: int = 1, rounds: int = 5,
             on_step: OnStep = lambda what, done, total: None) -> Speed:
    """layout, what chooses, shapes [O, K] -> the speed of our backends beside the dense products that are installed.

    Shapes that are no matrix, or empty, have no linear and are left out.  The process stays on as many cores as there are
    threads.  Errors: MissingDependency without the conformance extra.
    """
    shapes = [shape for shape in shapes if len(shape) == 2 and 0 not in shape]
    plan = [(layout, sparsifier, shape, tokens) for shape in shapes for tokens in TOKENS]
    others = [(other, chooses, shapes[0], STANDARD) for other, chooses in _family(layout, sparsifier)] if shapes else []
    use_cores(threads)
    wanted = [one for one in gather().contenders if one.ours or one.dense]
    here = [one for one in wanted if not one.missing]
    measured = list[Measured]()
    with only_threads(threads):
        for chosen, chooses, shape, tokens in plan + others:
            def told(at: int, of: int, what: str = f"{chosen} {shape[0]}x{shape[1]} {tokens} tokens") -> None:
                on_step(what, len(measured) * of + at, (len(plan) + len(others)) * of)
            w = random_weight(shape, np.dtype(np.float32)).values
            a = encode(w, chosen, select(w, chooses, rng=np.random.default_rng(0)))
            measured.append(measure_one(here, w, a, str(chosen), tokens, threads, rounds, told))
    own, siblings = measured[:len(plan)], measured[len(plan):]
    standard = [one for one in own if one.tokens == STANDARD][:1]
    family = sorted([*standard, *siblings], key=lambda one: one.density) if siblings else []
    missing = {one.name: one.missing for one in wanted if one.missing}
    return Speed(processor(), threads, rounds, tuple(own), tuple(family), (*_by_tokens(own), *_by_density(family)), missing)


def _family(layout: Layout, sparsifier: Sparsifier) -> Iterator[tuple[Layout, Sparsifier]]:
    """The same layout at other densities than that which the sparsifier gives, as far as it has any."""
    if leaves_density_free(layout):
        every = ((layout, sparsifier_for(layout, density)) for density in DENSITIES)
        yield from (one for one in every if one[1] != sparsifier)
    elif isinstance(layout, NM | NMG | VNM):
        for n, m in BLOCKS:
            if n * layout.m != layout.n * m:
                sibling = replace(layout, n=n, m=m)
                yield sibling, sparsifier_for(sibling, n / m)


def against_dense(measured: Measured, backend: str) -> float:
    """How many times as fast as the fastest dense product; NaN where one of the two was not timed."""
    one = next((one for one in measured.timed if one.name == backend and one.seconds), None)
    dense = measured.fastest_dense
    return dense.median / one.median if one and dense else math.nan


def backends_of(every: Iterable[Measured]) -> list[str]:
    """Those of ours that were timed at least once, in the order in which they come."""
    return list(dict.fromkeys(one.name for measured in every for one in measured.timed if one.ours and one.seconds))


def _by_tokens(own: list[Measured]) -> Iterator[Crossing]:
    """Of the first shape, which the words name."""
    first = [one for one in own if one.shape == own[0].shape]
    for backend in backends_of(first):
        points = [(float(one.tokens), against_dense(one, backend)) for one in first]
        yield from _crossing(backend, "tokens", points, lambda at: count(round(at), "token"))


def _by_density(family: list[Measured]) -> Iterator[Crossing]:
    for backend in backends_of(family):
        points = [(one.density, against_dense(one, backend)) for one in family]
        yield from _crossing(backend, "density", points, lambda at: f"density {at:.2f}")


def _crossing(backend: str, over: str, points: list[tuple[float, float]], name: Callable[[float], str],
              ) -> Iterator[Crossing]:
    """(tokens or density, ratio), rising -> where the ratio is 1, by straight lines between the logarithms; nothing of none."""
    points = [point for point in points if not math.isnan(point[1])]
    if not points:
        return
    at = tuple(crossings(points))
    low, high = name(points[0][0]), name(points[-1][0])
    faster = points[0][1] > 1
    if not at:
        says = f"{'faster' if faster else 'not faster'} than dense from {low} to {high}, all that was measured"
    elif len(at) == 1:
        says = f"faster than dense {'below' if faster else 'from'} about {name(at[0])}"
    else:
        says = f"as fast as dense at about {', '.join(map(name, at))}; {'faster' if faster else 'slower'} before the first"
    yield Crossing(backend, over, at, says)


def crossings(points: list[tuple[float, float]]) -> Iterator[float]:
    """(x, ratio), x rising, ratios above 0 -> every x at which the ratio goes through 1; an x of 0 has no logarithm."""
    for (x0, y0), (x1, y1) in pairwise(point for point in points if point[0] > 0):
        if (y0 > 1) != (y1 > 1):
            share = math.log(y0) / (math.log(y0) - math.log(y1))
            yield math.exp(math.log(x0) + share * (math.log(x1) - math.log(x0)))
