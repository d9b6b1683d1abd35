"""torch.compile(model, backend="sparseref_c"): a convolution with batch norm, residual and relu as one product."""

from collections import Counter
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

from sparseref_c import convolutions
from sparseref_c.convolutions import max_pool
from sparseref_c.torch_kernel import CKernel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Block(nn.Module):
    """As in a ResNet: two convolutions, each normalized, and a residual before the last relu."""

    def __init__(self, stride=1, **window):
        super().__init__()
        self.one, self.two = nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.Conv2d(12, 8, 3, stride, 1, **window)
        self.down = nn.Conv2d(8, 8, 1, stride)
        self.norms = nn.ModuleList(nn.BatchNorm2d(side) for side in (12, 8, 8))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.norms[1](self.two(self.relu(self.norms[0](self.one(x)))))
        out += self.norms[2](self.down(x))
        return self.relu(out)


@pytest.fixture
def calls(monkeypatch):
    """(activation, something is added) of each convolution in C."""
    seen, real = [], CKernel.convolve

    def noted(self, *given):
        activation, added = given[8:] if len(given) > 8 else (None, None)
        seen.append((activation, added is not None))
        return real(self, *given)

    monkeypatch.setattr(CKernel, "convolve", noted)
    torch._dynamo.reset()
    return seen


def sparse(model):
    torch.manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
            for parameter in norm.parameters():                # affine=False has none
                parameter.data.normal_()
            norm.running_var.uniform_(0.5, 2)
    return SparsityBuilder().set_weight("*.weight", module=nn.Conv2d, format="nmg:2:4:1").get_sparse_model(model).eval()


def as_written(model, x):
    with use_backend("torch"), torch.no_grad():
        return model(x)


def agree(model, compiled, x):
    with torch.no_grad():
        torch.testing.assert_close(as_written(model, x), compiled(x), rtol=1e-4, atol=1e-5)    # sums are scaled before or after


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
def test_a_block_becomes_three_products(calls, stride, images):
    model, x = sparse(Block(stride)), torch.randn(images, 8, 9, 7)
    agree(model, torch.compile(model, backend="sparseref_c"), x)

    assert calls == [("relu", False), (None, False), ("relu", True)]


def test_what_changes_is_folded_anew(calls):
    """Weights, running statistics, and the sparse values."""
    model, x = sparse(Block()), torch.randn(2, 8, 9, 7)
    compiled = torch.compile(model, backend="sparseref_c")
    with torch.no_grad():
        for change in (lambda: model.norms[0].running_mean.add_(1), lambda: model.norms[1].weight.mul_(2),
                       lambda: model.norms[2].bias.add_(1), lambda: model.two.bias.add_(1), lambda: model.one.weight.mul_(-1),
                       lambda: model.norms[1].running_var.mul_(3), lambda: model.norms[1].weight.data.mul_(2),
                       lambda: model.norms[0].running_var.data.mul_(2), lambda: model.one.weight.data.mul_(2),
                       lambda: setattr(model.two.bias, "data", torch.ones(8))):
            for _ in range(3):
                agree(model, compiled, x)
            change()
            agree(model, compiled, x)


def test_nothing_is_folded_twice(monkeypatch):
    torch._dynamo.reset()
    model, x = sparse(Block()), torch.randn(1, 8, 9, 7)
    compiled = torch.compile(model, backend="sparseref_c")
    agree(model, compiled, x)
    monkeypatch.setattr(torch, "rsqrt", lambda *given: pytest.fail("folded again"))
    agree(model, compiled, x)


def test_what_comes_twice_is_planned(calls):
    """Of another size, with infinity, of several threads at once: as written; only the first two of a form ask what to do."""
    model = sparse(Block())
    compiled = torch.compile(model, backend="sparseref_c", dynamic=False)
    x = torch.randn(2, 8, 9, 7)
    agree(model, compiled, x)
    agree(model, compiled, x)
    agree(model, compiled, 2 * x)
    assert len(calls) == 6

    agree(model, compiled, torch.randn(2, 8, 6, 5))
    agree(model, compiled, x.transpose(2, 3).contiguous().transpose(2, 3))
    assert len(calls) == 11                                    # the second one's x lies as it did

    for _ in range(3):
        agree(model, compiled, x)
    infinite = x.clone()
    infinite[0, 0, 0, 0] = torch.inf
    with torch.no_grad():
        torch.testing.assert_close(as_written(model, infinite), compiled(infinite), equal_nan=True, rtol=1e-4, atol=1e-5)
        expected, images = compiled(x), [x] * 40
        with ThreadPoolExecutor(4) as pool:
            assert all(torch.equal(expected, y) for y in pool.map(no_grad(compiled), images))


def no_grad(model):
    """Whether gradients are wanted is each thread's own."""
    def run(x):
        with torch.no_grad():
            return model(x)
    return run


def test_a_plan_holds_for_its_backend_and_weight_alone(calls):
    model, x = sparse(Block()), torch.randn(1, 8, 9, 7)
    compiled = torch.compile(model, backend="sparseref_c")
    agree(model, compiled, x)
    agree(model, compiled, x)
    with torch.no_grad(), use_backend("torch"):
        compiled(x)
    assert len(calls) == 6

    with torch.no_grad():
        model.one.weight.set_sparse_(model.one.weight.with_values(2 * model.one.weight.sparse.values))
        agree(model, compiled, x)
    model.one.weight.requires_grad_()
    compiled(x).sum().backward()
    assert model.one.weight.grad is not None


@pytest.mark.parametrize("variance", [0.0, float("inf"), float("nan")])
def test_odd_statistics_are_those_of_the_steps(calls, variance):
    """A channel that was always the same, or overflowed; without epsilon the first divides by 0."""
    model, x = sparse(Block()), torch.randn(1, 8, 9, 7)
    for norm in model.norms:
        norm.running_var[1], norm.eps = variance, 0.0
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)
    torch.testing.assert_close(as_written(model, x), actual, equal_nan=True, rtol=1e-4, atol=1e-5)


def test_in_training_it_runs_as_it_is_written(calls):
    """Batch norm takes its statistics from the images, and changes those that it keeps."""
    model, x, found = sparse(Block()).train(), torch.randn(4, 8, 9, 7), []
    state = {name: tensor.clone() for name, tensor in model.named_buffers()}
    for run in (model, torch.compile(model, backend="sparseref_c")):
        for name, tensor in model.named_buffers():
            tensor.copy_(state[name])
        model.zero_grad()
        run(x).square().sum().backward()
        norms = model.norms
        found.append([model.one.weight.grad.to_dense(), norms[0].running_mean.clone(), norms[1].weight.grad.clone()])

    for expected, actual in zip(*found, strict=True):
        torch.testing.assert_close(expected, actual)


@pytest.mark.filterwarnings("ignore::sparseref.errors.FallbackWarning")
def test_groups_words_for_padding_and_dense_weights_run_as_they_are_written():
    torch._dynamo.reset()
    for model in (Block(padding_mode="circular"),
                  nn.Sequential(nn.Conv2d(8, 8, 3, padding="same", groups=2), nn.BatchNorm2d(8)),
                  nn.Sequential(nn.Conv2d(8, 8, 3, padding="same"), nn.BatchNorm2d(8, affine=False), nn.ReLU())):
        for one in (sparse(model), model.eval()):
            agree(one, torch.compile(one, backend="sparseref_c"), torch.randn(2, 8, 9, 7))


def test_autocast_has_its_dtype():
    torch._dynamo.reset()
    model, x = sparse(nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())), torch.randn(2, 8, 9, 7)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected, actual = model(x), torch.compile(model, backend="sparseref_c")(x)

    assert expected.dtype == actual.dtype == torch.bfloat16
    assert torch.equal(expected, actual)


def test_more_users_keep_what_lies_between(calls):
    """The sums before relu are needed once more."""

    class Twice(Block):
        def forward(self, x):
            y = self.norms[0](self.one(x))
            return functional.relu(y) + y

    model, x = sparse(Twice()), torch.randn(1, 8, 9, 7)
    agree(model, torch.compile(model, backend="sparseref_c"), x)

    assert calls == [(None, False)]


@pytest.mark.parametrize("given", [{}, {"stride": 2, "padding": 1}, {"ceil_mode": True, "dilation": 2},
                                   {"return_indices": True}])
@pytest.mark.parametrize("shape", [(2, 20, 11, 9), (20, 11, 9), (1, 3, 11, 9), (1, 20, 3, 3)])
def test_max_pooling_is_torchs(given, shape):
    """In another order of memory where that is faster: the same numbers, NaN and infinity among them, as they lay."""
    x = torch.randn(shape)
    x.view(-1)[::17], x.view(-1)[::29] = torch.nan, -torch.inf
    if "dilation" in given and shape[-1] == 3:
        given = {}                                             # does not fit
    expected, actual = functional.max_pool2d(x, 3, **given), max_pool(x, 3, **given)

    for one, other in zip(*((y if isinstance(y, tuple) else (y,)) for y in (expected, actual)), strict=True):
        assert other.is_contiguous()
        assert torch.equal(one.nan_to_num(7), other.nan_to_num(7))
        assert torch.equal(one.isnan(), other.isnan())


def test_pooling_with_gradients_runs_as_it_is_written():
    x = torch.randn(1, 20, 8, 8, requires_grad=True)
    max_pool(x, 2).sum().backward()

    assert x.grad.sum() == 20 * 16


def test_pooling_by_name_and_under_vmap():
    torch._dynamo.reset()
    x = torch.randn(3, 2, 16, 9, 9)
    by_name = torch.compile(lambda x: functional.max_pool2d(input=x[0], kernel_size=2), backend="sparseref_c")
    mapped = torch.compile(torch.vmap(lambda x: functional.max_pool2d(x, 2)), backend="sparseref_c")
    with torch.no_grad():
        assert torch.equal(functional.max_pool2d(x[0], 2), by_name(x))
        assert torch.equal(functional.max_pool2d(x.flatten(0, 1), 2), mapped(x).flatten(0, 1))


def test_a_graph_pools_so(monkeypatch):
    seen, real = [], max_pool
    monkeypatch.setattr(convolutions, "max_pool", lambda *given, **named: seen.append(1) or real(*given, **named))
    torch._dynamo.reset()
    with torch.no_grad():
        torch.compile(nn.MaxPool2d(2), backend="sparseref_c")(torch.randn(1, 4, 4, 4))

    assert len(seen) == 1


def test_a_real_resnet(calls):
    """torchvision's, not edited: every convolution is one product."""
    torchvision = pytest.importorskip("torchvision")
    model = sparse(torchvision.models.resnet18(num_classes=5))
    agree(model, torch.compile(model, backend="sparseref_c"), torch.randn(1, 3, 64, 64))

    assert Counter(calls) == {("relu", False): 9, ("relu", True): 8, (None, False): 3}
