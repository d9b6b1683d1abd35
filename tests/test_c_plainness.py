"""torch.compile(model, backend="sparseref_c") of what C cannot read, and of graphs in which nothing may be moved."""

import pytest
import torch
from sparseref_c import compiling, library
from sparseref_torch import SparsityBuilder, sparsify, use_backend
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def anew():
    torch._dynamo.reset()
    torch.manual_seed(0)


def sparse(model, kind=nn.Linear):
    return SparsityBuilder().set_weight("*weight", module=kind, format="nmg:2:4:2").get_sparse_model(model).eval()


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(24, 24)

    def forward(self, x, h):
        return functional.relu(self.linear(x)) + h


def agree(model, *given, rounds=3):
    """rounds: what is planned is looked at, too."""
    compiled = torch.compile(model, backend="sparseref_c")
    with torch.no_grad():
        with use_backend("torch"):
            expected = model(*given)
        for _ in range(rounds):
            torch.testing.assert_close(expected, compiled(*given))


@pytest.mark.parametrize("which", ["x", "residual", "bias"])
def test_sparse_tensors_beside_a_sparse_weight(which):
    model, (x, h) = sparse(Residual()), torch.randn(2, 40, 24)
    if which == "x":
        x = sparsify(x, "csr:0.5")
    elif which == "residual":
        h = sparsify(h, "csr:0.5")
    else:
        model.linear.bias = nn.Parameter(sparsify(model.linear.bias.detach() + 1, "masked:0.5"))

    agree(model, x, h)


def test_under_fake_tensors_a_compiled_linear_has_a_shape():
    from sparseref_c.steps import linears
    from torch._subclasses.fake_tensor import FakeTensorMode

    model = sparse(Residual())
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        x = mode.from_tensor(torch.randn(40, 24))
        found = linears(x, (model.linear.weight, model.linear.bias, "relu", None, None))

    assert found[0].shape == (40, 24)


@pytest.mark.filterwarnings("ignore")                                   # torch traces what lies below a compiled function then
def test_vmap_and_jacobians_go_through_a_compiled_linear():
    model, (x, h) = sparse(Residual()), torch.randn(2, 7, 5, 24)
    compiled = torch.compile(model, backend="sparseref_c")
    with torch.no_grad():
        compiled(x, h)
        torch.testing.assert_close(model(x, h), torch.vmap(compiled)(x, h))
    torch.testing.assert_close(torch.func.jacrev(model)(x[0], h[0]), torch.func.jacrev(compiled)(x[0], h[0]))


@pytest.mark.filterwarnings("ignore::FutureWarning")                    # of torch's own torch.jit
def test_forward_mode_keeps_its_tangents():
    """Also after a plan was made without them, and without a graph of gradients."""
    model, (x, h, tangent) = sparse(Residual()), torch.randn(3, 40, 24)
    compiled = torch.compile(model, backend="sparseref_c")
    found = []
    with torch.no_grad():
        for _ in range(3):
            compiled(x, h)
        for run in (model, compiled):
            with forward_ad.dual_level():
                found.append(forward_ad.unpack_dual(run(forward_ad.make_dual(x, tangent), h)).tangent)

    torch.testing.assert_close(*found)


class Between(nn.Module):
    """One x for two linears, changed between them."""

    def __init__(self, change):
        super().__init__()
        self.one, self.two, self.change = nn.Linear(24, 24), nn.Linear(24, 24), change

    def forward(self, x):
        h = x * 1
        y = self.one(h)
        self.change(h)
        return y, self.two(h)


@torch.library.custom_op("sparseref_tests::negate", mutates_args={"x"})
def negate(x: torch.Tensor) -> None:
    x.neg_()


CHANGES = {
    "relu by position": lambda h: functional.relu(h, True), "leaky by position": lambda h: functional.leaky_relu(h, 0.1, True),
    "silu by position": lambda h: functional.silu(h, True), "celu by position": lambda h: functional.celu(h, 1.0, True),
    "relu6 by name": lambda h: functional.relu6(h, inplace=True), "dropout": lambda h: functional.dropout(h, 1.0, True, True),
    "__iadd__": lambda h: h.__iadd__(1), "__imul__": lambda h: h.__imul__(2), "__setitem__": lambda h: h.__setitem__(0, 0),
    "aten": lambda h: torch.ops.aten.add_.Tensor(h, 1), "out": lambda h: torch.neg(h, out=h), "custom": lambda h: negate(h),
    "method of the class": lambda h: torch.Tensor.add_(h, 1), "each of a list": lambda h: torch._foreach_neg_([h]),
    "instance_norm": lambda h: functional.instance_norm(h[None], h[:, 0], h[:, 1].exp()),
    "torch.batch_norm": lambda h: torch.batch_norm(h.T, None, None, h[:, 0], h[:, 1].exp(), True, 0.1, 1e-5, False),
    "torch.instance_norm": lambda h: torch.instance_norm(h[None], None, None, h[:, 0], h[:, 1].exp(), True, 0.1, 1e-5, False),
    "embedding": lambda h: functional.embedding(torch.arange(3), h, max_norm=0.1),
    **{kind.__name__: kind(inplace=True)
       for kind in (nn.ReLU6, nn.ELU, nn.SELU, nn.LeakyReLU, nn.Hardswish, nn.Hardsigmoid, nn.Mish)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_linear_moves_across_a_change_of_what_it_reads(change):
    agree(sparse(Between(CHANGES[change])), torch.randn(40, 24))


class BetweenConvolutions(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.conv, self.norm, self.change = nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), change

    def forward(self, x):
        h = x * 1
        y = self.conv(h)
        z = self.change(y)
        return functional.relu(self.norm(y)), z


@pytest.mark.parametrize("change", ["relu by position", "__imul__", "LeakyReLU", "custom"])
def test_no_norm_moves_across_a_change_of_what_it_reads(change):
    agree(sparse(BetweenConvolutions(CHANGES[change]), nn.Conv2d), torch.randn(2, 4, 9, 9))


@pytest.mark.parametrize("pure", [lambda h: h.view(-1).sum(), lambda h: functional.relu(h), lambda h: functional.softmax(h, -1),
                                  lambda h: h.__add__(1), torch.exp, lambda h: functional.dropout(h, 0.5, False),
                                  lambda h: torch._C._log_api_usage_once("here"), lambda h: functional.instance_norm(h[None])])
def test_what_changes_nothing_keeps_no_linear_from_another(pure, monkeypatch):
    from sparseref_c.torch_kernel import CKernel

    seen, real = [], CKernel.products
    monkeypatch.setattr(CKernel, "products", lambda self, x, steps: seen.append(len(steps)) or real(self, x, steps))
    model = sparse(Between(pure))
    with torch.no_grad():
        torch.compile(model, backend="sparseref_c")(torch.randn(40, 24))

    assert seen == [2]


class InTurns(nn.Module):
    """Two convolutions begin before either ends."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3)

    def forward(self, x):
        one, two = self.one(x), self.two(x)
        return functional.relu(one), functional.relu(two)


def test_what_was_fused_before_keeps_nothing_from_being_fused(monkeypatch):
    from sparseref_c.torch_kernel import CKernel

    activations, real = [], CKernel.convolve
    monkeypatch.setattr(CKernel, "convolve", lambda self, *given: activations.append(given[8]) or real(self, *given))
    model = sparse(InTurns(), nn.Conv2d)
    with torch.no_grad():
        torch.compile(model, backend="sparseref_c")(torch.randn(1, 4, 9, 9))

    assert activations == ["relu", "relu"]
