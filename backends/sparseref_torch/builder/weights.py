"""The weights of a model, exchanged for sparse parameters; a tied weight stays tied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparseref import SpecError

from ..tensor.gradients import stored_as
from ..tensor.make import sparse_parameter, sparsify
from ..tensor.sparse_tensor import SparseTensor
from .formats import WeightFormat
from .selector import Place, is_turned, places_of


@dataclass
class Plan:
    """What the rules say about each weight of one model, by its full name: the later rule has won."""

    formats: dict[str, WeightFormat] = field(default_factory=dict)
    gradients: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        return {*self.formats, *self.gradients}


@dataclass(frozen=True)
class Exchange:
    """A weight before and after, and where the model holds it."""

    name: str
    before: Tensor
    after: SparseTensor
    places: list[Place]


def exchanges(model: nn.Module, plan: Plan, rng: np.random.Generator | None) -> list[Exchange]:
    """What the plan makes of a model's weights; nothing is changed yet, so a refusal leaves the model as it was.

    A weight for which only the gradient's format is set is stored in the layout `dense`.
    """
    made = []
    for places in places_of(model):
        name = places[0].name
        if name not in plan.names:
            continue
        before = getattr(places[0].module, places[0].attribute)
        turned = any(is_turned(place.module, place.attribute) for place in places)
        is_sparse = isinstance(before, SparseTensor)
        kept = before.grad_format if is_sparse and before.grad_format is not None else "same"
        try:
            form = plan.formats[name].first if name in plan.formats else None
            if form is None and is_sparse:
                after = before.detach().clone()
            else:
                after = sparsify(before.detach(), form or ("keep-all", "dense"), rng=rng, turned=turned)
            parameter = sparse_parameter(after, plan.gradients.get(name, kept))
        except SpecError as refusal:
            refusal.add_note(f"for the weight {name} of shape {tuple(before.shape)}")
            raise
        parameter.requires_grad_(before.requires_grad)
        if before.grad is not None:
            parameter.grad = gradient_like(parameter, before.grad)
        made.append(Exchange(name, before, parameter, places))
    return made


def gradient_like(parameter: SparseTensor, grad: Tensor) -> Tensor:
    """A gradient that is waiting for its step -> the same in the parameter's gradient format."""
    if parameter.grad_format in (None, "dense"):
        return grad.to_dense() if isinstance(grad, SparseTensor) else grad
    return stored_as(vars(parameter), grad, parameter.grad_format)


@torch.no_grad()
def carry_out(made: list[Exchange]) -> None:
    """Put the new parameters where the old ones are."""
    for exchange in made:
        for place in exchange.places:
            setattr(place.module, place.attribute, exchange.after)
