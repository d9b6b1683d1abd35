"""Every optimizer, in each of its implementations, trains a sparse parameter as the dense one whose gradient is masked."""

import pytest
import torch
from checking import refusal
from sparse_cases import ALL_FORMS, Bitmap, dense_twin, form_id, layer, mask_gradients, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, sparse_parameter, strict
from torch import nn, optim

import sparseref as sr

OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.5}), "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    "nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}), "maximize": (optim.SGD, {"maximize": True}),
    "adam": (optim.Adam, {"lr": 0.1}), "adam-decay": (optim.Adam, {"weight_decay": 0.1}),
    "amsgrad": (optim.Adam, {"amsgrad": True}),
    "adamw": (optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}), "adamw-amsgrad": (optim.AdamW, {"amsgrad": True}),
    "adagrad": (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}), "rmsprop": (optim.RMSprop, {"lr": 0.1}),
    "rmsprop-centered": (optim.RMSprop, {"centered": True, "momentum": 0.9, "weight_decay": 0.1}),
    "nadam": (optim.NAdam, {"lr": 0.1, "weight_decay": 0.1}),
    "nadam-decoupled": (optim.NAdam, {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    "radam": (optim.RAdam, {"lr": 0.1, "weight_decay": 0.1})}

FUSED = ("sgd", "momentum", "nesterov", "maximize", "adam", "adam-decay", "amsgrad", "adamw", "adamw-amsgrad", "adagrad")

WHOLE_VECTORS = ("masked:0.7", "csr:0.875", "bsr:4:4:0.5", "nmg:2:8:8", (sr.ScalarFraction(0.75), Bitmap()))
"""Of [16, 32] these store a multiple of 16 entries: what does not fill a vector torch rounds otherwise, without FMA."""

CASES = [(name, how) for name in OPTIMIZERS for how in ("loop", "foreach", *(["fused"] if name in FUSED else []))]


def made(name, how, parameters):
    kind, settings = OPTIMIZERS[name]
    return kind(parameters, **settings, foreach=how == "foreach", **({"fused": True} if how == "fused" else {}))


@pytest.mark.parametrize("form", WHOLE_VECTORS, ids=form_id)
@pytest.mark.parametrize(("name", "how"), CASES)
def test_a_step_is_that_of_the_masked_dense_parameter(name, how, form):
    """Bit for bit over five steps, without falling back; each state of the parameter's shape is as small as the parameter."""
    weight = sparse_parameter(sparse(form, 16, 32))
    bias, dense = nn.Parameter(whole_numbers(16)), nn.Parameter(weight.detach().to_dense())
    twin_bias = nn.Parameter(bias.detach().clone())
    optimizer, twin = made(name, how, [weight, bias]), made(name, how, [dense, twin_bias])
    for step in range(5):
        grad = whole_numbers(16, 32, seed=step)
        weight.grad, dense.grad = weight.detach().like(grad), torch.where(weight.pattern, grad, 0)
        bias.grad, twin_bias.grad = grad[:, 0].clone(), grad[:, 0].clone()
        with strict():
            optimizer.step()
        twin.step()

        assert same(dense, weight)
        assert same(twin_bias, bias)
    for key, state in optimizer.state[weight].items():
        expected = twin.state[dense][key]
        if torch.is_tensor(expected) and expected.shape == weight.shape:
            assert isinstance(state, SparseTensor)
            assert state.bits == weight.bits
            assert same(torch.where(weight.pattern, expected, 0), state)
            assert state.sparse.tensors.keys() == weight.sparse.tensors.keys()
            assert all(state.sparse[field] is weight.sparse[field] for field in weight.sparse.tensors if field != "values")


@pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning")
@pytest.mark.parametrize(("kind", "settings"), [(optim.Adadelta, {}), (optim.Adamax, {}), (optim.ASGD, {}),
                                                (optim.Adagrad, {"initial_accumulator_value": 0.5})])
@pytest.mark.parametrize("foreach", [True, False])
def test_an_optimizer_may_fall_back(kind, settings, foreach):
    """The numbers are those of the masked dense parameter all the same."""
    weight = sparse_parameter(sparse("csr:0.75", 16, 32))
    dense = nn.Parameter(weight.detach().to_dense())
    optimizer, twin = (kind([parameter], lr=0.1, foreach=foreach, **settings) for parameter in (weight, dense))
    for step in range(5):
        grad = whole_numbers(16, 32, seed=step)
        weight.grad, dense.grad = weight.detach().like(grad), torch.where(weight.pattern, grad, 0)
        optimizer.step()
        twin.step()

        assert same(torch.where(weight.pattern, dense, 0), weight)


@pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning")
def test_an_optimizer_that_assigns_where_nothing_is_stored_is_refused():
    """Rprop sets a factor of 1 wherever a gradient is zero (TENSOR-3)."""
    weight = sparse_parameter(sparse("csr:0.75", 16, 32))
    weight.grad = weight.detach().like(torch.ones(16, 32))

    assert refusal(optim.Rprop([weight]).step) == "TENSOR-3"


def test_a_fused_optimizer_with_a_dense_state_writes_it():
    """Adagrad with an initial value that is not 0 makes one."""
    weight = sparse_parameter(sparse("csr:0.75", 16, 32))
    dense = nn.Parameter(weight.detach().to_dense())
    optimizer, twin = (optim.Adagrad([parameter], fused=True, initial_accumulator_value=0.5) for parameter in (weight, dense))
    for step in range(3):
        grad = whole_numbers(16, 32, seed=step)
        weight.grad, dense.grad = weight.detach().like(grad), torch.where(weight.pattern, grad, 0)
        optimizer.step()
        twin.step()

    assert same(torch.where(weight.pattern, dense, 0), weight)
    assert same(twin.state[dense]["sum"], optimizer.state[weight]["sum"])


@pytest.mark.parametrize("form", ALL_FORMS, ids=form_id)
def test_training_is_that_of_the_masked_dense_model(form):
    """Forward, backward, clipping by value, a step: whole numbers stay whole, so that every sum is exact."""
    model = nn.Sequential(layer(form), nn.ReLU(), layer(form, 48, 16))
    twin = dense_twin(model)
    optimizers = [optim.SGD(m.parameters(), lr=1.0, momentum=1.0) for m in (model, twin)]
    for step in range(4):
        x = whole_numbers(5, 64, seed=step, most=1)
        for m, optimizer in zip((model, twin), optimizers, strict=True):
            optimizer.zero_grad(set_to_none=step % 2 == 0)
            m(x).sum().backward()
            mask_gradients(twin, model)
            nn.utils.clip_grad_value_(m.parameters(), 2.0)
            optimizer.step()

        assert all(same(expected, actual) for expected, actual in zip(twin.parameters(), model.parameters(), strict=True))
        assert float(max(parameter.detach().abs().max() for parameter in twin.parameters())) < 2**10


@pytest.mark.parametrize("foreach", [True, False])
def test_gradients_are_clipped_by_their_norm(foreach):
    """The norm of what is stored is the norm of all."""
    model = nn.Sequential(layer("nmg:2:8:8"), layer("csr:0.9", 48, 16))
    twin = dense_twin(model)
    for m in (model, twin):
        m(whole_numbers(5, 64)).sum().backward()
    mask_gradients(twin, model)
    with strict():
        actual = nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=foreach)
    expected = nn.utils.clip_grad_norm_(twin.parameters(), 1.0, foreach=foreach)

    torch.testing.assert_close(actual, expected, rtol=0, atol=float(expected) * 2**-20)
    assert all(type(a.grad) is type(a.detach()) or not isinstance(a, SparseTensor) for a in model.parameters())


def test_a_loop_of_ones_own():
    """Lion, written by hand with in-place operators."""
    weight = sparse_parameter(sparse("nmg:2:8:8", 48, 64))
    dense = weight.detach().to_dense()
    grad = whole_numbers(48, 64)
    pattern = weight.pattern

    def lion(parameter, momentum, grad):
        parameter.mul_(1 - 0.5)
        parameter.add_((momentum * 0.5 + grad * 0.5).sign_(), alpha=-0.25)
        momentum.mul_(0.5).add_(grad, alpha=0.5)

    with torch.no_grad(), strict():
        momentum, twin = torch.zeros_like(weight), torch.zeros_like(dense)
        for _ in range(3):
            lion(weight, momentum, weight.like(grad))
            lion(dense, twin, grad * pattern)

    assert same(dense, weight)
    assert same(twin, momentum)


@pytest.mark.parametrize("how", ["loop", "foreach", "fused"])
def test_a_state_that_did_not_follow_its_parameter_is_refused(how):
    """TENSOR-5, where a division by what is not stored would make NaN; with a state that followed the step is right."""
    weight = sparse_parameter(sparse("csr:0.75", 16, 32))
    optimizer = made("adamw", how, [weight])
    weight.grad = torch.ones_like(weight.detach().to_dense())
    optimizer.step()
    weight.set_sparse_(sparse("csr:0.75", 16, 32, seed=5))
    weight.grad = weight.detach().like(torch.ones(16, 32))

    assert refusal(optimizer.step) == "TENSOR-5"
    for state in optimizer.state[weight].values():
        if isinstance(state, SparseTensor):
            state.set_sparse_(weight.detach().like(state.to_dense()))
    optimizer.step()
    assert torch.isfinite(weight.detach().to_dense()).all()
