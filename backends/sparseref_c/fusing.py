"""torch.compile(model, backend="sparseref_c"): what follows a sparse Linear is computed while its sums are at hand.

Dynamo writes down which calls a model makes; here the ones that belong together become one product in C:

    linear -> gelu (both forms) or relu -> + a tensor of the same shape         each step may be missing

What lies between them is used by nothing else.  The other calls run as they were written down, one by one; the model is not
edited.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from sparseref_torch import SparseTensor
from sparseref_torch.tensor import kernels
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.nn import functional

from .torch_kernel import CKernel

GELUS, RELUS = (functional.gelu, torch._C._nn.gelu), (functional.relu, torch.relu)
ADDS = (operator.add, operator.iadd, torch.add)


def backend(graph: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    """What torch.compile asks of a backend: a graph -> a function that runs it."""
    _drop_idle_dropout(graph)
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target in (functional.linear, torch._C._nn.linear):
            _fuse(graph, node)
    graph.graph.lint()
    graph.recompile()
    return graph.forward


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, added: Tensor | None) -> Tensor:
    """x [..., K], weight [O, K], bias [O], added [..., O] -> activation(x W^T + bias) + added, [..., O].

    In one product where the weight is sparse, C takes it and no gradient is wanted; else step by step.
    """
    if isinstance(weight, SparseTensor) and _at_once(x, weight, bias, added):
        flat = x.reshape(-1, x.shape[-1])
        kernel, _ = kernels.choose(weight.sparse, flat, weight.turned)
        if isinstance(kernel, CKernel):
            outputs = weight.shape[0]
            rows = None if added is None else added.reshape(len(flat), outputs)
            y = kernel.fused(weight.sparse, flat, weight.turned, bias, activation, rows)
            return y.reshape(*x.shape[:-1], outputs)
    y = functional.linear(x, weight, bias)
    if activation is not None:
        y = functional.relu(y) if activation == "relu" else functional.gelu(y, approximate=_FORMS[activation])
    return y if added is None else y + added


_FORMS = {"gelu": "none", "gelu_tanh": "tanh"}


def _at_once(x: Tensor, weight: SparseTensor, bias: Tensor | None, added: Tensor | None) -> bool:
    """No gradient is wanted, and shapes and dtypes are the plain ones."""
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in (x, weight, bias, added)):
        return False
    outputs, inputs = weight.shape
    return (x.dim() > 0 and x.shape[-1] == inputs and x.dtype == weight.dtype
            and (bias is None or (bias.shape == (outputs,) and bias.dtype == x.dtype))
            and (added is None or (added.shape == (*x.shape[:-1], outputs) and added.dtype == x.dtype)))


def _fuse(graph: GraphModule, node: Node) -> None:
    """One linear and what follows it -> one node."""
    activation, last = None, node
    step = _only_user(last)
    if step is not None and _activation(step) is not None:
        activation, last = _activation(step), step
        step = _only_user(last)
    added = None
    if step is not None and (added := _added(step, last)) is not None:
        last = step
    if last is node:
        return
    given = (*node.args, *(None,) * (3 - len(node.args)))
    x, weight, bias = (node.kwargs.get(name, arg) for name, arg in zip(("input", "weight", "bias"), given, strict=True))
    with graph.graph.inserting_after(last):
        whole = graph.graph.call_function(linear, (x, weight, bias, activation, added))
    whole.meta = dict(last.meta)
    last.replace_all_uses_with(whole)
    graph.graph.eliminate_dead_code()


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
    if len(others) != 1 or not isinstance(others[0], Node):
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
