"""Gradients of sparse parameters: dense, in the parameter's slots or in any format, added up and differentiated again."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from checking import refusal
from sparse_cases import ALL_FORMS, dense_twin, form_id, layer, mask_gradients, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, sparse_parameter, sparsify, strict
from torch import nn

import sparseref as sr

every_form = pytest.mark.parametrize("form", ALL_FORMS, ids=form_id)

GRADIENTS = (None, "dense", "same", "csr:0.5", "masked:0.7", "nmg:2:8:8", "coo:0.9")


def backward(model, x):
    """-> the gradient of the input, with the parameters' gradients in `.grad`."""
    x = x.clone().requires_grad_()
    model(x).square().sum().backward()
    return x.grad


@every_form
@pytest.mark.parametrize("kind", GRADIENTS)
def test_a_gradient_has_the_format_that_is_asked_for(form, kind):
    """Its entries are those of the dense twin's gradient; so is the gradient of the input, exactly."""
    model = layer(form, 16, 32, grad_format=kind)
    twin, x = dense_twin(model), whole_numbers(5, 16)
    with strict():
        actual = backward(model, x)
    expected = backward(twin, x)
    grad, wanted = model.weight.grad, twin.weight.grad

    assert same(expected, actual)
    if kind in (None, "dense"):
        assert type(grad) is torch.Tensor
        assert same(wanted, grad)
    else:
        assert isinstance(grad, SparseTensor)
        assert same(torch.where(grad.pattern, wanted, 0), grad)
        assert str(grad.descriptor) == (str(model.weight.descriptor) if kind == "same" else kind.split(":0")[0])
    if kind == "same":
        assert torch.equal(model.weight.pattern, grad.pattern)


@pytest.mark.parametrize("kind", ["masked:0.75", "csr:0.75"])
def test_a_gradient_in_a_format_keeps_the_largest(kind):
    """What the reference's sparsifier keeps of the twin's gradient."""
    model = layer("nm:2:4", 16, 32, grad_format=kind)
    twin, x = dense_twin(model), whole_numbers(5, 16)
    backward(model, x)
    backward(twin, x)
    expected = torch.from_numpy(sr.decode(sr.sparsify(twin.weight.grad.numpy(), kind)))
    actual = model.weight.grad

    assert same(expected, actual)


@every_form
@pytest.mark.parametrize("kind", [None, "same", "csr:0.5"])
def test_gradients_are_added_up(form, kind):
    """Over two backward passes and a retained graph; a sum in a format is chosen anew."""
    model = layer(form, 16, 32, grad_format=kind)
    single = []
    for seed in (0, 1):
        model.zero_grad()
        backward(model, whole_numbers(5, 16, seed=seed))
        single.append(model.weight.grad.to_dense().clone() if kind else model.weight.grad.clone())
    model.zero_grad()
    backward(model, whole_numbers(5, 16, seed=0))
    loss = model(whole_numbers(5, 16, seed=1)).square().sum()
    loss.backward(retain_graph=True)
    loss.backward()
    expected = single[0]
    for _ in range(2):
        expected = expected + single[1]
        expected = sparsify(expected, kind).to_dense() if kind == "csr:0.5" else expected
    actual = model.weight.grad

    assert same(expected, actual)


@every_form
def test_zero_grad_makes_zeros_or_nothing(form):
    """In both of its ways."""
    model = layer(form, 16, 32)
    backward(model, whole_numbers(5, 16))
    with strict():
        model.zero_grad(set_to_none=False)
        assert isinstance(model.weight.grad, SparseTensor)
        assert same(torch.zeros(32, 16), model.weight.grad)
        backward(model, whole_numbers(5, 16))
    twin = dense_twin(model)
    backward(twin, whole_numbers(5, 16))
    mask_gradients(twin, model)
    assert same(twin.weight.grad, model.weight.grad)
    model.zero_grad()
    assert model.weight.grad is None


@every_form
def test_a_weight_that_is_used_twice_gets_both_gradients(form):
    """As input of a product on the left, on the right, of an elementwise operator and of an indexed one."""
    def loss(w, x):
        return (F.linear(x, w) ** 2).sum() + (w @ x.T).sum() + (w * w).sum() + F.relu(w).sum() + (2 * w).to_dense().sum()

    model = layer(form, 16, 32)
    dense, x = nn.Parameter(model.weight.detach().to_dense()), whole_numbers(5, 16)
    loss(model.weight, x).backward()
    loss(dense, x).backward()

    assert same(torch.where(model.weight.pattern, dense.grad, 0), model.weight.grad)


@pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning")
@pytest.mark.parametrize("kind", [None, "same"])
def test_gradients_flow_through_parts_and_fallbacks(kind):
    """Rows, slices, softmax, cat, pieces of a fused weight."""
    def loss(w, x):
        one, two = w.chunk(2)
        pieces = w[3].sum() + (w[:, 2:5] ** 2).sum() + torch.cat([w, w]).sum() + w.T[1].sum()
        return (F.linear(x, one) * F.linear(x, two)).sum() + pieces

    w = sparse_parameter(sparse("nmg:2:8:8", 32, 16), kind)
    dense, x = nn.Parameter(w.detach().to_dense()), whole_numbers(5, 16)
    loss(w, x).backward()
    loss(dense, x).backward()
    expected = dense.grad if kind is None else torch.where(w.pattern, dense.grad, 0)

    assert same(expected, w.grad)


def test_a_convolution_has_the_gradients_of_its_twin():
    """Of the weight, the bias and the images."""
    model = nn.Conv2d(8, 16, 3, padding=1, stride=2)
    model.weight = sparse_parameter(sparse("nmg:2:8:8", 16, 8, 3, 3))
    model.bias.data = whole_numbers(16)
    twin, x = dense_twin(model), whole_numbers(2, 8, 9, 7, most=1)
    with strict():
        actual = backward(model, x)
    expected = backward(twin, x)
    mask_gradients(twin, model)

    assert same(expected, actual)
    assert same(twin.weight.grad, model.weight.grad)
    assert same(twin.bias.grad, model.bias.grad)


def test_gradients_can_be_differentiated():
    """A gradient penalty: through autograd.grad with a graph, whatever the format."""
    for kind in (None, "same"):
        w = sparse_parameter(sparse("csr:0.5", 8, 16), kind)
        dense, x = nn.Parameter(w.detach().to_dense()), whole_numbers(5, 16, most=1)
        second = []
        for weight in (w, dense):
            grad, = torch.autograd.grad((F.linear(x, weight) ** 3).sum(), weight, create_graph=True)
            kept = grad.to_dense() if isinstance(grad, SparseTensor) else grad * (w.pattern if kind else 1)
            second.append(torch.autograd.grad((kept ** 2).sum(), weight)[0])

        assert same(torch.where(w.pattern, second[1], 0), torch.where(w.pattern, second[0].to_dense(), 0))


def test_decoding_and_taking_slots_pass_gradients_on():
    """to_dense and like are each other's derivative."""
    w, dense = sparse_parameter(sparse("csr:0.5", 8, 16), None), whole_numbers(8, 16).requires_grad_()
    (w.to_dense() * dense).sum().backward()
    assert same(dense.detach(), w.grad)

    dense.grad = None
    (w.detach().like(dense) * whole_numbers(8, 16, seed=3)).sum().backward()
    assert same(torch.where(w.pattern, whole_numbers(8, 16, seed=3), 0), dense.grad)


def test_what_needs_no_gradient_gets_none():
    """A frozen weight; a weight in no_grad."""
    model = layer("csr:0.9")
    model.weight.requires_grad_(False)
    backward(model, whole_numbers(5, 64))
    assert model.weight.grad is None
    assert model.bias.grad is not None

    model.weight.requires_grad_(True)
    backward(model, whole_numbers(5, 64))
    assert isinstance(model.weight.grad, SparseTensor)


def test_the_format_can_be_changed():
    """The last one counts; an unknown one is refused (TENSOR-4)."""
    model = layer("csr:0.9")
    for kind, expected in (("dense", torch.Tensor), ("same", SparseTensor), (None, torch.Tensor), ("coo:0.9", SparseTensor)):
        model.zero_grad()
        model.weight.set_grad_format(kind)
        backward(model, whole_numbers(5, 64))
        assert type(model.weight.grad) is expected
    assert refusal(model.weight.set_grad_format, 3) == "TENSOR-4"


def test_gradients_follow_a_new_pattern():
    """set_sparse_ changes the slots of the gradients to come."""
    model = layer("csr:0.9")
    other = sparse("csr:0.5", 48, 64, seed=9)
    model.weight.set_sparse_(other)
    backward(model, whole_numbers(5, 64))

    assert torch.equal(other.pattern, model.weight.grad.pattern)


def test_a_parameter_with_a_hook_is_freed():
    """No circle of references outlives it."""
    weight = sparse_parameter(sparse("csr:0.9", 48, 64))
    F.linear(whole_numbers(2, 64), weight).sum().backward()
    values = weakref.ref(weight.sparse.values)
    del weight
    gc.collect()

    assert values() is None


def test_functional_calls():
    """torch.func.functional_call and the gradient of it with respect to a given weight."""
    model = layer("nmg:2:8:8")
    other = sparse_parameter(sparse("csr:0.9", 48, 64, seed=3))
    x = whole_numbers(5, 64)
    expected = F.linear(x, other.detach().to_dense(), model.bias)
    actual = torch.func.functional_call(model, {"weight": other}, (x,))
    actual.sum().backward()

    assert same(expected, actual)
    assert isinstance(other.grad, SparseTensor)
    assert model.weight.grad is None


def test_the_derivative_is_that_of_differences():
    """torch's gradcheck in float64, over the values that are stored."""
    w = sparse("nmg:2:8:8", 16, 16, dtype=torch.float64)
    x = whole_numbers(3, 16, dtype=torch.float64).requires_grad_()

    def call(values, x):
        return torch.tanh(F.linear(x, w.like(values)))

    assert torch.autograd.gradcheck(call, (w.to_dense().requires_grad_(), x))
