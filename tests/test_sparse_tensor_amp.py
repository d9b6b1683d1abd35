"""Automatic mixed precision: what autocast makes of a sparse weight, and loss scaling."""

import pytest
import torch
from sparse_cases import ALL_FORMS, dense_twin, form_id, layer, mask_gradients, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, sparse_parameter, strict
from torch import nn, optim

every_form = pytest.mark.parametrize("form", ALL_FORMS, ids=form_id)
dtypes = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


@every_form
@dtypes
def test_autocast_computes_in_its_dtype(form, dtype):
    """Output, gradient of the input and of the weight are the dense twin's; the gradient is in the parameter's own dtype."""
    model, x = layer(form, 16, 16), whole_numbers(3, 16, most=1)
    twin = dense_twin(model)
    for m in (model, twin):
        m.inputs = x.clone().requires_grad_()
        with torch.autocast("cpu", dtype), strict():
            m.outputs = m(m.inputs)
        m.outputs.float().sum().backward()
    mask_gradients(twin, model)

    assert model.outputs.dtype == dtype
    assert same(twin.outputs, model.outputs)
    assert same(twin.inputs.grad, model.inputs.grad)
    assert same(twin.weight.grad, model.weight.grad)
    assert isinstance(model.weight.grad, SparseTensor)


@dtypes
def test_a_convolution_is_cast_too(dtype):
    """Weight and bias alike."""
    model = nn.Conv2d(8, 16, 3)
    model.weight, model.bias.data = sparse_parameter(sparse("csr:0.9", 16, 8, 3, 3)), whole_numbers(16)
    twin = dense_twin(model)
    with torch.autocast("cpu", dtype):
        expected, actual = (m(whole_numbers(2, 8, 9, 9, most=1)) for m in (twin, model))

    assert same(expected, actual)


@pytest.mark.parametrize("how", [{"foreach": True}, {"foreach": False}, {"fused": True}])
@every_form
def test_a_loss_is_scaled(form, how):
    """Gradients are unscaled in their slots; a step with an infinite gradient is left out, here as in the dense twin."""
    model, x = layer(form, 16, 16), whole_numbers(3, 16, most=1)
    twin = dense_twin(model)
    scalers = [torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2) for _ in range(2)]
    optimizers = [optim.SGD(m.parameters(), lr=1.0, **how) for m in (model, twin)]
    for step in range(4):
        for m, scaler, optimizer in zip((model, twin), scalers, optimizers, strict=True):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = m(x).float().sum() * (float("inf") if step == 2 else 1)
            scaler.scale(loss).backward()
            mask_gradients(twin, model)
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()

        assert scalers[0].get_scale() == scalers[1].get_scale()
        assert same(twin.weight, model.weight)
        assert same(twin.bias, model.bias)


@dtypes
def test_autocast_without_gradients(dtype):
    """The short way of linear is not taken."""
    model, x = layer("csr:0.9"), whole_numbers(3, 64, most=1)
    twin = dense_twin(model)
    for mode in (torch.no_grad, torch.inference_mode):
        with torch.autocast("cpu", dtype), mode():
            assert same(twin(x), model(x))


def test_a_weight_is_cast_once_for_a_pass():
    """Autocast keeps the cast copy of a parameter, index tensors are shared."""
    model, x = layer("nmg:2:8:8"), whole_numbers(3, 64)
    kept = []
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(3):
            y = model(x)
            kept.append(y.grad_fn.next_functions)
    casts = {functions[-1][0].next_functions[0][0] for functions in kept}

    assert len(casts) == 1
