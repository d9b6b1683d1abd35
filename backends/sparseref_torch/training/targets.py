"""Targets: the tensors of a model that are made sparse, and where the model holds them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparseref import Layout

from ..builder.selector import Place, Selector, is_turned, places_of
from ..tensor import SparseTensor, from_pattern, sparse_parameter
from ..tensor.make import as_matrix, choose
from .ladder import Rung

Which = str | Iterable[str] | Selector
"""A name pattern, several of them, or a Selector."""


@dataclass(eq=False)
class Target:
    """One tensor under its name, at all the places that hold it; turned: stored as its transpose."""

    name: str
    places: list[Place]
    turned: bool

    @property
    def parameter(self) -> Tensor:
        """What the optimizer trains: what the model holds, or the latent weight beneath it."""
        place = self.places[0]
        if parametrize.is_parametrized(place.module, place.attribute):
            return place.module.parametrizations[place.attribute].original
        return place.module._parameters[place.attribute]

    @property
    def values(self) -> Tensor:
        """The parameter, dense and without history [shape]."""
        return dense_of(self.parameter.detach())

    @property
    def gradient(self) -> Tensor | None:
        """The parameter's gradient, dense [shape], or None."""
        return None if self.parameter.grad is None else dense_of(self.parameter.grad)

    def put(self, parameter: Tensor) -> None:
        """Let every place hold this parameter, so that tied weights stay tied."""
        for place in self.places:
            place.module._parameters[place.attribute] = parameter

    def pattern(self, values: Tensor, scores: Tensor, rung: Rung) -> Tensor:
        """values [shape], scores float64 [shape] -> pattern bool [shape] that the format's sparsifier chooses."""
        chosen = choose(as_matrix(values, self.turned), rung[0], as_matrix(scores, self.turned))
        return (chosen.T if self.turned else chosen).reshape(values.shape)

    def placed(self, values: Tensor, pattern: Tensor, layout: Layout) -> SparseTensor:
        """values, pattern [shape] -> SparseTensor [shape]."""
        return from_pattern(values, layout, pattern, self.turned)


def dense_of(tensor: Tensor) -> Tensor:
    """A tensor [shape] -> the same, decoded if it is sparse."""
    return tensor.to_dense() if isinstance(tensor, SparseTensor) else tensor


def targets_of(model: nn.Module, which: Which) -> list[Target]:
    """The targets, in the model's order.  Errors: those of the Selector."""
    selector = which if isinstance(which, Selector) else Selector(which)
    chosen = selector.parameters(model)
    return [Target(places[0].name, places, is_turned(*chosen[places[0].name]))
            for places in places_of(model) if places[0].name in chosen]


def make_sparse(target: Target, dense_layout: Layout) -> tuple[Tensor, SparseTensor]:
    """Replace a dense parameter by a sparse one that stores everything -> (the old one, the new one)."""
    old = target.parameter
    if isinstance(old, SparseTensor):
        return old, old
    values = old.detach()
    everywhere = torch.ones_like(values, dtype=torch.bool)
    new = sparse_parameter(target.placed(values, everywhere, dense_layout))
    new.requires_grad_(old.requires_grad)
    target.put(new)
    return old, new
