"""Linears of a compiled model that come twice: planned then, and as written whatever changes in between."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from sparseref_c import compiling, library
from sparseref_torch import SparsityBuilder, use_backend
from torch import nn
from torch.nn import functional

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

from sparseref_c.torch_kernel import CKernel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Layer(nn.Module):
    """Three linears of one x, one with a residual, a block of two."""

    def __init__(self):
        super().__init__()
        self.three = nn.ModuleList(nn.Linear(24, 24, bias=number < 2) for number in range(3))
        self.out, self.up, self.down = nn.Linear(24, 24), nn.Linear(24, 48), nn.Linear(48, 24)

    def forward(self, x):
        q, k, v = (one(x) for one in self.three)
        y = self.out(q * k + v) + x
        return self.down(functional.gelu(self.up(y))) + y


@pytest.fixture
def asked(monkeypatch):
    """How many steps each call of C has that was not planned."""
    seen, real = [], CKernel.products
    monkeypatch.setattr(CKernel, "products", lambda self, x, steps: seen.append(len(steps)) or real(self, x, steps))
    torch._dynamo.reset()
    return seen


@pytest.fixture
def model():
    return sparse()


def sparse():
    torch.manual_seed(0)
    return SparsityBuilder().set_weight("*.weight", module=nn.Linear, format="nmg:2:4:2").get_sparse_model(Layer()).eval()


def no_grad(model, x):
    """Whether gradients are wanted is each thread's own."""
    with torch.no_grad():
        return model(x)


def agree(model, compiled, x):
    with use_backend("torch"):
        expected = no_grad(model, x)
    torch.testing.assert_close(expected, no_grad(compiled, x), equal_nan=True)


@pytest.mark.parametrize("shape", [(1, 24), (50, 24), (2, 40, 24)])
def test_only_the_first_two_of_a_form_ask_what_to_do(asked, model, shape):
    compiled, x = torch.compile(model, backend="sparseref_c", dynamic=False), torch.randn(shape)
    agree(model, compiled, x)
    assert asked[:2] == [2, 1]                                 # the third one's sum is a residual
    once = len(asked)
    agree(model, compiled, x)
    first = list(asked)
    assert len(first) == 2 * once

    agree(model, compiled, 2 * x)
    assert torch.equal(no_grad(compiled, x), no_grad(compiled, x))
    assert asked == first

    agree(model, compiled, torch.cat(6 * [x]))
    assert len(asked) > len(first)
    agree(model, compiled, x)
    infinite = x.clone()
    infinite.view(-1)[5] = torch.inf
    agree(model, compiled, infinite)


def test_what_changes_counts(asked, model):
    compiled, x = torch.compile(model, backend="sparseref_c"), torch.randn(50, 24)
    with torch.no_grad():
        for change in (lambda: model.out.weight.mul_(2), lambda: model.three[1].weight.data.mul_(2),
                       lambda: model.up.bias.add_(1), lambda: model.down.bias.data.mul_(3), lambda: model.down.weight.mul_(-1),
                       lambda: model.up.weight.set_sparse_(model.up.weight.with_values(2 * model.up.weight.sparse.values)),
                       lambda: setattr(model.out.bias, "data", torch.ones(24)),
                       lambda: setattr(model.down, "bias", nn.Parameter(torch.ones(24)))):
            for _ in range(3):
                agree(model, compiled, x)
            change()
            agree(model, compiled, x)


def test_another_backend_gradients_and_autocast_are_heard(asked, model):
    compiled, x = torch.compile(model, backend="sparseref_c"), torch.randn(50, 24)
    for _ in range(2):
        agree(model, compiled, x)
    first = list(asked)
    with use_backend("torch"):
        no_grad(compiled, x)
    assert asked == first

    compiled(x).sum().backward()
    assert model.three[0].weight.grad is not None
    with torch.autocast("cpu", torch.bfloat16):
        assert no_grad(compiled, x).dtype == no_grad(model, x).dtype


def test_x_in_strides_is_decided_each_time(asked, model):
    compiled, x = torch.compile(model, backend="sparseref_c"), torch.randn(24, 50).T
    for _ in range(2):
        agree(model, compiled, x)


def test_memory_that_a_bias_left_is_not_read(asked, model):
    """Its numbers stay, in another place; the old one is soon another tensor's."""
    compiled, x = torch.compile(model, backend="sparseref_c"), torch.randn(50, 24)
    for _ in range(3):
        agree(model, compiled, x)
    for bias in (model.out.bias, model.up.bias, model.three[0].bias):
        bias.data = bias.data.clone()
    kept = [torch.full((24,), torch.nan) for _ in range(100)]
    agree(model, compiled, x)
    assert len(kept) == 100


def test_a_model_is_freed_with_its_plans(asked):
    compiled, x = torch.compile(sparse(), backend="sparseref_c"), torch.randn(50, 24)
    for _ in range(3):
        no_grad(compiled, x)
    weights = [weakref.ref(parameter) for parameter in compiled.parameters()]
    del compiled
    torch._dynamo.reset()
    gc.collect()

    assert not any(weight() is not None for weight in weights)


def negated(tensor):
    """The same numbers, of which torch keeps the opposite and remembers that."""
    return torch._neg_view(-tensor)


def test_a_sign_that_torch_only_remembers_is_read(asked, model):
    """As the imaginary part of a conjugate has one."""
    compiled, x = torch.compile(model, backend="sparseref_c"), torch.randn(50, 24)
    for one in (x, x, x, negated(x), negated(x), negated(x), torch.randn(50, 24, dtype=torch.complex64).conj().imag):
        agree(model, compiled, one)
        agree(model, model, one)
    model.out.bias.data, model.up.bias.data = negated(torch.ones(24)), negated(torch.ones(48))
    for _ in range(4):
        agree(model, compiled, x)
    image = torch.randn(1, 4, 6, 6)
    builder = SparsityBuilder().set_weight("*.weight", format="nmg:2:4:2")
    convolution = builder.get_sparse_model(nn.Sequential(nn.Conv2d(4, 8, 3)))
    agree(convolution, convolution, negated(image))
    agree(convolution, torch.compile(convolution, backend="sparseref_c"), negated(image))


@pytest.mark.parametrize("convert", [nn.Module.double, nn.Module.half, nn.Module.share_memory, lambda model: model.to("cpu")])
def test_a_model_can_be_converted_after_its_calls(asked, model, convert):
    """Torch refuses to where there are weak references to a weight."""
    one = SparsityBuilder().set_weight("*.weight", format="nmg:2:4:2").get_sparse_model(nn.Sequential(nn.Conv2d(4, 8, 3),
                                                                                                     nn.BatchNorm2d(8))).eval()
    for each, x in ((model, torch.randn(50, 24)), (one, torch.randn(1, 4, 6, 6))):
        compiled = torch.compile(each, backend="sparseref_c")
        for _ in range(3):
            no_grad(compiled, x)
        convert(each)
        if next(each.parameters()).dtype != torch.half:
            agree(each, compiled, x.to(next(each.parameters()).dtype))


def test_a_view_has_the_same_fields_and_is_another_weight(asked):
    builder = SparsityBuilder().set_weight("*.weight", format="nmg:2:4:2")
    square = builder.get_sparse_model(nn.Sequential(nn.Linear(24, 24)))
    compiled, x = torch.compile(square, backend="sparseref_c"), torch.randn(50, 24)
    for _ in range(3):
        agree(square, compiled, x)
    square[0].weight.data = square[0].weight.data.t()
    for _ in range(3):
        agree(square, compiled, x)
    flat = builder.get_sparse_model(nn.Sequential(nn.Conv2d(4, 8, (1, 3)), nn.ReLU()))
    compiled, x = torch.compile(flat, backend="sparseref_c"), torch.randn(1, 4, 8, 8)
    for _ in range(3):
        agree(flat, compiled, x)
    flat[0].weight.data = flat[0].weight.data.view(8, 4, 3, 1)
    torch._dynamo.reset()
    agree(flat, torch.compile(flat, backend="sparseref_c"), x)


def test_several_threads_share_a_plan(model):
    torch._dynamo.reset()
    compiled, x = torch.compile(model, backend="sparseref_c"), torch.randn(50, 24)
    no_grad(compiled, x)
    expected = [no_grad(compiled, scale * x) for scale in (1, 2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: no_grad(compiled, (1 + number % 2) * x), range(40)))

    assert all(torch.equal(expected[number % 2], y) for number, y in enumerate(found))


@pytest.mark.parametrize("name", ["three.0", "three.1", "up", "down"])
def test_a_weight_that_is_shared_after_it_was_planned_is_read_anew(model, name):
    """Another process writes without a new version; not only into the weight by which the plan is kept."""
    compiled, x = torch.compile(model, backend="sparseref_c"), torch.randn(50, 24)
    for _ in range(3):
        no_grad(compiled, x)
    weight = model.get_submodule(name).weight
    weight.share_memory_()
    weight.sparse.values.numpy()[:] *= 2

    agree(model, compiled, x)
