"""One Linear of the model: store its weight in a sparse format, then verify the weight and the layer's output."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

import sparseref as sr

from ..bounds import error_ratio, expected_forward
from ..dtypes import bits_of
from ..registry import get_operator
from .measures import Measures, Storage


@dataclass(frozen=True)
class Layer:
    """A Linear as NumPy sees it: weight [O, K], bias [O], and a real input x [B, T, K]."""

    name: str
    weight: np.ndarray
    bias: np.ndarray
    x: np.ndarray


@dataclass(frozen=True)
class LayerResult:
    """What the demo found out about one layer.

    route: how dispatch ran it, "exact", "converted" or "dense"; problems: what the verification found wrong, if anything.
    """

    name: str
    shape: tuple[int, ...]
    measures: Measures
    route: str
    problems: tuple[str, ...]


def examine(layer: Layer, sparsifier: sr.Sparsifier, layout: sr.Layout, backend: sr.Backend,
            rng: np.random.Generator) -> tuple[LayerResult, np.ndarray]:
    """A layer -> what was found, and its weight [O, K] as the sparse model has it."""
    start = perf_counter()
    pattern = sr.select(layer.weight, sparsifier, rng=rng)
    a = sr.encode(layer.weight, layout, pattern)
    sparsified = perf_counter()
    problems = weight_problems(layer.weight, pattern, a, backend)
    ratio, output_problems = check_output(layer.x, a, layer.bias, backend)
    route = sr.explain("linear", layer.x, a, layer.bias, backend=backend).kind
    verified = perf_counter()

    magnitude = np.abs(layer.weight.astype(np.float64))
    stored = int(pattern.sum())
    best = np.sort(magnitude, axis=None)[magnitude.size - stored:]
    measures = Measures(magnitude.size, stored, float(magnitude.sum()), float(magnitude[pattern].sum()), float(best.sum()),
                        storage_of(a, stored), ratio, sparsified - start, verified - sparsified)
    return LayerResult(layer.name, a.shape, measures, route, (*problems, *output_problems)), sr.decode(a)


def storage_of(a: sr.SparseArray, stored: int) -> Storage:
    """A sparse array and how many entries it stores -> where its bits go."""
    value = bits_of(a.dtype)
    slots = a.values.size
    return Storage(stored * value, (slots - stored) * value, a.bits - slots * value)


def weight_problems(weight: np.ndarray, pattern: np.ndarray, a: sr.SparseArray, backend: sr.Backend) -> list[str]:
    """What is wrong with a stored weight: it must be valid, canonical, and decode to the chosen entries bit for bit."""
    try:
        sr.validate(a)
    except sr.SpecError as refused:
        return [str(refused)]
    expected = np.where(pattern, weight, np.zeros((), weight.dtype))
    problems = []
    if not sr.same_bits(expected, sr.decode(a)):
        problems.append("CORE-V1: the stored weight does not decode to the entries that were chosen")
    if not sr.is_canonical(a):
        problems.append("CORE-C1: the stored weight is not in canonical form")
    if not sr.same_bits(expected, _run("to_dense", a, backend=backend)):
        problems.append("TODENSE-1: the backend reads another weight than the one that was stored")
    return problems


def check_output(x: np.ndarray, a: sr.SparseArray, bias: np.ndarray, backend: sr.Backend) -> tuple[float, list[str]]:
    """x [B, T, K], weight [O, K], bias [O] -> the worst error / bound of the backend's output, and what is wrong with it."""
    expected, _ = expected_forward(get_operator("linear"), (x, a, bias), {}, backend.accumulator(a.dtype.name),
                                   backend.flushes(a.dtype.name))
    actual = _run("linear", x, a, bias, backend=backend)
    if actual.shape != expected.value.shape or actual.dtype != expected.dtype:             # OPS-1, LINEAR-1
        return np.inf, [f"LINEAR-1: the output is {actual.dtype} {actual.shape}, "
                        f"wanted {expected.dtype} {expected.value.shape}"]
    ratio = error_ratio(actual, expected)                      # [B, T, O]
    at = np.unravel_index(int(ratio.argmax()), ratio.shape)
    if ratio[at] <= 1:
        return float(ratio[at]), []
    return float(ratio[at]), [f"BOUND-1: output [{', '.join(map(str, at))}] is {actual[at]:.9g}, wanted "
                              f"{expected.value[at]:.9g} +- {expected.bound[at]:.3g}"]


def _run(operation: str, *operands: Any, backend: sr.Backend) -> np.ndarray:
    """Run through dispatch; a fallback to dense is no surprise here, because the result names the route."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sr.FallbackWarning)
        result: np.ndarray = sr.run(operation, *operands, backend=backend)
    return result
