"""What a prediction rests on: where the dense model spends its time, and its sparse layers beside the dense ones alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter, sleep
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from sparseref import SpecError

from ..poc.latency import check
from ..poc.task import call
from ..tensor.sparse_tensor import SparseTensor

REST = 0.05
"""Seconds before each measurement of a whole model: threads that wait busily stand in its way."""

LEAST = 0.002
"""Seconds that a measurement of one kind of layer takes at least: so many passes over all of them."""

WARM_UP = 2
"""Rounds that are not kept."""


Call = tuple[tuple[Any, ...], dict[str, Any]]
"""By position, by keyword."""


@dataclass
class Group:
    """Layers that compute the same products: their names, what one of them is called with, each time that it runs, and the rows
    of all these products, T.

    shape: of the weight; bits: format -> stored bits of one weight; nnz: format -> its stored entries.
    inside: seconds of all of them in the dense model, a sample a round; alone: "dense" or a format -> the same, one after
    another with those inputs, which is what the micro-benchmark is.
    """

    names: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    calls: tuple[Call, ...] = field(repr=False)
    rows: int
    bits: dict[str, int] = field(default_factory=dict)
    nnz: dict[str, int] = field(default_factory=dict)
    inside: list[float] = field(default_factory=list)
    alone: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Samples:
    """Seconds, a sample a round: total of the dense model; rest, all but the layers of the groups; whole: format -> of the
    sparse model, where it was asked for.  unmet: sparse weights that belong to no layer which was timed."""

    groups: list[Group]
    unmet: list[str] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)
    whole: dict[str, list[float]] = field(default_factory=dict)


@torch.inference_mode()
def measure(dense: nn.Module, sparse: Mapping[str, nn.Module], batch: Any, rounds: int, whole: bool,
            on_round: Callable[[int, int], None] = lambda done, total: None) -> Samples:
    """A dense model, format -> the same model sparse, what they are called with -> samples, all taken in turns.

    Every output is looked at first.  Errors: POC-4, PREDICT-2.
    """
    for text, model in sparse.items():
        check(text, model, batch)
    groups = groups_of(dense, sparse, batch)
    if not groups:                                                                         # PREDICT-2
        raise SpecError("PREDICT-2", "no layer that is called has a sparse weight.", given=f"formats {', '.join(sparse)}",
                        wanted="a Linear or Conv2d that a format fits", fix="--weights says which, e.g. 'encoder.*.weight'")
    timed = {f"{name}.weight".removeprefix(".") for group in groups for name in group.names}
    unmet = dict.fromkeys(name for model in sparse.values() for name, weight in model.named_parameters()
                          if isinstance(weight, SparseTensor) and name not in timed)
    samples = Samples(groups, list(unmet), whole={text: [] for text in sparse} if whole else {})
    for turn in range(-WARM_UP, rounds):
        taken = _inside(dense, samples.groups, batch)
        alone = [{text: _alone(model, group) for text, model in {"dense": dense, **sparse}.items()} for group in samples.groups]
        times = {text: _seconds(sparse[text], batch) for text in samples.whole}
        if turn >= 0:
            _keep(samples, taken, alone, times)
        on_round(turn + 1 + WARM_UP, rounds + WARM_UP)
    return samples


def groups_of(dense: nn.Module, sparse: Mapping[str, nn.Module], batch: Any) -> list[Group]:
    """The layers with a sparse weight in any of the sparse models, those with equal products together; a lookup has none."""
    names = [name for name, module in dense.named_modules() if not isinstance(module, nn.Embedding) and any(
        isinstance(getattr(model.get_submodule(name), "weight", None), SparseTensor) for model in sparse.values())]
    met: dict[str, list[tuple[Call, Tensor]]] = {}             # in the order in which they run
    with ExitStack() as hooks:
        for name in names:
            def keep(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Tensor, name: str = name) -> None:
                met.setdefault(name, []).append((tree_map_only(Tensor, Tensor.clone, (args, named)), output))
            hooks.callback(dense.get_submodule(name).register_forward_hook(keep, with_kwargs=True).remove)
        call(dense, batch)
    found: dict[tuple[Any, ...], Group] = {}
    for name, ran in met.items():
        module: Any = dense.get_submodule(name)
        calls, outputs = zip(*ran, strict=True)
        weights: list[Any] = [model.get_submodule(name).weight for model in sparse.values()]
        layouts = [str(weight.sparse.layout) if isinstance(weight, SparseTensor) else "" for weight in weights]
        nnz, bits = map(_stored, weights), map(_bits, weights)
        options = [getattr(module, option, None) for option in ("stride", "padding", "dilation", "groups")]
        inputs = [(x.shape, x.stride()) for x in tree_leaves(calls) if isinstance(x, Tensor)]
        group = Group((), type(module).__name__, tuple(module.weight.shape), calls, sum(map(_rows_of(module), outputs)),
                      dict(zip(sparse, bits, strict=True)), dict(zip(sparse, nnz, strict=True)))
        key = (type(module), group.shape, getattr(module, "bias", None) is None, *inputs, *options, *layouts,
               *group.bits.values(), *group.nnz.values())
        found.setdefault(key, group).names += (name,)
    return list(found.values())


def _stored(weight: Any) -> int:
    return int(weight.nnz) if isinstance(weight, SparseTensor) else int(weight.numel())


def _bits(weight: Any) -> int:
    return int(weight.bits) if isinstance(weight, SparseTensor) else int(weight.numel() * weight.element_size() * 8)


def _rows_of(module: nn.Module) -> Callable[[Tensor], int]:
    """The rows of a layer's product: entries of its output over the channels, which a convolution has second, others last."""
    axis = 1 if hasattr(module, "kernel_size") else -1
    return lambda output: output.numel() // max(output.shape[axis], 1)


def _inside(dense: nn.Module, groups: list[Group], batch: Any) -> tuple[float, list[float]]:
    """-> seconds of the whole model, and of each group in it.

    A clock around every layer costs time, and some modules choose a slower path beneath hooks; so each group's share is taken
    of a call with clocks, and the seconds of one without.
    """
    spent, started = [0.0] * len(groups), [0.0]

    def before(*_: Any) -> None:
        started[0] = perf_counter()

    with ExitStack() as hooks:
        for at, group in enumerate(groups):
            def after(*_: Any, at: int = at) -> None:
                spent[at] += perf_counter() - started[0]
            for module in map(dense.get_submodule, group.names):
                hooks.callback(module.register_forward_pre_hook(before).remove)
                hooks.callback(module.register_forward_hook(after).remove)
        sleep(REST)
        call(dense, batch)                                     # wakes the threads, and fills the caches with these weights
        spent[:] = [0.0] * len(groups)
        start = perf_counter()
        call(dense, batch)
        clocked = perf_counter() - start
    total = _seconds(dense, batch)
    return total, [one * total / clocked for one in spent]


def _alone(model: nn.Module, group: Group) -> float:
    """Seconds of the layers of a group, one after another: each finds its weight where the others left it."""
    todo = [(model.get_submodule(name), args, named) for name in group.names for args, named in group.calls]
    for layer, args, named in todo:
        layer(*args, **named)
    passes, start = 0, perf_counter()
    while not passes or perf_counter() - start < LEAST:
        for layer, args, named in todo:
            layer(*args, **named)
        passes += 1
    return (perf_counter() - start) / passes


def _seconds(model: nn.Module, batch: Any) -> float:
    sleep(REST)
    call(model, batch)
    start = perf_counter()
    call(model, batch)
    return perf_counter() - start


def _keep(samples: Samples, taken: tuple[float, list[float]], alone: list[dict[str, float]], times: dict[str, float]) -> None:
    total, inside = taken
    samples.total.append(total)
    samples.rest.append(total - sum(inside))
    for group, seconds, beside in zip(samples.groups, inside, alone, strict=True):
        group.inside.append(seconds)
        for text, one in beside.items():
            group.alone.setdefault(text, []).append(one)
    for text, seconds in times.items():
        samples.whole[text].append(seconds)
