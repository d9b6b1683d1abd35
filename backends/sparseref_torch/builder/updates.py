"""Optimizers and sparse weights: state that is carried over, and results of a step that are stored again as a format says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from sparseref import Dense, SameFormat, Sparsifier, SpecError

from ..tensor.make import from_pattern, sparsify
from ..tensor.sparse_tensor import SparseTensor
from ..tensors import to_numpy
from .formats import Later
from .weights import Exchange


def checked(optimizer: Optimizer, made: list[Exchange]) -> None:
    """Refuse an optimizer that cannot follow its parameters (BUILD-7)."""
    known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = [exchange.name for exchange in made if exchange.before.requires_grad and id(exchange.before) not in known]
    if missing:
        raise SpecError("BUILD-7", "the optimizer does not hold these weights.", wanted="the optimizer of this model",
                        given=", ".join(missing[:6]), fix="make it from model.parameters(), or freeze these weights first")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise SpecError("BUILD-7", "the optimizer keeps its state in one flat vector.", wanted="state for each parameter",
                        given=type(optimizer).__name__, fix="make a new optimizer from the sparse model's parameters")


@torch.no_grad()
def carry_over(optimizer: Optimizer, made: list[Exchange]) -> None:
    """Point the optimizer at the new parameters; state of a weight's shape is gathered into its slots, the rest is kept."""
    exchanged = {id(exchange.before): exchange for exchange in made}
    for group in optimizer.param_groups:
        group["params"] = [exchanged[id(old)].after if id(old) in exchanged else old for old in group["params"]]
    for exchange in made:
        if exchange.before in optimizer.state:
            optimizer.state[exchange.after] = in_slots_of(exchange.after, optimizer.state.pop(exchange.before))


def in_slots_of(parameter: SparseTensor, state: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's state of one parameter -> the same with what has the parameter's shape in its slots."""
    def gathered(item: Any) -> Any:
        if not isinstance(item, Tensor) or item.shape != parameter.shape:
            return item
        return parameter.detach().like(item.to_dense() if isinstance(item, SparseTensor) else item)

    return {name: gathered(item) for name, item in state.items()}


class Updates:
    """Two hooks of an optimizer: before a step the weights lie in the temporary layout, after it they are stored as their
    format says (FMT-1), and the optimizer's state lies in their new slots."""

    def __init__(self, weights: list[tuple[str, SparseTensor, Later]], rng: np.random.Generator | None) -> None:
        self.weights, self.rng = weights, rng
        self.external: list[Sparsifier] = []

    def attach(self, optimizer: Optimizer) -> None:
        """Run around each step of the optimizer."""
        optimizer.register_step_pre_hook(self.before)
        optimizer.register_step_post_hook(self.after)

    @torch.no_grad()
    def before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """A weight keeps its entries, and in a dense temporary has room for all others."""
        self.external = []
        for _, weight, later in self.weights:
            self.external.append(SameFormat(to_numpy(weight.sparse, [])) if later.anew else later.form.external)
            pattern = torch.ones_like(weight.pattern) if isinstance(later.form.temporary, Dense) else weight.pattern
            wide = from_pattern(weight.detach().to_dense(), later.form.temporary, pattern, weight.turned)
            self._take(optimizer, weight, wide)

    @torch.no_grad()
    def after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """The result of the step through inline sparsifier, temporary, external sparsifier, final layout."""
        for (name, weight, later), external in zip(self.weights, self.external, strict=True):
            form = replace(later.form, external=external)
            try:
                new = sparsify(weight.detach(), form, rng=self.rng, turned=weight.turned)
            except SpecError as refusal:
                refusal.add_note(f"for the weight {name} of shape {tuple(weight.shape)} after an optimizer step")
                raise
            self._take(optimizer, weight, new)

    def _take(self, optimizer: Optimizer, weight: SparseTensor, new: SparseTensor) -> None:
        weight.set_sparse_(new)
        if weight in optimizer.state:
            optimizer.state[weight] = in_slots_of(weight, optimizer.state[weight])
