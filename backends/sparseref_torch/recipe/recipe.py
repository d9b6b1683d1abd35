"""A recipe: which tensors of a model are stored how, by which schedule, from which seed; a plain TOML file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sparseref import SpecError
from sparseref.atomic import write_text
from sparseref.errors import MissingDependency

from ..builder.builder import SparsityBuilder
from .reading import VERSION, check, key_of, parse, read
from .rule import Rule, make_rule

KINDS = ("weight", "weight_grad", "interm", "interm_grad")
"""STen's four kinds of tensors of a model."""
ONE_SHOT = {"kind": "one-shot"}
MAGNITUDE = {"kind": "magnitude"}


@dataclass(frozen=True)
class Recipe:
    """Rules for each kind of tensor, in order: the last that fits a tensor decides, as in a `SparsityBuilder`.

    schedule, scores: as the file has them; seed decides all that is left to chance; source: what errors call it.
    Errors: RECIPE-1 to RECIPE-6.  Source: STen, arXiv 2304.07613, whose builder takes the same four kinds.
    """

    weight: tuple[Rule, ...]
    weight_grad: tuple[Rule, ...] = ()
    interm: tuple[Rule, ...] = ()
    interm_grad: tuple[Rule, ...] = ()
    schedule: dict[str, Any] = field(default_factory=lambda: dict(ONE_SHOT))
    scores: dict[str, Any] = field(default_factory=lambda: dict(MAGNITUDE))
    seed: int = 0
    about: str = ""
    source: str = field(default="recipe", compare=False)

    @staticmethod
    def load(recipe: str | Path) -> Recipe:
        """A TOML file, or the name of a shipped recipe such as "nmg-75" -> the recipe."""
        source, text = read(recipe)
        return Recipe.from_text(text, source)

    @staticmethod
    def from_text(text: str, source: str = "recipe") -> Recipe:
        """TOML -> the recipe."""
        return _made(parse(text, source), source)

    @staticmethod
    def from_dict(content: dict[str, Any], source: str = "recipe") -> Recipe:
        """What `to_dict` gives -> the recipe."""
        return _made(check(content, source), source)

    def to_dict(self) -> dict[str, Any]:
        """What the file says, its seed always; other defaults are left out, so that equal recipes give equal dictionaries."""
        said: dict[str, Any] = {"version": VERSION, "about": self.about, "seed": self.seed}
        said |= {kind: [rule.to_dict() for rule in getattr(self, kind)] for kind in KINDS}
        said |= {"schedule": self.schedule, "scores": self.scores}
        defaults: tuple[Any, ...] = ("", [], ONE_SHOT, MAGNITUDE)
        return {key: value for key, value in said.items() if value not in defaults}

    def dump(self, path: str | Path) -> Path:
        """Write it as TOML, whole or not at all; `Recipe.load` gives back an equal one."""
        try:
            import tomli_w
        except ImportError as missing:
            raise MissingDependency("tomli-w", "writing a recipe", "models") from missing
        return write_text(path, tomli_w.dumps(self.to_dict()))

    @property
    def sha256(self) -> str:
        """Of what it says, whatever its comments, line ends and order of keys."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def weights(self, model: nn.Module) -> dict[str, Rule]:
        """model -> {full name of a weight: the rule that decides}, in the model's order.

        Errors: RECIPE-6 where a rule fits nothing, or only what rules below it have taken.
        """
        found: dict[str, Rule] = {}
        fitting = [list(rule.parameters(model)) for rule in self.weight]
        for rule, names in zip(self.weight, fitting, strict=True):
            found |= dict.fromkeys(names, rule)
        for rule, names in zip(self.weight, fitting, strict=True):
            if names and not any(found[name] is rule for name in names):                   # RECIPE-6
                raise SpecError("RECIPE-6", f"{rule.where}: rules below this one have taken all that it fits.",
                                wanted="a weight that is left to it", given=", ".join(names[:5]),
                                fix="put the narrower rule last")
        return {name: found[name] for name, _ in model.named_parameters() if name in found and not found[name].is_dense}

    def builder(self, model: nn.Module) -> SparsityBuilder:
        """A model that the rules are for -> the builder that follows them, on this model or on one like it.

        `recipe.builder(model).get_sparse_model(model)` is the model that `sparseref sparsify` stores, with the formats of
        gradients and intermediates too; the schedule is that of `pruners`.  Errors: RECIPE-6.
        """
        builder = SparsityBuilder(self.seed)
        rules = self.weights(model)
        for rule in self.weight:
            names = [name for name, its in rules.items() if its is rule]
            if names:
                builder.set_weight(names, initial_sparsifier=rule.initial, **rule.keywords)
        for rule in self.weight_grad:
            names = list(rule.parameters(model))
            if names:
                builder.set_weight_grad(names, **rule.keywords)
        return self.add_intermediates(builder)

    def add_intermediates(self, builder: SparsityBuilder) -> SparsityBuilder:
        """A builder -> the same, with the rules on intermediates and their gradients."""
        for rules, add in ((self.interm, builder.set_interm), (self.interm_grad, builder.set_interm_grad)):
            for rule in rules:
                module = rule.module[0] if rule.module else None
                add(rule.name, module=module, node=rule.node, output=rule.output, **rule.keywords)
        return builder

    def pruners(self, model: nn.Module) -> list[Any]:
        """model -> for each rule on weights a `Pruner`, or what the schedule names: attach it to the optimizer, and train.

        The model's gradients and intermediates are stored from then on as their rules say.  Errors: RECIPE-6, and those of
        the Pruner.
        """
        from .regimes import pruners  # only who trains needs training

        return pruners(self, model)


def _made(content: dict[str, Any], source: str) -> Recipe:
    rules = {kind: tuple(make_rule(said, f"{source}, {key_of([kind, i])}", kind)
                         for i, said in enumerate(content.get(kind, ()))) for kind in KINDS}
    rest = {key: value for key, value in content.items() if key not in (*KINDS, "version")}
    recipe = Recipe(**rules, **rest, source=source)
    if recipe.schedule != ONE_SHOT:
        from .regimes import plan

        plan(recipe)
    return recipe
