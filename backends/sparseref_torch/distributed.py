"""Training with several processes: a model whose parameters are the stored values, so that DDP and FSDP2 send nothing else.

Both look at a parameter's size and memory, not at its fields, and would reduce dense gradients.

    model = DistributedDataParallel(value_parameters(model))      # or fully_shard(value_parameters(model))
    optimizer = torch.optim.AdamW(model.parameters())             # made afterwards: the parameters are new ones
    ...
    sparse_parameters(model.module)                               # sparse parameters again, with the trained values
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparseref import SpecError
from sparseref.registry import parse_layout

from .tensor import SparseTensor, opaque, sparse_parameter
from .tensor.sparse_tensor import FIELD
from .tensors import TorchSparse

IGNORED = "_ddp_params_and_buffers_to_ignore"
"""Where DistributedDataParallel finds the names of what it shall not broadcast before every forward pass."""


class Assembled(nn.Module):
    """values [slots] -> the sparse tensor [shape] that a module computes with; the index tensors are buffers.

    A parametrization: the module's own attribute is put together when it is read, as every module reads it.
    Errors: DIST-1 where the values are sharded at that moment.
    """

    def __init__(self, a: SparseTensor, order: list[str]) -> None:
        """a, the parameter; order, the names of its module's parameters, which optimizers count by."""
        super().__init__()
        self.order = order
        sparse = a.sparse
        self.layout, self.matrix, self.shape, self.turned = sparse.layout, tuple(sparse.shape), tuple(a.shape), a.turned
        self.slots, self.fields = tuple(sparse.values.shape), tuple(sparse.tensors)
        self.grad_format = getattr(a, "grad_format", None)
        for name, tensor in sparse.tensors.items():
            if name != "values":
                self.register_buffer(FIELD + name, tensor)

    def forward(self, values: Tensor) -> Tensor:
        if hasattr(values, "full_tensor"):                                                 # DIST-1
            raise SpecError("DIST-1", "this weight is sharded, each process holds a part of its values.", given="a DTensor",
                            wanted="to be read within forward, or after module.unshard()", fix="call the module itself")
        indices = [getattr(self, FIELD + name) for name in self.fields if name != "values"]
        layout = str(self.layout) if torch.compiler.is_compiling() else self.layout
        return assemble(values, layout, self.matrix, self.fields, self.slots, self.shape, self.turned, *indices)

    def right_inverse(self, given: Tensor) -> Tensor:
        """What is assigned to the module's attribute [shape] -> values [slots].  Errors: TENSOR-3."""
        if tuple(given.shape) == (math.prod(self.slots),) != self.shape:
            return given                                       # the values, when the parametrization begins
        taken = self.tensor(given.new_zeros(math.prod(self.slots)))
        taken.copy_(given.to_dense() if isinstance(given, SparseTensor) else given)        # the slots stay these
        return taken.sparse.values.reshape(-1)

    def tensor(self, values: Tensor) -> SparseTensor:
        """values [slots] -> the sparse tensor that has them, sharing their memory."""
        fields = {name: values.reshape(self.slots) if name == "values" else getattr(self, FIELD + name) for name in self.fields}
        return SparseTensor(TorchSparse(self.layout, self.matrix, fields), self.shape, self.turned)


def assemble(values: Tensor, *said: Any) -> Tensor:
    """values [slots], what else the sparse tensor is made of -> the sparse tensor [shape]."""
    return _Assemble.apply(values, *said)


class _Assemble(torch.autograd.Function):
    """values [slots] -> sparse [shape]; the gradient of the values is the dense one's, gathered."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, layout: Any, matrix: Any, fields: Any, slots: Any, shape: Any, turned: bool,
                *indices: Tensor) -> SparseTensor:
        rest = iter(indices)                                   # values.detach(): nothing decoded is kept for the next call
        tensors = {name: values.detach().reshape(slots) if name == "values" else next(rest) for name in fields}
        ctx.slots = SparseTensor(TorchSparse(parse_layout(layout), tuple(matrix), tensors), tuple(shape), turned)
        return ctx.slots.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        a = ctx.slots
        dense = grad.to_dense() if isinstance(grad, SparseTensor) else grad
        return opaque.gather(a.sparse, a.flat(dense)).reshape(-1), *[None] * (5 + len(a.fields))


def value_parameters(model: nn.Module) -> nn.Module:
    """A model with sparse parameters -> the same model; each of them is now a plain parameter [slots] of its values.

    Tied parameters stay tied.  Where processes are connected this is a collective call, which compares their patterns.
    Errors: DIST-2 if these differ.
    """
    torch.compiler.allow_in_graph(assemble)                    # one node of a compiled graph, whose inside AOTAutograd traces
    values: dict[int, nn.Parameter] = {}
    ignored = []
    for place, module in list(model.named_modules()):
        order = list(module._parameters)
        for name, parameter in list(module._parameters.items()):
            if isinstance(parameter, SparseTensor):
                plain = values.get(id(parameter))
                if plain is None:
                    held = parameter.detach().sparse.values.reshape(-1)
                    plain = values[id(parameter)] = nn.Parameter(held, requires_grad=parameter.requires_grad)
                assembled = Assembled(parameter, order)
                setattr(module, name, None)
                setattr(module, name, plain)
                parametrize.register_parametrization(module, name, assembled, unsafe=True)
                prefix = f"{place}." if place else ""
                ignored += [f"{prefix}parametrizations.{name}.0.{field}" for field, _ in assembled.named_buffers()]
    _compare(model)
    setattr(model, IGNORED, [*getattr(model, IGNORED, []), *ignored])    # patterns are the same everywhere: nothing to send
    return model


def sparse_parameters(model: nn.Module) -> nn.Module:
    """What `value_parameters` made -> the same model with sparse parameters, which hold the values as they are now.

    Errors: DIST-1 for a sharded model, DIST-3 where a parametrization was put on top.
    """
    made: dict[int, SparseTensor] = {}
    for module, name, assembled in _assembled(model):
        chain = module.parametrizations[name]
        if len(chain) > 1:                                                                 # DIST-3
            raise SpecError("DIST-3", f"{name} has another parametrization on top.", wanted="value_parameters alone",
                            given=str(chain), fix="torch.nn.utils.parametrize.remove_parametrizations first")
        original = chain.original
        assembled(original.detach())                           # DIST-1
        if id(original) not in made:
            sparse = assembled.tensor(original.detach())
            made[id(original)] = sparse_parameter(sparse, assembled.grad_format).requires_grad_(original.requires_grad)
        parametrize.remove_parametrizations(module, name, leave_parametrized=False)
        setattr(module, name, None)
        setattr(module, name, made[id(original)])
        for key in assembled.order:
            module._parameters[key] = module._parameters.pop(key)
    if hasattr(model, IGNORED):
        delattr(model, IGNORED)
    return model


def _assembled(model: nn.Module) -> list[tuple[nn.Module, str, Assembled]]:
    return [(module, name, chain[0]) for module in model.modules() if parametrize.is_parametrized(module)
            for name, chain in module.parametrizations.items() if isinstance(chain[0], Assembled)]


def _compare(model: nn.Module) -> None:
    """Refuse patterns that differ between processes (DIST-2): values would be added to those of other entries."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    digest = hashlib.sha256()
    for _, name, assembled in _assembled(model):
        digest.update(f"{name} {assembled.layout} {assembled.shape}".encode())
        for _, field in assembled.named_buffers():
            digest.update(field.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    digests = [""] * distributed.get_world_size()
    distributed.all_gather_object(digests, digest.hexdigest())
    strange = [rank for rank, other in enumerate(digests) if other != digests[0]]
    if strange:                                                                            # DIST-2
        raise SpecError("DIST-2", "the processes store different entries.", wanted="the patterns of process 0 everywhere",
                        given=f"others in {strange}", fix="sparsify before the processes part, with one seed, or load one file")
