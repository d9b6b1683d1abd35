"""A recipe while the model trains: a pruner for each rule on weights, and what the other rules ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from sparseref import SpecError

from ..builder.builder import SparsityBuilder
from ..tensor import SparseTensor
from ..tensor.gradients import as_plain
from ..training.dynamic import SET, RigL
from ..training.pruner import Pruner
from ..training.schedules import SCHEDULES
from ..training.straight_through import parse_latent
from .rule import quoted

if TYPE_CHECKING:
    from .recipe import Recipe

DYNAMIC: dict[str, Any] = {"set": SET, "rigl": RigL}
"""Schedules that do not prune but move the pattern: they rank by what they are named after."""


def plan(recipe: Recipe) -> dict[str, Any]:
    """What a `Pruner`, or `SET` or `RigL`, is told besides its tensors and formats.  Errors: RECIPE-5."""
    said = dict(recipe.schedule)
    kind, scores = said.pop("kind"), recipe.scores["kind"]
    if kind in DYNAMIC:
        if scores != "magnitude":                                                          # RECIPE-5
            raise SpecError("RECIPE-5", f"{recipe.source}, scores: {kind} drops by magnitude, and has its own way to grow.",
                            wanted="no [scores]", given=f'kind = "{scores}"')
        return {**said, "seed": recipe.seed}
    allocation, latent = said.pop("allocation", "uniform"), said.pop("latent", None)
    with quoted(f"{recipe.source}, schedule"):
        return {"schedule": SCHEDULES[kind](**said), "scores": scores, "allocation": allocation, "latent": parse_latent(latent)}


def pruners(recipe: Recipe, model: nn.Module) -> list[Any]:
    """model -> a regime for each rule on weights; gradients and intermediates are stored from now on as their rules say.

    Errors: RECIPE-6, and those of the regimes.
    """
    rules, told = recipe.weights(model), plan(recipe)
    regime = DYNAMIC.get(recipe.schedule["kind"], Pruner)
    chosen = [(rule, [name for name, its in rules.items() if its is rule]) for rule in recipe.weight if not rule.is_dense]
    made = [regime(model, names, rule.formats, **told) for rule, names in chosen if names]
    store_gradients(recipe, model)
    recipe.add_intermediates(SparsityBuilder(recipe.seed)).sparsify_model_inplace(model)
    return made


def store_gradients(recipe: Recipe, model: nn.Module) -> None:
    """The rules on gradients, for weights that pruners have made sparse already.  Errors: RECIPE-6 for a dense weight."""
    for rule in recipe.weight_grad:
        for name, (module, attribute) in rule.parameters(model).items():
            weight = getattr(module, attribute)
            if not isinstance(weight, SparseTensor):                                       # RECIPE-6
                raise SpecError("RECIPE-6", f"{rule.where}: {name} stays dense, and so does its gradient.",
                                wanted="weights that a [[weight]] rule makes sparse", given=name,
                                fix="narrow the rule, or add one for the weight")
            weight.set_grad_format(as_plain(rule.format if isinstance(rule.format, str) else rule.output_format))
