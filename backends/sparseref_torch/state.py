"""The state of a model: its parameters and persistent buffers by name, where each lies, and which are one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sparseref import SpecError

from .tensor.sparse_tensor import SparseTensor


@dataclass(frozen=True)
class Holder:
    """Where a model holds a tensor of its state."""

    module: nn.Module
    attribute: str

    @property
    def tensor(self) -> Tensor:
        return (self.module._parameters if self.is_parameter else self.module._buffers)[self.attribute]  # type: ignore[return-value]

    @property
    def is_parameter(self) -> bool:
        return self.attribute in self.module._parameters

    def put(self, tensor: Tensor) -> None:
        """Another tensor in this place; a module such as nn.LSTM, which keeps a list of its weights, sees it."""
        if not self.is_parameter:
            self.module._buffers[self.attribute] = tensor.detach()
        elif "." in self.attribute:                            # which setattr refuses, and a checkpoint may well have
            self.module._parameters[self.attribute] = tensor   # type: ignore[assignment]
        else:
            setattr(self.module, self.attribute, tensor)


def holders(model: nn.Module) -> dict[str, Holder]:
    """model -> {full name: where it is held}, in the order of `model.state_dict()`; a tied tensor under each of its names.

    Errors: MODEL-1 for a model whose state is more than its tensors.
    """
    found = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        for attribute, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and attribute not in module._non_persistent_buffers_set:
                found[f"{prefix}.{attribute}" if prefix else attribute] = Holder(module, attribute)
    state = model.state_dict(keep_vars=True)
    if state.keys() != found.keys():                                                       # MODEL-1
        others = sorted(state.keys() ^ found.keys())
        raise SpecError("MODEL-1", f"{type(model).__name__}.state_dict() does not give its parameters and buffers by name.",
                        wanted="a state_dict of the model's own tensors", given=f"more or less: {', '.join(others[:5])}",
                        fix="save a mapping instead: save_model({name: tensor, ...}, path), and read it with load_state(path)")
    return {name: found[name] for name in state}


def state_of(model: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model, or tensors by name -> {name: tensor}; one object under all names of a tied tensor.  Errors: MODEL-1."""
    if isinstance(model, nn.Module):
        state: dict[str, Any] = {name: holder.tensor for name, holder in holders(model).items()}
    elif isinstance(model, Mapping):
        state = dict(model)
    else:                                                                                  # MODEL-1
        raise SpecError("MODEL-1", "this is no model.", wanted="an nn.Module, or tensors by name", given=type(model).__name__)
    firsts: dict[Any, Tensor] = {}
    return {name: firsts.setdefault(_memory(tensor), tensor) for name, tensor in state.items() if _checked(name, tensor)}


def _checked(name: str, tensor: Any) -> bool:
    """Refuse what is neither a dense tensor with data nor a SparseTensor (MODEL-1)."""
    if isinstance(tensor, SparseTensor):
        return True
    if not isinstance(tensor, Tensor):
        given, fix = type(tensor).__name__, "keep numbers in `metadata`, as strings"
    elif tensor.is_meta:
        given, fix = "a tensor on the meta device", "load the model's weights first"
    elif is_traceable_wrapper_subclass(tensor):
        given, fix = type(tensor).__name__, "gather it first, e.g. tensor.full_tensor()"
    elif tensor.layout is not torch.strided:
        given, fix = f"{tensor.layout}", "sparseref_torch.sparsify(tensor.to_dense(), format) stores it in a format"
    else:
        return True
    raise SpecError("MODEL-1", f"{name!r} is nothing that a file can hold.", wanted="a dense tensor or a SparseTensor",
                    given=given, fix=fix)                                                  # MODEL-1


def _memory(tensor: Tensor) -> Any:
    """The same for two tensors that are one: what they read and how; an empty one is itself alone."""
    parts = tuple(tensor.sparse.tensors.values()) if isinstance(tensor, SparseTensor) else (tensor,)
    if any(part.numel() == 0 for part in parts):
        return id(tensor)
    return tuple(tensor.shape), *((part.data_ptr(), part.shape, part.stride(), part.dtype, part.device) for part in parts)
