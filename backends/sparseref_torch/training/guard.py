"""The guard: remembers what is sparse in a model and fails, loudly and with a likely cause, where that drifts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sparseref import SpecError

from ..tensor import SparseTensor
from .optimizer_state import unwrapped
from .regime import Regime

MASKED_FROM = 0.25
"""A dense weight with this share of exact zeros is taken for a masked one; trained weights have next to none."""


@dataclass(frozen=True)
class Kept:
    """What is remembered of a tensor: pattern bool [shape]; layout: None for a masked dense one."""

    pattern: Tensor
    layout: Any
    fields: tuple[Tensor, ...]                                 # index tensors: while they are the same, so is the pattern
    versions: tuple[int, ...]


class SparsityGuard:
    """Remembers the pattern of every sparse parameter of a model, and of every dense one that is masked.

    A context manager (checks at its end), a call (`check()`), or a companion of an optimizer (`attach(optimizer)` checks
    after each step, and the optimizer's state as well).  regimes: pruners, SET or RigL, whose own changes are right; what
    happens between them is guarded.  masked_from: the share of zeros from which a dense weight counts as masked.
    Errors: TRAIN-9 for drift, TRAIN-10 where there is nothing to guard.
    """

    def __init__(self, model: nn.Module, *regimes: Regime, masked_from: float = MASKED_FROM) -> None:
        self.model, self.masked_from = model, masked_from
        self.kept: dict[str, Kept] = {}
        self.optimizers: list[Optimizer] = []
        self._handles: list[Any] = []
        self._regimes = list(regimes)
        for regime in regimes:
            regime.on_change.append(self.remember)
        self.remember()

    @torch.no_grad()
    def remember(self, names: Iterable[str] | None = None) -> None:
        """Take what is there now for right: of these tensors, or of all.  Errors: TRAIN-10."""
        wanted = None if names is None else set(names)
        for name, tensor in _weights(self.model).items():
            if (wanted is None or name in wanted) and _is_guarded(tensor, self.masked_from):
                self.kept[name] = _kept(tensor)
        if not self.kept and not self._regimes:                                            # TRAIN-10
            raise SpecError("TRAIN-10", "the model has nothing to guard.", given="dense weights only",
                            wanted=f"a sparse parameter, or a dense one with {self.masked_from:.0%} zeros or more",
                            fix="sparsify first, or lower masked_from")

    def attach(self, optimizer: Any) -> Self:
        """Check after every step of the optimizer from now on, until `detach`."""
        optimizer = unwrapped(optimizer)
        self.optimizers.append(optimizer)
        self._handles.append(optimizer.register_step_post_hook(lambda *_: self.check()))
        return self

    def detach(self) -> None:
        """Leave the optimizers alone."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.detach()
        if kind is None:                                       # an error on its way out is not hidden by another
            self.check()

    @torch.no_grad()
    def check(self, model: nn.Module | None = None) -> None:
        """Compare the model, or a copy of it (an average, a merge) -> None, or TRAIN-9 with every tensor that drifted."""
        weights = _weights(self.model if model is None else model)
        found = [line for name, kept in self.kept.items() for line in self._drift(name, kept, weights.get(name))]
        if found:                                                                          # TRAIN-9
            given = "\n    ".join(found[:8]) + (f"\n    and {len(found) - 8} more" if len(found) > 8 else "")
            raise SpecError("TRAIN-9", "the sparsity drifted.", wanted="the patterns that were remembered",
                            given="\n    " + given, fix="remember() takes what is there now for right")

    def _drift(self, name: str, kept: Kept, tensor: Tensor | None) -> list[str]:
        """A sentence for each thing that is wrong with a tensor."""
        if tensor is None:
            return [f"{name} is gone; likely cause: a merge or a module that was replaced"]
        if kept.layout is not None and not isinstance(tensor, SparseTensor):
            return [f"{name} was {kept.layout} and is dense now; likely cause: load_state_dict(assign=True), a merge, or "
                    "an assignment of a dense parameter"]
        if isinstance(tensor, SparseTensor):
            return [*self._other_pattern(name, kept, tensor), *self._other_state(name, tensor)]
        return self._revived(name, kept, tensor)

    def _other_pattern(self, name: str, kept: Kept, tensor: SparseTensor) -> list[str]:
        fields = _index_fields(tensor)
        untouched = all(mine is theirs and mine._version == version
                        for mine, theirs, version in zip(fields, kept.fields, kept.versions, strict=False))
        if len(fields) == len(kept.fields) and untouched and fields:
            return []
        pattern = tensor.pattern
        if pattern.shape != kept.pattern.shape:
            return [f"{name} has shape {tuple(pattern.shape)} and had {tuple(kept.pattern.shape)}"]
        here = pattern.to(kept.pattern.device)
        if torch.equal(here, kept.pattern):
            return []
        new, lost = int((here & ~kept.pattern).sum()), int((kept.pattern & ~here).sum())
        return [f"{name} stores {new:,} other entries and lost {lost:,} of {int(kept.pattern.sum()):,}; "
                "likely cause: load_state_dict or copy_ from a model with another pattern, "
                "set_sparse_, or a pruner that the guard does not follow"]

    def _revived(self, name: str, kept: Kept, tensor: Tensor) -> list[str]:
        """A masked dense weight whose dropped entries are no longer 0."""
        if tensor.shape != kept.pattern.shape:
            return [f"{name} has shape {tuple(tensor.shape)} and had {tuple(kept.pattern.shape)}"]
        back = (tensor != 0) & ~kept.pattern.to(tensor.device)
        count = int(back.count_nonzero())
        if not count:
            return []
        dropped = int((~kept.pattern).sum())
        return [f"{name}: {count:,} of {dropped:,} dropped entries are not 0 any more; "
                f"likely cause: {self._cause(tensor, back)}"]

    def _cause(self, tensor: Tensor, back: Tensor) -> str:
        """What the optimizers' state and the gradient say about entries that came back: bool [shape]."""
        for optimizer in self.optimizers:
            for key, value in optimizer.state.get(tensor, {}).items():
                if isinstance(value, Tensor) and value.shape == tensor.shape and bool(value[back].any()):
                    if tensor.grad is None or not bool(tensor.grad.to_dense()[back].any()):
                        return f"momentum: {key} of the optimizer is not 0 there, though the gradient is"
                    return f"the gradient is not masked: it reaches dropped entries, and {key} carries it on"
        if tensor.grad is not None and bool(tensor.grad[back].any()):
            return "the gradient is not masked: it reaches dropped entries"
        return ("the gradient is 0 there, so something else wrote: an average of weights (EMA), a merge (LoRA), "
                "load_state_dict of a dense checkpoint, .data, or momentum of an optimizer that is not attached to the guard")

    def _other_state(self, name: str, tensor: SparseTensor) -> list[str]:
        """Optimizer state that lies in other slots than its parameter would be updated wrongly, or not at all."""
        found = []
        fields = _index_fields(tensor)
        for optimizer in self.optimizers:
            for key, value in optimizer.state.get(tensor, {}).items():
                if not isinstance(value, Tensor) or value.shape != tensor.shape or not value.dim():
                    continue
                if not isinstance(value, SparseTensor):
                    found.append(f"{key} of {name} in the optimizer is dense; likely cause: optimizer.load_state_dict of a "
                                 "dense run")
                elif not all(a is b for a, b in zip(fields, _index_fields(value), strict=False)) and not torch.equal(
                        value.pattern, tensor.pattern):
                    found.append(f"{key} of {name} in the optimizer has another pattern than the weight; likely cause: "
                                 "optimizer.load_state_dict, or a pruner that was not attached to this optimizer")
        return found


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """name -> parameter; the weights that torch.nn.utils.prune computes from `weight_orig` under their own name."""
    found: dict[str, Tensor] = dict(model.named_parameters())
    for name in [name for name in found if name.endswith("_orig")]:
        holder = model.get_submodule(name.rpartition(".")[0])
        attribute = name.rpartition(".")[2].removesuffix("_orig")
        if f"{attribute}_mask" in holder._buffers:
            found[name.removesuffix("_orig")] = getattr(holder, attribute)
            del found[name]
    return found


def _is_guarded(tensor: Tensor, masked_from: float) -> bool:
    if isinstance(tensor, SparseTensor):
        return True
    return tensor.dim() > 1 and tensor.numel() > 0 and 1 - int(tensor.count_nonzero()) / tensor.numel() >= masked_from


def _kept(tensor: Tensor) -> Kept:
    if isinstance(tensor, SparseTensor):
        fields = _index_fields(tensor)
        return Kept(tensor.pattern.clone(), tensor.descriptor, fields, tuple(field._version for field in fields))
    return Kept((tensor != 0).clone(), None, (), ())


def _index_fields(tensor: SparseTensor) -> tuple[Tensor, ...]:
    return tuple(field for name, field in tensor.sparse.tensors.items() if name != "values")
