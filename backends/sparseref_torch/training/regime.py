"""Regimes: what a pruner and the dynamic methods share: targets, a count of steps, and the optimizers that follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.weak import WeakIdKeyDictionary

from sparseref import SpecError

from ..tensor import SparseTensor
from . import optimizer_state
from .targets import Target, Which, make_sparse, targets_of


class Regime(ABC):
    """Changes the patterns of a model's parameters while it trains; the parameters stay the same objects.

    Once `attach`ed to the optimizer it steps by itself; otherwise call `step(optimizer)` after each optimizer step.
    on_change: functions that are called after patterns changed, with the names of the tensors.
    Errors: TRAIN-5 (an optimizer that is not told), TRAIN-6 (stepped twice, or finished too early).
    """

    def __init__(self, model: nn.Module, which: Which) -> None:
        self.model, self.targets = model, targets_of(model, which)
        self.steps = 0
        self.optimizers: list[Optimizer] = []
        self.on_change: list[Callable[[list[str]], Any]] = []
        self._handles: list[Any] = []
        self._replaced = WeakIdKeyDictionary()                 # dense parameter -> the sparse one in its place
        self._seen: dict[str, int] = {}                        # name -> version of the parameter at the last change

    @abstractmethod
    def change(self) -> None:
        """Change the patterns, if that is due after `self.steps` steps."""

    def observe(self) -> None:                                 # noqa: B027 - most have nothing to look at
        """Look at the gradients, before the optimizer uses them."""

    def attach(self, optimizer: Any) -> Self:
        """Step with the optimizer from now on.  A dense parameter that it holds is exchanged for the sparse one."""
        optimizer = self._take(optimizer)
        self._handles += [optimizer.register_step_pre_hook(lambda *_: self.observe()),
                          optimizer.register_step_post_hook(lambda *_: self._advance())]
        return self

    def step(self, optimizer: Any = None) -> Self:
        """After an optimizer step, where nothing is attached: count it, and change the patterns if that is due."""
        if self._handles:                                                                  # TRAIN-6
            raise SpecError("TRAIN-6", f"the {type(self).__name__} is attached and steps with its optimizer.",
                            wanted="one step for each step of the optimizer", given="step() after attach()",
                            fix="leave out step(), or do not attach")
        if optimizer is not None:
            self._take(optimizer)
        self._refuse_idle()
        self._advance()
        return self

    def finish(self) -> nn.Module:
        """Let go of the optimizer and of all hooks -> the model, which goes on as it is."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        return self.model

    def sparsity(self) -> float:
        """The share of the targets' entries that are not stored."""
        size = sum(target.parameter.numel() for target in self.targets)
        return 1 - sum(self.stored(target) for target in self.targets) / max(size, 1)

    def sparsities(self) -> dict[str, float]:
        """name -> the share of the tensor's entries that are not stored."""
        return {target.name: 1 - self.stored(target) / max(target.parameter.numel(), 1) for target in self.targets}

    def stored(self, target: Target) -> int:
        """How many entries of a target are stored."""
        parameter = target.parameter
        return parameter.nnz if isinstance(parameter, SparseTensor) else parameter.numel()

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on later needs, beside the states of model and optimizer."""
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; load the model's own state dict as well, it holds the patterns."""
        self.steps = state["steps"]
        self._seen = {target.name: target.parameter._version for target in self.targets}

    def _take(self, optimizer: Any) -> Optimizer:
        optimizer = optimizer_state.unwrapped(optimizer)
        if not any(known is optimizer for known in self.optimizers):
            for old, new in self._replaced.items():
                optimizer_state.swap(optimizer, old, new)
            self.optimizers.append(optimizer)
        return optimizer

    def _refuse_idle(self) -> None:
        """Gradients arrived and nobody moved the weights: the optimizer holds the dense parameters of before (TRAIN-5)."""
        trained = [target for target in self.targets if target.parameter.grad is not None]
        if self.steps or not trained or any(target.parameter._version != self._seen.get(target.name) for target in trained):
            return
        if all(bool(target.gradient.isfinite().all()) for target in trained):              # TRAIN-5; else a step skipped by AMP
            raise SpecError("TRAIN-5", "no optimizer has moved the sparse parameters, though they have gradients.",
                            wanted="an optimizer that holds them", given=f"{trained[0].name} as it was before the step",
                            fix="make the optimizer after the pruner, or attach(optimizer), or step(optimizer)")

    def _advance(self) -> None:
        self.steps += 1
        self.change()

    def replaced(self, old: Tensor, new: Tensor) -> None:
        """A parameter stands in the place of another: optimizers follow, those attached now and later."""
        if old is not new:
            self._replaced[old] = new
            for optimizer in self.optimizers:
                optimizer_state.swap(optimizer, old, new)

    def made_sparse(self, target: Target, layout: Any) -> SparseTensor:
        """The target as a sparse parameter that stores everything, or the one that it is already."""
        old, new = make_sparse(target, layout)
        self.replaced(old, new)
        self._seen[target.name] = new._version
        return new

    @torch.no_grad()
    def set_pattern(self, target: Target, new: SparseTensor, restart: Tensor | None = None) -> bool:
        """Give a target another pattern with its values -> whether it was another; gradient and optimizer state follow.

        restart: bool [shape], entries whose optimizer state begins anew.
        """
        parameter = target.parameter
        assert isinstance(parameter, SparseTensor)
        if restart is None and parameter.descriptor == new.descriptor and torch.equal(parameter.pattern, new.pattern):
            return False
        if not self.optimizers and parameter._version > self._seen.get(target.name, parameter._version):    # TRAIN-5
            raise SpecError("TRAIN-5", f"an optimizer that trains {target.name} would keep its state in the old pattern.",
                            wanted="the optimizer", given="none", fix="attach(optimizer) before training, or step(optimizer)")
        parameter.set_sparse_(new)
        if isinstance(parameter.grad, Tensor):
            dense = parameter.grad.to_dense() if isinstance(parameter.grad, SparseTensor) else parameter.grad
            parameter.grad = parameter.detach().like(dense) if isinstance(parameter.grad, SparseTensor) else dense
        for optimizer in self.optimizers:
            optimizer_state.follow(optimizer, parameter, restart)
        self._seen[target.name] = parameter._version
        return True

    def changed(self, names: Iterable[str]) -> None:
        """Tell those who asked that these tensors have other patterns now."""
        names = list(names)
        for listener in self.on_change if names else ():
            listener(names)
