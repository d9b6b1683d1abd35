"""Training with use_backend("c"): of a weight's gradient what the weight stores, and its pattern prepared once."""

import pytest
import torch
from sparseref_c import compiling, library
from sparseref_torch import SparseTensor, sparsify, use_backend
from torch import nn
from torch.autograd import forward_ad

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

from sparseref_c import torch_kernel
from sparseref_c.torch_kernel import CKernel

FORMS = ("nmg:1:4:2", "nmg:2:4:2", "nmg:2:4:3,sparse_axis=1,group_axis=0", "csr:0.5")


def whole(*shape, seed=0):
    """Small whole numbers, so that every sum is exact."""
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(seed)).float()


def layer(form, turned=False, grad_format="same"):
    """A Linear [20, 24] whose weight has the form."""
    made = nn.Linear(24, 20)
    weight = sparsify(whole(24, 20) if turned else whole(20, 24), form)
    weight = SparseTensor(weight.sparse, turned=turned)
    made.weight, made.bias = nn.Parameter(weight), nn.Parameter(whole(20, seed=2))
    made.weight.set_grad_format(grad_format)
    return made


@pytest.fixture
def sampled(monkeypatch):
    """The shapes of x for which C computed the gradient of what is stored."""
    seen, by_values = [], CKernel.by_values

    def noted(self, a, x, grad):
        seen.append(tuple(x.shape))
        return by_values(self, a, x, grad)

    monkeypatch.setattr(CKernel, "by_values", noted)
    return seen


def stepped(layer, x, backend, steps=1):
    """-> the output of the last step, and the gradients of x, weight and bias."""
    with use_backend(backend):
        for _ in range(steps):
            layer.zero_grad()
            mine = x.clone().requires_grad_()
            y = layer(mine)
            y.backward(whole(*y.shape, seed=3))
            with torch.no_grad():
                layer.weight.sub_(layer.weight.grad, alpha=0.5)
    return y.detach(), mine.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_steps_give_the_same_numbers(form, steps, turned, sampled):                         # LINEAR-3, GRAD-1, GRAD-2
    """Values change from step to step, the pattern does not."""
    x = whole(2, 3, 24, seed=1)
    expected, actual = (stepped(layer(form, turned), x, backend, steps) for backend in ("torch", "c"))

    assert len(sampled) == steps
    for one, two in zip(expected, actual, strict=True):
        assert torch.equal(*(found.to_dense() if isinstance(found, SparseTensor) else found for found in (one, two)))
    assert torch.equal(expected[2].sparse.values, actual[2].sparse.values)


def test_a_pattern_is_prepared_once(monkeypatch):
    made = layer("nmg:2:4:2")
    stepped(made, whole(5, 24), "c")
    monkeypatch.setattr(torch_kernel, "prepare_pattern", lambda *given: pytest.fail("prepared again"))
    monkeypatch.setattr(torch_kernel, "prepare", lambda *given: pytest.fail("prepared again"))
    stepped(made, whole(5, 24), "c", 2)


def test_a_new_pattern_is_noticed():
    made = layer("nmg:2:4:2")
    x = whole(5, 24)
    stepped(made, x, "c")
    made.weight.set_sparse_(sparsify(whole(20, 24, seed=9), "nmg:2:4:2"))
    _, _, actual, _ = stepped(made, x, "c")
    dense = whole(5, 20, seed=3).T @ x

    assert torch.equal(torch.where(made.weight.pattern, dense, 0), actual.to_dense())


def test_an_index_written_in_place_is_noticed():
    """The same tensors, another pattern: the fibres of the one chunk the other way round."""
    made, x = layer("nmg:2:4:4"), whole(5, 24)
    stepped(made, x, "c")
    before = made.weight.pattern
    made.weight.sparse["idx"].copy_(made.weight.sparse["idx"].flip(-1))
    _, _, actual, _ = stepped(made, x, "c")
    dense = whole(5, 20, seed=3).T @ x

    assert not torch.equal(before, made.weight.pattern)
    assert torch.equal(torch.where(made.weight.pattern, dense, 0), actual.to_dense())


def test_who_looks_at_all_of_the_gradient_gets_it(sampled):
    """A hook of the user's, as of dynamic sparse training; a format of the gradient that holds other entries."""
    x, dense = whole(5, 24), whole(5, 20, seed=3).T @ whole(5, 24)
    watched, seen = layer("nmg:2:4:2", grad_format=None), []
    watched.weight.register_hook(lambda grad: seen.append(grad.clone()))
    watched.weight.set_grad_format("same")
    stepped(watched, x, "c")
    _, _, as_dense, _ = stepped(layer("nmg:2:4:2", grad_format="dense"), x, "c")
    _, _, largest, _ = stepped(layer("nmg:2:4:2", grad_format="csr:0.9"), x, "c")

    assert sampled == []
    assert largest.to_dense().abs().max() == dense.abs().max()
    assert torch.equal(dense, seen[0])
    assert torch.equal(dense, as_dense)


@pytest.mark.parametrize("backend", ["torch", "c"])
def test_a_second_derivative(backend):
    """The gradient of the gradient's square, by x and by the weight."""
    made, x = layer("nmg:2:4:2").double(), whole(5, 24).double().requires_grad_()
    with use_backend(backend):
        of_x, of_weight = torch.autograd.grad(made(x).square().sum(), (x, made.weight), create_graph=True)
        actual = torch.autograd.grad(of_x.square().sum() + of_weight.to_dense().square().sum(), (x, made.weight))
    dense, pattern = made.weight.to_dense().detach().requires_grad_(), made.weight.pattern
    y = nn.functional.linear(x, dense, made.bias.detach())
    of_x, of_weight = torch.autograd.grad(y.square().sum(), (x, dense), create_graph=True)
    total = of_x.square().sum() + torch.where(pattern, of_weight, 0).square().sum()
    expected = torch.autograd.grad(total, (x, dense))

    assert torch.equal(expected[0], actual[0])
    assert torch.equal(torch.where(pattern, expected[1], 0), actual[1].to_dense())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")     # torch's own rules for it are scripted
def test_a_forward_derivative():
    made, x = layer("nmg:2:4:2"), whole(5, 24)
    with use_backend("c"), forward_ad.dual_level():
        actual = forward_ad.unpack_dual(made(forward_ad.make_dual(x, whole(5, 24, seed=1)))).tangent

    assert torch.equal(whole(5, 24, seed=1) @ made.weight.to_dense().T, actual)


def test_a_sum_sends_back_one_number_for_all(sampled):
    """An expanded gradient, of strides 0."""
    made, x = layer("nmg:2:4:2"), whole(70, 24)
    with use_backend("c"):
        made(x).sum().backward()

    assert sampled == [(70, 24)]
    assert torch.equal(torch.where(made.weight.pattern, x.sum(0).expand(20, 24), 0), made.weight.grad.to_dense())


def test_what_is_frozen_has_no_gradient(sampled):
    made, x = layer("nmg:2:4:2"), whole(5, 24).requires_grad_()
    made.weight.requires_grad_(False)
    with use_backend("c"):
        made(x).sum().backward()

    assert (made.weight.grad, sampled) == (None, [])
    assert torch.equal(made.weight.to_dense().sum(0).expand(5, 24), x.grad)
