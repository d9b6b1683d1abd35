"""Sparse models for programs that know no sparse tensors: the same model with its weights written out.

torch.export, and through it ONNX Runtime and OpenVINO:

    program = torch.export.export(dense_copy(model), (inputs,))      # no operator of sparseref is in it
    torch.onnx.export(program, f="model.onnx", ...)                  # needs the packages onnx and onnxscript
    openvino.convert_model(dense_copy(model), example_input=inputs)  # needs the package openvino

The zeros stay zeros, so what a runtime does with a dense pattern (compression, its own sparse kernels) still applies.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from sparseref import SpecError
from sparseref.atomic import write_bytes
from sparseref.files.container import pieces
from sparseref.files.header import Header
from sparseref.files.names import check_names

from .builder.outputs import StoreOutput
from .builder.store import StoreAs
from .files import array_of
from .state import Holder, state_of
from .tensor.sparse_tensor import SparseTensor

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def dense_copy(model: M, drop_intermediates: bool = False) -> M:
    """model -> a deep copy whose sparse parameters and buffers are ordinary dense ones, tied as they were, without hooks.

    drop_intermediates: leave results of the forward pass as they are which the model stores sparsely; the copy then computes
    something else.  Errors: MODEL-5 for a model that stores some, otherwise.
    """
    stores = [name for name, module in model.named_modules() if isinstance(module, StoreAs) or _hooks_of(module)]
    if stores and not drop_intermediates:                                                  # MODEL-5
        raise SpecError("MODEL-5", "the model stores results of its forward pass sparsely, which a dense copy would not.",
                        wanted="a model of sparse weights", given=f"stored: {', '.join(stores[:5])}",
                        fix="dense_copy(model, drop_intermediates=True) computes with the dense results")
    copy = deepcopy(model)
    made: dict[int, tuple[Tensor, Tensor]] = {}                # with the old one, whose id is its own while it lives
    for module in copy.modules():
        for key in _hooks_of(module):
            del module._forward_hooks[key]
        for name, child in list(module.named_children()):
            if isinstance(child, StoreAs):
                setattr(module, name, nn.Identity())
        for attribute, old in (*module._parameters.items(), *module._buffers.items()):
            if isinstance(old, SparseTensor):
                made.setdefault(id(old), (old, _dense(old, attribute in module._parameters)))
                Holder(module, attribute).put(made[id(old)][1])
    return copy


def _hooks_of(module: nn.Module) -> list[int]:
    return [key for key, hook in module._forward_hooks.items() if isinstance(hook, StoreOutput)]


def _dense(sparse: SparseTensor, is_parameter: bool) -> Tensor:
    """sparse [shape] -> dense [shape], trained if the sparse one is."""
    dense = sparse.detach().to_dense().contiguous()
    return nn.Parameter(dense, requires_grad=sparse.requires_grad) if is_parameter else dense


@torch.no_grad()
def save_dense(model: nn.Module | Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """A model, or tensors by name -> an ordinary safetensors file of dense tensors, for any program that reads those.

    A tied tensor stands there once, under the first of its names, as safetensors has it; in the metadata its other names
    lead to that one.  The file appears whole (FILE-13).  Errors: MODEL-1, FILE-6, FILE-7, FILE-10.
    """
    firsts: dict[int, str] = {}
    state = state_of(model)
    ties = {name: firsts[id(tensor)] for name, tensor in state.items() if firsts.setdefault(id(tensor), name) != name}
    arrays = {name: array_of(name, tensor.to_dense() if isinstance(tensor, SparseTensor) else tensor)
              for name, tensor in state.items() if name not in ties}
    check_names({name: [name] for name in arrays}, ties)
    strings = Header({}, {}, {"format": "pt", **ties, **(metadata or {})}).metadata        # FILE-10: they are checked
    return write_bytes(path, pieces(arrays, strings))
