"""SparsityBuilder: which tensors of a model are stored how, and the model that follows from it (STen, arXiv 2304.07613)."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from torch import nn
from torch.optim import Optimizer

from sparseref import Sparsifier

from ..tensor.gradients import as_plain
from ..tensor.make import Format
from .formats import Parts, format_of, weight_format
from .intermediates import Intermediates, Where
from .outputs import Element
from .selector import Selector
from .updates import Updates, carry_over, checked
from .weights import Exchange, Plan, carry_out, exchanges

Names = str | Iterable[str] | None
Kind = type[nn.Module] | str | None


@dataclass
class _Rule:
    selector: Selector
    form: Any


class SparsityBuilder:
    """Rules for weights, their gradients, intermediates and their gradients; a later rule wins over an earlier one.

    Each `set_` method takes a selection (name patterns, a type of module, sizes) and a format: `format="nmg:2:8:8"`, a pair,
    an OutputFormat, or STen's four parts as keywords.  Nothing is looked up until a model is given, and then a pattern that
    fits nothing is refused.  seed: for sparsifiers that leave the choice to chance.
    Errors: BUILD-1 to BUILD-7, those of the formats.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._weights: list[_Rule] = []
        self._weight_grads: list[_Rule] = []
        self._intermediates = Intermediates()

    def set_weight(self, name: Names = None, *, module: Kind = None, min_size: int = 0, max_size: int | None = None,
                   format: Format | None = None,  # noqa: A002 - STen's word, and a keyword only
                   initial_sparsifier: str | Sparsifier | None = None, **parts: Unpack[Parts]) -> SparsityBuilder:
        """Store these weights in a format; their pattern stays unless the four parts name a sparsifier (`weight_format`)."""
        form = weight_format(format, initial_sparsifier, parts)
        self._weights.append(_Rule(Selector(name, module, min_size, max_size), form))
        return self

    def set_weight_grad(self, name: Names = None, *, module: Kind = None, min_size: int = 0, max_size: int | None = None,
                        format: Format | None = None, **parts: Unpack[Parts]) -> SparsityBuilder:  # noqa: A002
        """Store the gradients of these weights in a format; "same": in the slots of the weight, which is the default,
        "dense": as autograd gives them.  A weight without a format of its own is stored as `dense`."""
        form = as_plain(format if format in ("same", "dense") else format_of(format, parts))
        self._weight_grads.append(_Rule(Selector(name, module, min_size, max_size), form))
        return self

    def set_interm(self, name: Names = None, *, module: Kind = None, output: Element = None, node: str | None = None,
                   format: Format | None = None, **parts: Unpack[Parts]) -> SparsityBuilder:  # noqa: A002
        """Store what these modules give back in a format, or the fx nodes of this name in the selected modules.

        output: which element of a tuple, dict or dataclass, default the first tensor; node: the name of a node, or a pattern,
        in the model as torch.fx traces it; with a name or a module: in each of these, traced.
        """
        self._intermediates.add(Where(Selector(name, module), output, node), "form", format_of(format, parts))
        return self

    def set_interm_grad(self, name: Names = None, *, module: Kind = None, output: Element = None, node: str | None = None,
                        format: Format | None = None, **parts: Unpack[Parts]) -> SparsityBuilder:  # noqa: A002
        """Store the gradients that arrive at these intermediates in a format; "same": in the slots of the intermediate."""
        form = format if format in ("same", "dense") else format_of(format, parts)
        self._intermediates.add(Where(Selector(name, module), output, node), "grad_form", form)
        return self

    def get_sparse_model(self, model: nn.Module) -> nn.Module:
        """model -> a deep copy that is sparse; the original is untouched.  A GraphModule where nodes of the model are named."""
        copy = deepcopy(model)
        return self._apply(copy)[0]

    def sparsify_model_inplace(self, model: nn.Module) -> nn.Module:
        """model -> the same object, its weights exchanged for sparse parameters; a refused call changes nothing (ERR-2)."""
        self._intermediates.check_in_place(model)
        self._apply(model)
        return model

    def sparsify_model_and_optimizer_inplace(self, model: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """model, its optimizer -> the same objects: the optimizer holds the sparse parameters, its state in their slots."""
        self._intermediates.check_in_place(model)
        plan, made = self._apply(model, optimizer)[1:]
        self._follow(optimizer, {exchange.name: exchange.after for exchange in made}, plan)
        return model, optimizer

    def attach(self, optimizer: Optimizer, model: nn.Module) -> Optimizer:
        """An optimizer made for a sparse model -> the same, storing each step's result as the rules for weights say.

        Only rules whose four parts name a sparsifier need it; `sparsify_model_and_optimizer_inplace` does it itself.
        """
        plan = self._plan(model)
        self._follow(optimizer, {name: weight for name, weight in model.named_parameters() if name in plan.formats}, plan)
        return optimizer

    def _follow(self, optimizer: Optimizer, weights: dict[str, Any], plan: Plan) -> None:
        later = [(name, weights[name], form.later) for name, form in plan.formats.items() if form.later]
        if later:
            Updates(later, self._rng()).attach(optimizer)

    def _plan(self, model: nn.Module) -> Plan:
        """What the rules say about each weight, the last one winning.  Errors: BUILD-1."""
        plan = Plan()
        for rules, found in ((self._weights, plan.formats), (self._weight_grads, plan.gradients)):
            for rule in rules:
                found.update(dict.fromkeys(rule.selector.parameters(model), rule.form))
        return plan

    def _apply(self, model: nn.Module, optimizer: Optimizer | None = None) -> tuple[nn.Module, Plan, list[Exchange]]:
        """All that can be refused comes before the first change (ERR-2)."""
        plan = self._plan(model)
        self._intermediates.check(model)
        made = exchanges(model, plan, self._rng())
        if optimizer is not None:
            checked(optimizer, made)
        carry_out(made)
        if optimizer is not None:
            carry_over(optimizer, made)
        return self._intermediates.apply(model, self._rng()), plan, made

    def _rng(self) -> np.random.Generator | None:
        return None if self.seed is None else np.random.default_rng(self.seed)
