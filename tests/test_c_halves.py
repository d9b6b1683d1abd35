"""Weights in float16 and bfloat16 under torch: multiplied in float32."""

import copy

import pytest
import torch
from sparseref_c import compiling, library
from sparseref_torch import sparsify
from sparseref_torch.tensor import kernels
from torch import nn

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 9, 70])
def test_halves_are_added_up_in_float32_and_rounded_once(dtype, tokens):                   # BOUND-1
    """A Linear alone, and with what belongs to it; the second call of a form is the one that would be planned."""
    torch._dynamo.reset()
    layer = nn.Linear(96, 64).to(dtype)
    layer.weight = nn.Parameter(sparsify(layer.weight.detach(), "nmg:2:8:2"))
    x, wide = torch.randn(tokens, 96).to(dtype), copy.deepcopy(layer).float()
    fused = torch.compile(nn.Sequential(layer, nn.GELU()), backend="sparseref_c")
    with torch.no_grad():
        assert kernels.choose(layer.weight.sparse, x, False)[0].backend == "c"
        expected = nn.functional.linear(x.float(), wide.weight.to_dense(), wide.bias)
        rounding = torch.finfo(dtype).eps
        for _ in range(3):
            torch.testing.assert_close(expected, layer(x).float(), rtol=rounding, atol=rounding / 8)
            torch.testing.assert_close(nn.functional.gelu(expected), fused(x).float(), rtol=rounding, atol=rounding / 8)
        assert layer(x).dtype == fused(x).dtype == dtype


def test_a_convolution_of_halves_is_rounded_once():
    image, weight = torch.randn(2, 6, 9, 11).bfloat16(), sparsify(torch.randn(8, 6, 3, 3).bfloat16(), "nmg:2:8:2")
    with torch.no_grad():
        expected = nn.functional.conv2d(image.float(), weight.to_dense().float())
        actual = nn.functional.conv2d(image, weight)

    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(expected, actual.float(), rtol=2**-7, atol=2**-9)
