"""What the tests of the sparse tensor share: every layout, integer-valued tensors whose sums are exact, and dense twins."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from sparseref_torch import SparseTensor, sparse_parameter, sparsify
from torch import nn

import sparseref as sr

FORMS = ("dense", "masked:0.7", "coo:0.5", "csr:0.9", "csc:0.9", "bsr:4:4:0.5", "ell:0.8", "nm:2:4", "nmg:2:8:8", "vnm:4:2:8")
"""A format of every layout of the specification."""


@dataclass(frozen=True)
class Bitmap(sr.Layout):
    """The README's layout of a user: known to the reference alone."""

    name = "bitmap"
    any_pattern = True

    def fields(self, shape):
        return {"values": sr.Field(None, ("nnz",)), "bits": sr.Field(np.dtype("u1"), (-(-math.prod(shape) // 8),))}

    def positions(self, a):
        return np.flatnonzero(np.unpackbits(a["bits"], count=math.prod(a.shape)))

    def encode(self, dense, pattern):
        return {"values": dense[pattern], "bits": np.packbits(pattern)}


ALL_FORMS = (*FORMS, (sr.ScalarFraction(0.8), Bitmap()))


def form_id(form):
    return form if isinstance(form, str) else "bitmap"


def whole_numbers(*shape, seed=0, most=3, dtype=torch.float32):
    """[shape] of whole numbers from -most to most, none of them 0: sums and products of them are exact."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.randint(1, most + 1, shape, generator=generator)
    return (size * (2 * torch.randint(0, 2, shape, generator=generator) - 1)).to(dtype)


def sparse(form, *shape, seed=0, dtype=torch.float32, **named):
    return sparsify(whole_numbers(*shape, seed=seed, dtype=dtype), form, **named)


def layer(form, inputs=64, outputs=48, bias=True, seed=0, **named):
    """A Linear with a sparse weight and whole numbers in it."""
    linear = nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        linear.weight.copy_(whole_numbers(outputs, inputs, seed=seed))
        if bias:
            linear.bias.copy_(whole_numbers(outputs, seed=seed + 1))
    linear.weight = sparse_parameter(sparsify(linear.weight, form), **named)
    return linear


def dense_twin(model):
    """A copy of the model whose sparse parameters are dense ones with the same entries."""
    twin = copy.deepcopy(model)
    for module in twin.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, SparseTensor):
                setattr(module, name, nn.Parameter(parameter.detach().to_dense().contiguous()))
    return twin


def mask_gradients(twin, model):
    """The gradients of a dense twin -> zero where the model stores nothing."""
    for dense, parameter in zip(twin.parameters(), model.parameters(), strict=True):
        if isinstance(parameter, SparseTensor) and dense.grad is not None:
            dense.grad.mul_(parameter.pattern)


def entries(tensor):
    """A tensor of any kind -> its dense entries, without history."""
    tensor = tensor.detach()
    return tensor.to_dense() if isinstance(tensor, SparseTensor) else tensor


def same(expected, actual):
    """True where two tensors have one dtype, one shape and the same entries, NaN in the same places."""
    expected, actual = entries(expected), entries(actual)
    return expected.dtype == actual.dtype and expected.shape == actual.shape and bool(
        ((expected == actual) | (expected.isnan() & actual.isnan())).all())
