"""torch's own modules with sparse weights: what they share with every model, and the ones that call fused kernels."""

import pytest
import torch
from sparseref_torch import SparseTensor, sparse_parameter, sparsify
from torch import nn


def sparse_linear(form="csr:0.75"):
    linear = nn.Linear(16, 8)
    linear.weight = sparse_parameter(sparsify(linear.weight, form))
    return linear


@pytest.mark.parametrize("convert", [nn.Module.double, nn.Module.half, nn.Module.bfloat16], ids=["double", "half", "bfloat16"])
def test_a_converted_model_keeps_the_gradient_format(convert):
    """model.half() swaps the contents of a parameter; the hook that turns gradients must see what is in it from then on."""
    model = convert(sparse_linear())
    model.weight.set_sparse_(sparsify(torch.randn(8, 16).to(model.weight.dtype), "csr:0.5"))
    model(torch.randn(3, 16).to(model.weight.dtype)).sum().backward()
    expected = (SparseTensor, model.weight.dtype, model.weight.pattern.tolist())
    actual = (type(model.weight.grad), model.weight.grad.dtype, model.weight.grad.pattern.tolist())

    assert expected == actual


def test_an_unfrozen_weight_turns_its_gradient_once():
    """Freezing and unfreezing a model leaves one hook."""
    model = sparse_linear().requires_grad_(False).requires_grad_(True)
    model(torch.randn(3, 16)).sum().backward()

    assert isinstance(model.weight.grad, SparseTensor)
    assert len(model.weight._backward_hooks) == 1
