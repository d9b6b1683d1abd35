"""The pruner: takes the weights of a model from dense to a sparse format while they train."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sparseref import Dense, GreedyNMG, OptimalNMG, Sparsifier, SpecError

from ..tensor import SparseTensor
from . import optimizer_state
from .allocation import BY_SHAPE, at_threshold, checked_allocation
from .ladder import Ladder, Rung
from .regime import Regime
from .schedules import Iterative, LayerWise, Schedule, parse_schedule
from .scores import Scores, parse_scores
from .straight_through import STE, latent_of, parse_latent
from .targets import Target, Which, dense_of


class Pruner(Regime):
    """Drops entries of the chosen weights by a schedule, in place; the model then computes with sparse parameters.

    which: names, patterns of names, or a Selector.  formats: a format with a fraction ("csr:0.9"), or a ladder of fixed
    ones (["nmg:4:8:8", "nmg:2:8:8"]).  schedule: when how much; by default all before the first step, which with
    ordinary training afterwards is fine-tuning on a fixed mask.  scores: what ranks entries.  allocation: "uniform",
    "erk", or "global", one threshold for all tensors.  latent: None, or "ste" / "sr-ste": dense weights train underneath
    and entries may come back; `finish()` makes them sparse.

    Without latent weights what is dropped stays dropped.  A grouped format (nmg) decides for whole fibres, so its next
    rung may store an entry again; that entry starts at 0.
    Errors: TRAIN-1 to TRAIN-6, those of Selector, format and layout.
    """

    def __init__(self, model: nn.Module, which: Which, formats: Any, schedule: str | Schedule = "one-shot",
                 scores: str | Scores = "magnitude", allocation: str = "uniform", latent: str | STE | None = None) -> None:
        self.ladder, self.allocation = Ladder(formats), checked_allocation(allocation)
        self.scores, self.latent = parse_scores(scores), parse_latent(latent)
        super().__init__(model, which)
        self.schedule = parse_schedule(schedule).for_tensors(len(self.targets))
        self._check_plan()
        self.ladder.check_levels(self.schedule.levels(self.ladder.final, len(self.targets)))
        for target in self.targets:
            self.scores.watch(target.name, target.places[0].module, target.places[0].attribute)
            if self.latent is not None:
                self.latent.install(target)
            else:
                self.made_sparse(target, Dense())
        self._rewind: dict[str, Tensor] = {}
        self._kept: dict[str, int] = {}                        # name -> units that it kept at the last change
        self.change()

    def _check_plan(self) -> None:
        if self.allocation != "uniform" and not self.ladder.divides:                       # TRAIN-2
            raise SpecError("TRAIN-2", f"{self.allocation} gives each tensor a sparsity of its own, which these formats lack.",
                            wanted="a format with a fraction, such as csr:0.9", given=str(self.ladder.rungs[-1][1]),
                            fix='allocation="uniform"')
        if self.allocation == "global" and not self.ladder.by_entry:                       # TRAIN-2
            raise SpecError("TRAIN-2", "one threshold for all needs entries that are chosen one by one.",
                            wanted="a format such as csr:0.9", given=str(self.ladder.rungs[-1][0]), fix='allocation="erk"')
        if self.allocation != "uniform" and isinstance(self.schedule, LayerWise):          # TRAIN-2
            raise SpecError("TRAIN-2", "a layer-wise schedule prunes one tensor at a time, so there is no total to share out.",
                            wanted='allocation="uniform"', given=self.allocation)
        if isinstance(self.schedule, Iterative) and self.schedule.rewind is not None and self.latent is not None:    # TRAIN-1
            raise SpecError("TRAIN-1", "rewinding sets surviving weights back; latent weights have no survivors.",
                            wanted="rewind or latent weights", given=f"both: {self.schedule} and {self.latent}")

    @torch.no_grad()
    def change(self) -> None:
        schedule = self.schedule
        if isinstance(schedule, Iterative) and self.steps == schedule.rewind:
            self._rewind = {name: dense_of(tensor).clone() for name, tensor in self.model.state_dict(keep_vars=True).items()}
        beyond = self.steps - schedule.end
        still_moving = self.latent is not None and beyond > 0 and beyond % schedule.every == 0
        if not schedule.updates(self.steps) and not still_moving:
            return
        ranked = {target.name: self._scores_of(target) for target in self.targets} if self._is_sparse_now() else {}
        changed = [target.name for target, rung in zip(self.targets, self._rungs(ranked), strict=True)
                   if rung[1] != Dense() and self._apply(target, ranked[target.name], rung)]
        if self._rewind and changed:
            self._restore()
        self.changed(changed)

    def _is_sparse_now(self) -> bool:
        count = len(self.targets)
        return any(self.schedule.sparsity(self.steps, self.ladder.final, i, count) > 0 for i in range(count))

    def _rungs(self, ranked: dict[str, Tensor]) -> list[Rung]:
        """The format of each target after `self.steps` steps."""
        count = len(self.targets)
        sparsities = [self.schedule.sparsity(self.steps, self.ladder.final, i, count) for i in range(count)]
        if not self.ladder.divides or self.allocation == "uniform" or not any(sparsities):
            return [self.ladder.at(sparsity) for sparsity in sparsities]
        shapes = [self.ladder.units(target.values, target.turned) for target in self.targets]
        if self.allocation == "global":
            dropped = at_threshold([ranked[target.name] for target in self.targets], sparsities[0])
        else:
            dropped = BY_SHAPE[self.allocation](shapes, sparsities[0], self._most(shapes))
        sizes = [math.prod(shape) for shape in shapes]
        self._kept = {target.name: size - count for target, size, count in zip(self.targets, sizes, dropped, strict=True)}
        return [self.ladder.at(count / max(size, 1)) for count, size in zip(dropped, sizes, strict=True)]

    def _most(self, shapes: list[tuple[int, ...]]) -> list[int]:
        """How many units each target may keep: those that it has, unless latent weights let others come back.

        Kept counts are rounded in total, so one tensor's share alone could rise by one as the sparsity rises.
        """
        sizes = [math.prod(shape) for shape in shapes]
        if self.latent is not None:
            return sizes
        return [min(size, self._kept.get(target.name, size)) for size, target in zip(sizes, self.targets, strict=True)]

    def _scores_of(self, target: Target) -> Tensor:
        """float64 [shape]; what was dropped before comes last, unless latent weights let it come back."""
        values = target.values
        scores = self.scores.of(target.name, values)
        if self.latent is not None or not isinstance(target.parameter, SparseTensor):
            return scores
        return behind(scores, target.parameter.pattern, self.ladder.rungs[-1][0])

    def _apply(self, target: Target, scores: Tensor, rung: Rung) -> bool:
        values = target.values
        pattern = target.pattern(values, scores, rung)
        if self.latent is not None:
            return latent_of(target).set_pattern(pattern, rung[1])                         # type: ignore[union-attr]
        if rung[1].any_pattern:
            pattern = pattern & target.parameter.pattern       # a model that came sparser than the schedule stays so
        return self.set_pattern(target, target.placed(values, pattern, rung[1]))

    def _restore(self) -> None:
        """Take all weights back to where they were at the rewind step, each in the pattern that it has now."""
        for name, tensor in self.model.state_dict(keep_vars=True).items():
            before = self._rewind[name]
            tensor.detach().copy_(tensor.detach().like(before) if isinstance(tensor, SparseTensor) else before)
        for optimizer in self.optimizers:
            for parameter in [*optimizer.state]:
                optimizer_state.reset(optimizer, parameter)
        self._seen = {target.name: target.parameter._version for target in self.targets}

    @torch.no_grad()
    def observe(self) -> None:
        for target in self.targets if self.scores.needs_gradients else ():
            gradient = target.gradient
            if gradient is not None:
                self.scores.observe(target.name, target.values, gradient)

    def stored(self, target: Target) -> int:
        straight = latent_of(target)
        return super().stored(target) if straight is None else straight.stored

    def finish(self, early: bool = False) -> nn.Module:
        """Let go of optimizer and hooks; latent weights become sparse parameters -> the model.

        early: the schedule need not be at its end; what it reached is kept.  Errors: TRAIN-6.
        """
        if self.steps < self.schedule.end and not early:                                   # TRAIN-6
            raise SpecError("TRAIN-6", "the schedule is not at its end, so the model is less sparse than asked for.",
                            wanted=f"{self.schedule.end} steps", given=f"{self.steps}, sparsity {self.sparsity():.4g}",
                            fix="train on, or finish(early=True) to keep what is reached")
        self.scores.stop()
        for target in self.targets:
            straight = latent_of(target)
            if straight is not None:
                latent, sparse = straight.remove(target)
                self.replaced(latent, sparse)
        return super().finish()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"scores": self.scores.state_dict(), "kept": dict(self._kept),
                                       "rewind": dict(self._rewind)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.scores.load_state_dict(state["scores"])
        self._kept, self._rewind = dict(state["kept"]), dict(state["rewind"])


def behind(scores: Tensor, stored: Tensor, sparsifier: Sparsifier) -> Tensor:
    """scores float64 [shape], stored bool [shape] -> the same with what is not stored last.

    A group of nmg needs a finite place for it: the patterns of its fibres are ranked by sums.
    """
    lowest = -torch.inf
    if isinstance(sparsifier, GreedyNMG | OptimalNMG):
        finite = scores[stored & scores.isfinite()]
        lowest = min(float(finite.min()), 0.0) if finite.numel() else 0.0
    return torch.where(stored, scores, lowest)
