"""Making a task's model sparse: by a format for the weights that the task names, or by a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..builder import SparsityBuilder
from ..recipe import Recipe
from ..recipe.recipe import ONE_SHOT

LEAST = 1024
"""Weights of fewer entries stay dense where the task names none: they are the stem, the head and the small projections."""


def prune(model: nn.Module, patterns: Sequence[str] | None, form: str) -> nn.Module:
    """model -> the same object, sparse in one shot; nothing is trained.  form: a format, or a recipe's name or file;
    patterns: of the names of the weights that a format is for, None for all that are worth it.

    Errors: BUILD-1 where a name pattern fits nothing, RECIPE-1 to RECIPE-6, those of the format.
    """
    recipe = recipe_of(form)
    if recipe is None:
        names = _worth_it(model) if patterns is None else list(patterns)
        return SparsityBuilder(seed=0).set_weight(names, format=form).sparsify_model_inplace(model)
    return replace(recipe, schedule=ONE_SHOT).builder(model).sparsify_model_inplace(model)


def pruners_of(form: str, model: nn.Module) -> list[Any]:
    """form, a dense model -> what makes it sparse while it trains; none for a format, or a recipe that prunes in one shot."""
    recipe = recipe_of(form)
    return [] if recipe is None or recipe.schedule == ONE_SHOT else recipe.pruners(model)


def recipe_of(form: str) -> Recipe | None:
    """A recipe's name or file -> the recipe; None: it is a format, such as nmg:2:8:8 or csr:0.9."""
    return None if ":" in Path(form).name and not form.endswith(".toml") else Recipe.load(form)


def _worth_it(model: nn.Module) -> list[str]:
    """The weights of every Linear, and of every convolution without groups, with enough entries."""
    return [f"{name}.weight".removeprefix(".") for name, module in model.named_modules()
            if (isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1))
            and module.weight.numel() >= LEAST]
