"""Schedules: how sparse a tensor is meant to be after a step.  Pure functions; whoever asks counts the steps."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sparseref import SpecError
from sparseref.descriptor import Descriptor, build


class Schedule(Descriptor):
    """step, final sparsity -> sparsity, never falling, and exactly `final` from step `end` on.

    `place` of `count` says which tensor is asked about, in the model's order; most schedules treat all alike.
    """

    name: ClassVar[str]
    begin: int                                                 # the first step at which something is dropped
    end: int
    every: int

    @abstractmethod
    def share(self, step: int, final: float, place: int, count: int) -> float:
        """The sparsity before step `end`; asked at steps that are updates only."""

    def for_tensors(self, count: int) -> Schedule:
        """The schedule for a model of `count` tensors."""
        return self

    def sparsity(self, step: int, final: float = 1.0, place: int = 0, count: int = 1) -> float:
        """The sparsity from the last update up to `step` on."""
        if step >= self.end:
            return final
        if step < self.begin:
            return 0.0
        update = self.begin + (step - self.begin) // self.every * self.every
        return min(self.share(update, final, place, count), final)

    def updates(self, step: int) -> bool:
        """True at the steps where the sparsity may change: every `every` from `begin` to `end`, and `end` itself."""
        return step == self.end or (self.begin <= step < self.end and (step - self.begin) % self.every == 0)

    def levels(self, final: float, count: int = 1) -> list[float]:
        """The sparsities that the schedule passes through, ascending, without 0; the last is `final`."""
        steps = [step for step in range(self.begin, self.end + 1) if self.updates(step)]
        found = {self.sparsity(step, final, place, count) for step in steps for place in (0, count - 1)}
        return sorted(found - {0.0}) or [final]


@dataclass(frozen=True)
class OneShot(Schedule):
    """Dense before step `at`, the final sparsity from it on.  At 0 it is there before the first step."""

    at: int = 0
    name: ClassVar[str] = "one-shot"
    examples: ClassVar[tuple[str, ...]] = ("one-shot", "one-shot,at=100")
    every: ClassVar[int] = 1                                   # there is one update only

    def __post_init__(self) -> None:
        _steps(self, "at", self.at, 0)

    @property
    def begin(self) -> int:                                    # type: ignore[override]
        return self.at

    @property
    def end(self) -> int:                                      # type: ignore[override]
        return self.at

    def share(self, step: int, final: float, place: int, count: int) -> float:
        return 0.0


@dataclass(frozen=True)
class Cubic(Schedule):
    """Gradual: s(t) = final * (1 - (1 - (t - begin) / (end - begin))**3), fast while much can go, slow at the end.

    Source: Zhu & Gupta 2017, arXiv 1710.01878, equation 1, from a dense start.
    """

    begin: int
    end: int
    every: int = 1
    name: ClassVar[str] = "cubic"
    examples: ClassVar[tuple[str, ...]] = ("cubic:0:1000,every=100",)

    def __post_init__(self) -> None:
        _span(self)

    def share(self, step: int, final: float, place: int, count: int) -> float:
        return final * (1 - (1 - (step - self.begin) / (self.end - self.begin)) ** 3)


@dataclass(frozen=True)
class Linear(Schedule):
    """Gradual: the same share more at every update."""

    begin: int
    end: int
    every: int = 1
    name: ClassVar[str] = "linear"
    examples: ClassVar[tuple[str, ...]] = ("linear:0:1000,every=100",)

    def __post_init__(self) -> None:
        _span(self)

    def share(self, step: int, final: float, place: int, count: int) -> float:
        return final * (step - self.begin) / (self.end - self.begin)


@dataclass(frozen=True)
class Iterative(Schedule):
    """Iterative magnitude pruning: after each round of `every` steps the same share of what is left is dropped.

    After round r of R the density is (1 - final)**(r / R), and for final = 1 it falls by equal parts.  rewind: the step
    whose weights the survivors go back to after each round (0: the initial ones), None: they stay as trained.
    Source: Frankle & Carbin 2019, arXiv 1803.03635; late rewinding: Frankle et al. 2019, arXiv 1903.01611.
    """

    rounds: int
    every: int
    rewind: int | None = None
    name: ClassVar[str] = "iterative"
    examples: ClassVar[tuple[str, ...]] = ("iterative:5:1000", "iterative:5:1000,rewind=0")

    def __post_init__(self) -> None:
        _steps(self, "rounds", self.rounds, 1)
        _steps(self, "every", self.every, 1)
        if self.rewind is not None:
            _steps(self, "rewind", self.rewind, 0, self.every - 1)

    @property
    def begin(self) -> int:                                    # type: ignore[override]
        return self.every

    @property
    def end(self) -> int:                                      # type: ignore[override]
        return self.rounds * self.every

    def share(self, step: int, final: float, place: int, count: int) -> float:
        part = step // self.every / self.rounds
        return final * part if final == 1 else 1 - (1 - final) ** part


@dataclass(frozen=True)
class LayerWise(Schedule):
    """One tensor after another: tensor i goes to its final sparsity at step begin + i * every, in the model's order.

    `count` tensors in all; a pruner fills it in.
    """

    every: int
    begin: int = 0
    count: int = 1
    name: ClassVar[str] = "layer-wise"
    examples: ClassVar[tuple[str, ...]] = ("layer-wise:100", "layer-wise:100,begin=50")

    def __post_init__(self) -> None:
        _steps(self, "every", self.every, 1)
        _steps(self, "begin", self.begin, 0)
        _steps(self, "count", self.count, 1)

    def for_tensors(self, count: int) -> Schedule:
        return replace(self, count=count)

    @property
    def end(self) -> int:                                      # type: ignore[override]
        return self.begin + (self.count - 1) * self.every

    def share(self, step: int, final: float, place: int, count: int) -> float:
        return final if step >= self.begin + place * self.every else 0.0


SCHEDULES: dict[str, type[Schedule]] = {kind.name: kind for kind in (OneShot, Cubic, Linear, Iterative, LayerWise)}


def parse_schedule(text: str | Schedule) -> Schedule:
    """`"cubic:0:1000,every=100"` -> Cubic(0, 1000, every=100); a Schedule is given back.  Errors: TRAIN-1."""
    if isinstance(text, Schedule):
        return text
    head = text.split(":")[0].split(",")[0] if isinstance(text, str) else None
    if head not in SCHEDULES:                                                              # TRAIN-1
        examples = ", ".join(example for kind in SCHEDULES.values() for example in kind.examples[:1])
        raise SpecError("TRAIN-1", "this is no schedule.", wanted=f"a Schedule or its short string: {examples}",
                        given=repr(text))
    return build(SCHEDULES[head], text)


def _span(schedule: Any) -> None:
    _steps(schedule, "begin", schedule.begin, 0)
    _steps(schedule, "end", schedule.end, schedule.begin + 1)
    _steps(schedule, "every", schedule.every, 1)


def _steps(schedule: Schedule, what: str, value: object, low: int, high: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):  # TRAIN-1
        raise SpecError("TRAIN-1", f"{what} of the schedule {schedule.name} is out of its range.",
                        wanted=f"a whole number, {low} <= {what}" + ("" if high is None else f" <= {high}"),
                        given=f"{what} = {value!r}")
