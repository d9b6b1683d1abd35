"""A recipe followed in one shot: every weight that a rule fits is stored in its format, in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparseref import SpecError

from ..builder.formats import weight_format
from ..builder.weights import Plan, carry_out, exchanges
from ..tensor import SparseTensor
from ..tensor.sparse_tensor import value_bits
from .recipe import MAGNITUDE, ONE_SHOT, Recipe
from .rule import Rule

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Figures:
    """What a weight costs and keeps: shape as the model has it, the format card's figures; energy as CARD has it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    sparsifier: str
    layout: str
    entries: int
    stored: int
    energy: float
    bits: int
    dense_bits: int


def check_one_shot(recipe: Recipe) -> None:
    """Refuse what needs training or data, which a file of weights does not have.  Errors: RECIPE-8."""
    for key, wanted, given in (("schedule", ONE_SHOT, recipe.schedule), ("scores", MAGNITUDE, recipe.scores)):
        if given["kind"] != wanted["kind"] or given.get("at") or "latent" in given:        # RECIPE-8
            raise SpecError("RECIPE-8", f"{recipe.source}, {key}: this recipe needs a model that is being trained.",
                            wanted=f'kind = "{wanted["kind"]}", and nothing that waits for steps or gradients',
                            given=", ".join(f"{name} = {value!r}" for name, value in given.items()),
                            fix="`sparseref poc TASK --recipe` trains by it, as does Recipe.pruners in your own loop; "
                            f"leave [{key}] out to sparsify in one shot")


@torch.no_grad()
def apply(recipe: Recipe, model: nn.Module, step: Step = lambda what, done, total: None) -> list[Figures]:
    """Make the weights of the model sparse as `recipe.builder(model)` does, one by one; -> their figures, in the model's order.

    Errors: RECIPE-6, RECIPE-8, and with the weight's name those of the sparsifier and the layout.
    """
    check_one_shot(recipe)
    rules = recipe.weights(model)
    dense = _parameters(model)
    if recipe.schedule.get("allocation", "uniform") != "uniform":                          # the weights share one sparsity
        step("all weights", 0, 1)
        for pruner in recipe.pruners(model):
            pruner.finish()
    rng = np.random.default_rng(recipe.seed)                   # one for all weights, as the builder has it
    for done, (name, rule) in enumerate(rules.items()):
        step(name, done, len(rules))
        if not isinstance(_parameters(model)[name], SparseTensor):                         # a pruner has been there
            _make_sparse(model, name, rule, rng)
    step("", len(rules), len(rules))
    sparse = _parameters(model)
    return [_figures(name, dense[name], sparse[name], rule) for name, rule in rules.items()]


def _parameters(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters())


def _make_sparse(model: nn.Module, name: str, rule: Rule, rng: np.random.Generator) -> None:
    parts: Any = dict(rule.keywords)
    form = weight_format(parts.pop("format", None), rule.initial, parts)
    try:
        carry_out(exchanges(model, Plan({name: form}), rng))
    except SpecError as refused:
        raise SpecError(refused.clause, f"{name}, by {rule.where}: {refused.what}", wanted=refused.wanted, given=refused.given,
                        fix=refused.fix) from refused


def _figures(name: str, dense: Tensor, sparse: SparseTensor, rule: Rule) -> Figures:
    magnitude = dense.detach().double().abs().cpu().numpy().ravel()
    kept = sparse.detach().to_dense().double().abs().cpu().numpy().ravel()
    energy = float(kept.sum() / magnitude.sum()) if magnitude.any() else 1.0
    sparsifier = rule.initial or str(rule.output_format.external)
    return Figures(name, tuple(dense.shape), str(dense.dtype).removeprefix("torch."), sparsifier, str(sparse.descriptor),
                   dense.numel(), sparse.nnz, round(energy, 6), sparse.bits, dense.numel() * value_bits(dense.dtype))
