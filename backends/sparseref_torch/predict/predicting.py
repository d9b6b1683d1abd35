"""From samples to a prediction: Amdahl's law over the layers that become sparse, a roofline below it, break-even, a verdict."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from sparseref.bench.machine import Machine
from sparseref.card.speed import crossings

from .measuring import Group, Samples

PAYS, COSTS = 1.1, 0.9
"""Times as fast as dense: from here on it is worth having; below this it is slower.  Between the two lies noise."""


@dataclass(frozen=True)
class Kind:
    """Layers that compute one product.  share: of the dense model's time; speeds: format -> times as fast as dense."""

    name: str
    kind: str
    shape: tuple[int, ...]
    count: int
    rows: int
    share: float
    speeds: dict[str, float]


@dataclass(frozen=True)
class Forecast:
    """A format for the whole model.  seconds: predicted; speed: times as fast as dense, low and high: the quartiles of its
    samples; at_best: seconds if the sparse products reached the machine's limits and all else stayed; measured: seconds, and
    error: of the prediction, relative to it; None where it was not measured."""

    format: str
    density: float
    seconds: float
    speed: float
    low: float
    high: float
    at_best: float
    measured: float | None
    error: float | None
    verdict: str


@dataclass(frozen=True)
class Prediction:
    """Everything: dense, rest, seconds of the dense model and of what stays as it is; limit: times as fast if the sparse
    layers took no time; break_even: densities at which sparse is as fast as dense, between those of the formats;
    unmet: sparse weights that no timed layer has, so that they count as they are in the dense model."""

    model: str
    machine: Machine
    rounds: int
    dense: float
    rest: float
    limit: float
    kinds: tuple[Kind, ...]
    forecasts: tuple[Forecast, ...]
    break_even: tuple[float, ...]
    unmet: tuple[str, ...]

    @property
    def worst_error(self) -> float:
        """Of the predictions that were checked, the largest; 0 where none was."""
        return max((abs(one.error) for one in self.forecasts if one.error is not None), default=0.0)


def predict(model: str, samples: Samples, machine: Machine) -> Prediction:
    """Samples -> the prediction.  Each round is compared with itself, so that a machine that gets slower changes no ratio."""
    dense, rest = statistics.median(samples.total), statistics.median(samples.rest)
    forecasts = tuple(_forecast(text, samples, machine) for text in samples.groups[0].nnz)
    points = sorted((one.density, 1 / one.speed) for one in forecasts)
    kinds = tuple(_kind(group, samples) for group in samples.groups)
    return Prediction(model, machine, len(samples.total), dense, rest, dense / rest, kinds, forecasts, tuple(crossings(points)),
                      tuple(samples.unmet))


def _forecast(text: str, samples: Samples, machine: Machine) -> Forecast:
    ratios = list(_ratios(text, samples))
    ratio, dense = statistics.median(ratios), statistics.median(samples.total)
    low, _, high = (1 / one for one in statistics.quantiles(ratios, n=4)[::-1])
    stored = sum(len(group.names) * group.nnz[text] for group in samples.groups)
    entries = sum(len(group.names) * math.prod(group.shape) for group in samples.groups)
    at_best = statistics.median(samples.rest) + sum(at_least(group, text, machine) for group in samples.groups)
    measured = statistics.median(one / total for one, total in zip(samples.whole[text], samples.total, strict=True)) * dense \
        if text in samples.whole else None
    return Forecast(text, stored / entries, ratio * dense, 1 / ratio, low, high, at_best, measured,
                    None if measured is None else ratio * dense / measured - 1, verdict(1 / ratio))


def _ratios(text: str, samples: Samples) -> Iterator[float]:
    """Sparse over dense, a round at a time: a layer takes the share of its time in the model that it takes alone (Amdahl)."""
    for at, (total, rest) in enumerate(zip(samples.total, samples.rest, strict=True)):
        layers = sum(group.inside[at] * group.alone[text][at] / group.alone["dense"][at] for group in samples.groups)
        yield (rest + layers) / total


def at_least(group: Group, text: str, machine: Machine) -> float:
    """Seconds of all layers of a group at the machine's peak, or at what memory gives for their weights, the larger."""
    compute = 2 * group.nnz[text] * group.rows / machine.peak
    return len(group.names) * max(compute, len(group.calls) * group.bits[text] / 8 / machine.read)


def verdict(speed: float) -> str:
    if speed >= PAYS:
        return "go"
    return "no-go" if speed < COSTS else "no gain"


def _kind(group: Group, samples: Samples) -> Kind:
    share = statistics.median(one / total for one, total in zip(group.inside, samples.total, strict=True))
    speeds = {text: statistics.median(dense / one for dense, one in zip(group.alone["dense"], seconds, strict=True))
              for text, seconds in group.alone.items() if text != "dense"}
    return Kind(group.names[0], group.kind, group.shape, len(group.names), group.rows, share, speeds)

