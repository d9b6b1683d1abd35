"""torch.compile(model, backend="sparseref_c"): what belongs to a sparse Linear is computed while its sums are at hand.

Dynamo writes down which calls a model makes; here the ones that belong together become one call of C:

    linear -> gelu (both forms) or relu -> + a tensor of the same shape         each step may be missing
    such a product -> linear -> ...                                             a feed-forward block
    linears of one x                                                            query, key and value
    conv2d -> batch_norm, not in training -> + a tensor of the same shape -> relu   each step but the first may be missing

What lies between them is used by nothing else.  Max pooling, which stands before the first sparse convolution of a resnet, is
torch's in another order of memory.  The other calls run as they were written down, one by one; the model is not edited.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg
from torch.nn import functional

from . import convolutions, steps
from .mutation import may_change

LINEARS = (functional.linear, torch._C._nn.linear)
CONVOLUTIONS, NORMS = (functional.conv2d, torch.conv2d), (functional.batch_norm, torch.batch_norm)
GELUS, RELUS = (functional.gelu, torch._C._nn.gelu), (functional.relu, torch.relu)
ADDS = (operator.add, operator.iadd, torch.add)


def backend(graph: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    """What torch.compile asks of a backend: a graph -> a function that runs it."""
    _drop_idle_dropout(graph)
    replaced: dict[Node, Node] = {}
    for group in _beside(_chained([_found(node) for node in graph.graph.nodes if node.target in LINEARS])):
        _replace(graph.graph, group, replaced)
    for node in list(graph.graph.nodes):
        if node.target in CONVOLUTIONS:
            _replace_convolution(graph.graph, node)
        elif node.target is functional.max_pool2d:
            node.target = convolutions.max_pool
    graph.graph.lint()
    graph.recompile()
    return graph.forward


@dataclass
class Found:
    """A linear of the graph, and what follows it: the nodes that it replaces."""

    nodes: list[Node]
    x: Any
    weight: Any
    bias: Any
    activation: str | None = None
    added: Node | None = None
    then: Found | None = None

    @property
    def first(self) -> Node:
        return self.nodes[0]

    @property
    def last(self) -> Node:
        return self.nodes[-1]

    @property
    def step(self) -> tuple[Any, ...]:
        """As `steps.Given`."""
        return self.weight, self.bias, self.activation, self.added, None if self.then is None else self.then.step


def _found(node: Node) -> Found:
    """A linear -> with its activation and what is added, where nothing else needs what lies between."""
    given = (*node.args, *(None,) * (3 - len(node.args)))
    x, weight, bias = (node.kwargs.get(name, arg) for name, arg in zip(("input", "weight", "bias"), given, strict=True))
    found = Found([node], x, weight, bias)
    step = _only_user(found.last)
    if step is not None and _activation(step) is not None and _still([*found.nodes, step]):
        found.activation = _activation(step)
        found.nodes.append(step)
        step = _only_user(found.last)
    if step is not None and (added := _added(step, found.last)) is not None and _still([*found.nodes, step]):
        found.added = added
        found.nodes.append(step)
    return found


def _chained(found: list[Found]) -> list[Found]:
    """Where a linear takes nothing but what another one gives, it becomes its next step."""
    of_x = {one.x: one for one in found if isinstance(one.x, Node)}
    taken = set()
    for one in found:
        after = of_x.get(one.last)
        if after is not None and one.added is None and _only_user(one.last) is after.first and after.then is None \
                and after.first not in taken and one.first not in taken and _still(one.nodes + after.nodes):
            one.then = after
            one.nodes += after.nodes
            taken.add(after.first)
    return [one for one in found if one.first not in taken]


def _beside(found: list[Found]) -> list[list[Found]]:
    """Linears of one x that need nothing but weights are one group; every other one is a group by itself."""
    groups: list[list[Found]] = []
    for one in found:
        group = next((group for group in groups if group[0].x is one.x and _free(group[0]) and _free(one)
                      and _still([group[0].first, *one.nodes])), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return groups


def _free(found: Found) -> bool:
    """It can be computed as soon as x is there."""
    given = (found.weight, found.bias)
    return found.then is None and found.added is None and all(
        not isinstance(node, Node) or node.op in ("placeholder", "get_attr") for node in given)


def _replace(graph: Graph, group: list[Found], replaced: dict[Node, Node]) -> None:
    """The linears of a group and what follows them -> one node; replaced: what became of nodes that others were found with."""
    last = group[0].last if len(group) == 1 else group[0].first
    with graph.inserting_after(last):
        given = (group[0].x, *(one.step for one in group))
        whole = graph.call_function(steps.linears, map_arg(given, lambda node: replaced.get(node, node)))
    before = whole
    for number, one in enumerate(group):
        with graph.inserting_after(before):
            result = before = graph.call_function(operator.getitem, (whole, number))
        result.meta = dict(one.last.meta)
        one.last.replace_all_uses_with(result)
        replaced[one.last] = result
        for node in reversed(one.nodes):
            graph.erase_node(node)


CONVOLUTION = {"input": None, "weight": None, "bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
NORM = {"input": None, "running_mean": None, "running_var": None, "weight": None, "bias": None, "training": False,
        "momentum": 0.1, "eps": 1e-5}


def _arguments(node: Node, names: dict[str, Any]) -> dict[str, Any]:
    """What is given by position or by name, else what torch takes."""
    return {**names, **dict(zip(names, node.args, strict=False)), **node.kwargs}


def _replace_convolution(graph: Graph, node: Node) -> None:
    """A convolution and what follows it, where nothing else needs what lies between -> one node."""
    nodes, norm, added, relu = [node], None, None, False
    step = _only_user(node)
    if step is not None and step.target in NORMS and step.args[:1] == (node,):
        given = _arguments(step, NORM)
        if given["training"] is False and given["running_mean"] is not None and given["running_var"] is not None:
            norm = tuple(given[name] for name in ("running_mean", "running_var", "weight", "bias", "eps"))
            nodes.append(step)
            step = _only_user(step)
    if step is not None and (added := _added(step, nodes[-1])) is not None:
        nodes.append(step)
        step = _only_user(step)
    if step is not None and _activation(step) == "relu":
        nodes.append(step)
        relu = True
    if len(nodes) == 1 or not _still(nodes):
        return
    x, weight, bias, *window = _arguments(node, CONVOLUTION).values()
    with graph.inserting_after(nodes[-1]):
        whole = graph.call_function(convolutions.convolution, (x, weight, bias, tuple(window), norm, added, relu))
    whole.meta = dict(nodes[-1].meta)
    nodes[-1].replace_all_uses_with(whole)
    for one in reversed(nodes):
        graph.erase_node(one)


def _still(nodes: list[Node]) -> bool:
    """From the first to the last no other node changes anything in place: what is read early may be read late."""
    node = nodes[0]
    while node is not nodes[-1]:
        if node not in nodes and may_change(node):
            return False
        node = node.next
    return True


def _only_user(node: Node) -> Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _activation(node: Node) -> str | None:
    if node.op == "call_method":
        return "relu" if node.target == "relu" else None
    if node.target in RELUS:
        return "relu"
    if node.target in GELUS:
        form = node.kwargs.get("approximate", node.args[1] if len(node.args) > 1 else "none")
        return "gelu" if form == "none" else "gelu_tanh"
    return None


def _added(node: Node, to: Node) -> Node | None:
    """What this node adds, if it adds a tensor of the same shape and dtype."""
    if node.target not in ADDS or node.kwargs or len(node.args) != 2:
        return None
    others = [arg for arg in node.args if arg is not to]
    if len(others) != 1 or not isinstance(others[0], Node) or (node.target is operator.iadd and node.args[0] is not to):
        return None
    one, other = (each.meta.get("example_value") for each in (to, others[0]))
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.shape != other.shape or one.dtype != other.dtype:
        return None
    return others[0]


def _drop_idle_dropout(graph: GraphModule) -> None:
    """Outside of training it gives back what it is given."""
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target is functional.dropout:
            training = node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)
            if training is False:
                node.replace_all_uses_with(node.args[0])
                graph.graph.erase_node(node)
