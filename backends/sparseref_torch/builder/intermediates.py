"""Which results of the forward pass are stored: the outputs of modules, and the nodes of traced ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from torch import fx, nn

from sparseref import SpecError

from .nodes import store_nodes, traced
from .outputs import Element, StoreOutput
from .selector import Selector
from .store import StoreAs

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs",
         "_forward_hooks_always_called")


class Where(NamedTuple):
    """An element of the selected modules' outputs, or the nodes of a name inside them; node alone: in the whole model."""

    selector: Selector
    output: Element
    node: str | None

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        """model -> {full name: module}, "" for the model itself.  Errors: BUILD-1."""
        whole = self.selector.name is None and self.selector.module is None
        return {"": model} if whole else self.selector.modules(model)


class Intermediates:
    """The rules for intermediates and their gradients, in order."""

    def __init__(self) -> None:
        self.rules: list[tuple[Where, str, Any]] = []

    def add(self, where: Where, which: str, form: Any) -> None:
        """which: "form" for the intermediate, "grad_form" for its gradient.  Errors: BUILD-2."""
        if where.node is None and where.selector.name is None and where.selector.module is None:           # BUILD-2
            raise SpecError("BUILD-2", "this names no intermediate.", wanted="a name, a module or a node", given="none of them",
                            fix='e.g. set_interm("encoder.layer.*.intermediate", format="csr:0.5")')
        if where.node is not None and where.output is not None:                            # BUILD-2
            raise SpecError("BUILD-2", "a node has one result.", wanted="node=..., or output=...",
                            given=f"output={where.output!r}")
        self.rules.append((where, which, form))

    def places(self, model: nn.Module) -> dict[tuple[str, Element, str | None], dict[str, Any]]:
        """model -> {(module, element, node): its formats}, the last rule winning.  Errors: BUILD-1."""
        found: dict[tuple[str, Element, str | None], dict[str, Any]] = {}
        for where, which, form in self.rules:
            for name in where.modules(model):
                found.setdefault((name, where.output, where.node), {})[which] = form
        return found

    def check(self, model: nn.Module) -> None:
        """Refuse what cannot be done, before anything is.  Errors: BUILD-1, BUILD-5."""
        for name, nodes in self._nodes(model, None).items():
            module = traced(model.get_submodule(name), name)
            for node, how in nodes.items():
                store_nodes(module, node, how)

    def check_in_place(self, model: nn.Module) -> None:
        """Refuse nodes of the whole model: what is traced becomes another object (BUILD-5)."""
        if any(not name and node for name, _, node in self.places(model)):
            raise SpecError("BUILD-5", "the traced model is another object, so it cannot be made in place.",
                            wanted="the name of a submodule beside node", given="node alone",
                            fix="model = builder.get_sparse_model(model)")

    def apply(self, model: nn.Module, rng: np.random.Generator | None) -> nn.Module:
        """model -> the same object with hooks and traced submodules; where the model itself is traced, a GraphModule."""
        for (name, element, node), formats in self.places(model).items():
            if node is None:
                _hook(model.get_submodule(name), StoreOutput(name, element, StoreAs(**formats, rng=rng)))
        nodes = self._nodes(model, rng)
        for name in sorted(nodes, key=lambda name: -name.count(".") - bool(name)):        # the innermost first
            module = model.get_submodule(name)
            graph = traced(module, name)
            for node, how in nodes[name].items():
                store_nodes(graph, node, how)
            for kind in HOOKS:
                getattr(graph, kind).update(getattr(module, kind))
            if not name:
                return graph
            _exchange(model, module, graph)
        return model

    def _nodes(self, model: nn.Module, rng: np.random.Generator | None) -> dict[str, dict[str, StoreAs]]:
        """model -> {module: {node: how it is stored}}."""
        nodes: dict[str, dict[str, StoreAs]] = {}
        for (name, _, node), formats in self.places(model).items():
            if node is not None:
                nodes.setdefault(name, {})[node] = StoreAs(**formats, rng=rng)
        return nodes


def _hook(module: nn.Module, hook: StoreOutput) -> None:
    """Add a hook in place of an earlier one for the same element."""
    for number, old in list(module._forward_hooks.items()):
        if isinstance(old, StoreOutput) and old.element == hook.element:
            del module._forward_hooks[number]
    module.register_forward_hook(hook)


def _exchange(model: nn.Module, old: nn.Module, new: fx.GraphModule) -> None:
    """Put a module everywhere where the model holds the old one."""
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, new)
