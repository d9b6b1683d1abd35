"""Dynamic patterns: at a fixed number of stored entries, the least ones are dropped and others grow (SET, RigL)."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sparseref import Dense, SpecError

from ..selection import keep_largest
from ..tensor import SparseTensor
from .allocation import BY_SHAPE
from .ladder import Ladder
from .regime import Regime
from .targets import Target, Which


class Rewiring(Regime):
    """Every `every` steps, each target drops a fraction of its stored entries and stores as many others.

    Targets that are dense begin in a pattern chosen at random, targets that are sparse in the one that they have.
    formats: one that takes any pattern, with a fraction, e.g. "csr:0.9".  fraction: the share of the stored entries that is
    exchanged.  stop: the step from which the pattern stays.  allocation: "erk" or "uniform".  seed: of all chance.
    The number of stored entries of every target never changes; what grows begins at 0, weight and optimizer state.
    Errors: TRAIN-8, and those of Regime.
    """

    def __init__(self, model: nn.Module, which: Which, formats: Any, every: int = 100, fraction: float = 0.3,
                 stop: int | None = None, allocation: str = "erk", seed: int = 0) -> None:
        ladder = Ladder(formats)
        self.layout = ladder.rungs[-1][1]
        self._check(ladder, allocation, every, fraction, stop)
        self.every, self.fraction, self.stop = every, fraction, stop
        self.generator = np.random.default_rng(seed)
        super().__init__(model, which)
        self._begin(ladder.final, allocation)

    def growth(self, target: Target) -> Tensor:
        """float64 [shape]: of the entries that are not stored, those with the highest numbers grow."""
        raise NotImplementedError

    def exchanged(self, step: int) -> float:
        """The share of the stored entries that is exchanged at a step."""
        return self.fraction

    def updates(self, step: int) -> bool:
        """True at the steps after which the pattern changes."""
        return step > 0 and step % self.every == 0 and (self.stop is None or step < self.stop)

    @torch.no_grad()
    def change(self) -> None:
        if self.updates(self.steps):
            self.changed([target.name for target in self.targets if self._rewire(target)])

    def _rewire(self, target: Target) -> bool:
        """Drop the least, store others: bool [shape] patterns of what was, what stays and what grows."""
        stored, values = target.parameter.pattern, target.values
        nnz = int(stored.count_nonzero())
        count = min(math.floor(self.exchanged(self.steps) * nnz), stored.numel() - nnz)
        if not count:
            return False
        stays = _largest(values.double().abs(), stored, nnz - count)
        grows = _largest(self.growth(target), ~stays, count)
        new = target.placed(values.masked_fill(grows, 0), stays | grows, self.layout)
        return self.set_pattern(target, new, restart=grows)

    @torch.no_grad()
    def _begin(self, sparsity: float, allocation: str) -> None:
        shapes = [tuple(target.parameter.shape) for target in self.targets]
        for target, dropped in zip(self.targets, BY_SHAPE[allocation](shapes, sparsity), strict=True):
            if isinstance(target.parameter, SparseTensor):
                self.made_sparse(target, Dense())
                continue
            values = target.values
            draws = torch.from_numpy(self.generator.random(tuple(values.shape))).to(values.device)
            everywhere = torch.ones_like(values, dtype=torch.bool)
            pattern = _largest(draws, everywhere, values.numel() - dropped)
            self.made_sparse(target, Dense()).set_sparse_(target.placed(values, pattern, self.layout))
            self._seen[target.name] = target.parameter._version

    @staticmethod
    def _check(ladder: Ladder, allocation: str, every: Any, fraction: Any, stop: Any) -> None:
        layout = ladder.rungs[-1][1]
        if not ladder.by_entry or not layout.any_pattern:                                  # TRAIN-8
            raise SpecError("TRAIN-8", f"{layout} does not take any pattern, so single entries cannot be exchanged.",
                            wanted="a format with a fraction whose layout takes every pattern, such as csr:0.9",
                            given=f"({ladder.rungs[-1][0]}, {layout})",
                            fix='for a structured format use Pruner(..., latent="sr-ste")')
        if allocation not in BY_SHAPE:                                                     # TRAIN-8
            raise SpecError("TRAIN-8", "these patterns begin at random, so there are no scores to compare.",
                            wanted=" or ".join(BY_SHAPE), given=repr(allocation))
        for what, value in (("every", every), ("stop", stop)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):       # TRAIN-8
                raise SpecError("TRAIN-8", f"{what} is out of its range.", wanted="a whole number of steps, at least 1",
                                given=f"{what} = {value!r}")
        if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:        # TRAIN-8
            raise SpecError("TRAIN-8", "this is no fraction.", wanted="0 <= fraction <= 1, the share that is exchanged",
                            given=f"fraction = {fraction!r}")

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"generator": self.generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.generator.bit_generator.state = state["generator"]


class SET(Rewiring):
    """Sparse evolutionary training: the least magnitudes go, random entries grow.

    What was dropped a moment before may be drawn again, as any other entry; it begins at 0.
    Source: Mocanu et al. 2018, arXiv 1707.04780.
    """

    def growth(self, target: Target) -> Tensor:
        values = target.values
        return torch.from_numpy(self.generator.random(tuple(values.shape))).to(values.device)


class RigL(Rewiring):
    """The least magnitudes go, the entries with the largest gradients grow; the share falls as a cosine to 0 at `stop`.

    Gradients are dense only in the backward pass before an update; the sum over several backward passes counts where
    gradients are accumulated.  stop: where the cosine ends, 0.75 of all steps in the paper.
    Source: Evci et al. 2020, arXiv 1911.11134, algorithm 1.
    """

    def __init__(self, model: nn.Module, which: Which, formats: Any, stop: int, every: int = 100, fraction: float = 0.3,
                 allocation: str = "erk", seed: int = 0) -> None:
        self._gradients: dict[str, Tensor] = {}
        self._listeners: list[Any] = []
        super().__init__(model, which, formats, every, fraction, stop, allocation, seed)
        self._listen()

    def exchanged(self, step: int) -> float:
        assert self.stop is not None
        return self.fraction / 2 * (1 + math.cos(math.pi * step / self.stop))

    def attach(self, optimizer: Any) -> Self:
        super().attach(optimizer)
        self._listen()                                         # model.to(...) may have come between, and taken the hooks away
        return self

    def change(self) -> None:
        super().change()
        self._listen()

    def growth(self, target: Target) -> Tensor:
        """Errors: TRAIN-8 where no gradient arrived."""
        if target.name not in self._gradients:                                             # TRAIN-8
            raise SpecError("TRAIN-8", f"no gradient reached {target.name} before its update.",
                            wanted="a backward pass before each step", given="none",
                            fix="leave it out if the loss does not depend on it, or if it is frozen")
        return self._gradients[target.name].double().abs()

    def finish(self) -> nn.Module:
        self._deaf()
        return super().finish()

    def _listen(self) -> None:
        """Keep the dense gradients of the next backward pass, if an update follows it."""
        self._deaf()
        for target in self.targets if self.updates(self.steps + 1) else ():
            parameter: Any = target.parameter
            if parameter.requires_grad:
                form = getattr(parameter, "grad_format", None)
                parameter.set_grad_format(None)                # hooks run in order: that of the format must come after ours
                self._listeners.append(parameter.register_hook(lambda grad, name=target.name: self._keep(name, grad)))
                parameter.set_grad_format(form)

    def _keep(self, name: str, grad: Tensor) -> None:
        dense = grad.to_dense() if isinstance(grad, SparseTensor) else grad
        self._gradients[name] = dense.detach().clone() if name not in self._gradients else self._gradients[name] + dense

    def _deaf(self) -> None:
        for handle in self._listeners:
            handle.remove()
        self._listeners.clear()
        self._gradients.clear()


def _largest(scores: Tensor, among: Tensor, count: int) -> Tensor:
    """scores [shape], among bool [shape] -> bool [shape]: the `count` largest of those, ties to the lower index (SPF-4)."""
    ranked = torch.where(among, scores.nan_to_num(nan=torch.inf), -torch.inf).reshape(-1)
    return keep_largest(ranked, count).reshape(scores.shape) & among
