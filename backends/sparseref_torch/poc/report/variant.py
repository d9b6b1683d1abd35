"""What the report shows: one variant of the model a row, each with its quality, latency and storage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, stdev

DENSE, CONTROL, ONE_SHOT, CALIBRATED, TRAINED = "dense", "control", "one-shot", "calibrated", "trained"
"""Stages: as it was loaded; dense with the same extra training; pruned, nothing trained; that, and the task's own control
that trains nothing, such as BatchNorm's statistics measured anew; pruned and trained."""
LABELS = {DENSE: "dense", CONTROL: "dense, same training", ONE_SHOT: "one shot", CALIBRATED: "calibrated only",
          TRAINED: "trained"}


@dataclass(frozen=True)
class Variant:
    """The model in one format at one stage, measured once for each seed.

    scores: of each seed, larger is better; error: the standard error of one evaluation, None where the task gives none.
    p50, p95: milliseconds of a forward pass of the task's example, None where nothing was timed; bits: of the whole model;
    sparsity: of the weights that are pruned; seconds: training of one seed; curve: (step, mean score) while it trained.
    also: other figures of the task, of the first seed.
    """

    format: str
    stage: str
    scores: tuple[float, ...]
    bits: int
    sparsity: float = 0.0
    error: float | None = None
    p50: float | None = None
    p95: float | None = None
    seconds: float = 0.0
    curve: tuple[tuple[int, float], ...] = ()
    also: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its format and its stage in words."""
        return LABELS[self.stage] if self.stage in (DENSE, CONTROL) else f"{self.format}, {LABELS[self.stage]}"

    @property
    def score(self) -> float:
        return mean(self.scores)

    @property
    def spread(self) -> float:
        """The standard deviation over seeds; 0 of a single one."""
        return stdev(self.scores) if len(self.scores) > 1 else 0.0

    @property
    def uncertainty(self) -> float:
        """The standard error of the mean over seeds, or that of one evaluation where it is larger: all share its data."""
        return max(self.spread / math.sqrt(len(self.scores)), self.error or 0.0)


@dataclass(frozen=True)
class Study:
    """A task, its variants, and what decided the figures.

    task, metric, command: as they are shown; settings and versions: name -> value; resumed: how many measurements were taken
    from an interrupted run; pruned_entries of model_entries: what was made sparse.
    """

    task: str
    metric: str
    variants: tuple[Variant, ...]
    seeds: int
    steps: int
    model_entries: int
    pruned_entries: int
    command: str = ""
    resumed: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def dense(self) -> Variant:
        """What all is compared with: dense with the same extra training where that is better, else as it was loaded."""
        return max((one for one in self.variants if one.stage in (DENSE, CONTROL)), key=lambda one: one.score)

    @property
    def loaded(self) -> Variant:
        """The dense model as it was loaded: its latency and its storage are dense's."""
        return next(one for one in self.variants if one.stage == DENSE)

    @property
    def formats(self) -> list[str]:
        """The sparse formats, in order."""
        return list(dict.fromkeys(one.format for one in self.variants if one.stage not in (DENSE, CONTROL)))

    def best(self, form: str) -> Variant:
        """Of a format the variant with the best score."""
        return max((one for one in self.variants if one.format == form), key=lambda one: one.score)

    def timed(self, times: Mapping[tuple[str, str], Sequence[float]], resumed: int) -> Study:
        """(format, stage) -> milliseconds (p50, p95) -> the same study with them, and with what was resumed."""
        def with_time(one: Variant) -> Variant:
            p50, p95 = times.get((one.format, one.stage), (None, None))
            return replace(one, p50=p50, p95=p95)

        return replace(self, variants=tuple(map(with_time, self.variants)), resumed=resumed)

    @property
    def also(self) -> list[str]:
        """The task's other figures in words: "Lee correlation: 0.654 dense, 0.641 nmg:2:8:8, trained"."""
        names = dict.fromkeys(name for one in self.variants for name in one.also)
        return [f"{name}: " + "; ".join(f"{one.also[name]:.3f} {one.name}" for one in self.variants if name in one.also)
                for name in names]

    def kept(self, variant: Variant) -> float:
        """Its score as a share of dense's."""
        return variant.score / self.dense.score if self.dense.score else math.nan

    def error(self, variant: Variant) -> float:
        """The uncertainty of its score as a share of dense's score."""
        return variant.uncertainty / self.dense.score if self.dense.score else math.nan

    def size(self, variant: Variant) -> float:
        """Its storage as a share of the dense model's."""
        return variant.bits / self.loaded.bits

    def time(self, variant: Variant) -> float | None:
        """Its median latency as a share of the dense model's; None where one of the two was not timed."""
        return None if variant.p50 is None or not self.loaded.p50 else variant.p50 / self.loaded.p50
