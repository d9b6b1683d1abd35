"""torch.compile(model, backend="sparseref_c"): Linear, gelu or relu and a residual as one product, where nothing else needs
what lies between; a block as a chain of them; linears of one x as one call."""

import gc
import weakref

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


class Block(nn.Module):
    """A feed-forward block as in BERT; `act` is applied as a function or a module."""

    def __init__(self, act=functional.gelu):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(24, 48), act, nn.Linear(48, 24)
        self.drop, self.norm = nn.Dropout(), nn.LayerNorm(24)

    def forward(self, x):
        return self.norm(self.drop(self.down(self.act(self.up(x)))) + x)


@pytest.fixture
def calls(monkeypatch):
    """What C is asked for: of each call, of each of its steps (activation, something is added), and what follows it."""
    seen, real = [], CKernel.products

    def told(step):
        return (step.activation, step.added is not None, *(() if step.then is None else told(step.then)))

    def noted(self, x, steps):
        seen.append([told(step) for step in steps])
        return real(self, x, steps)

    monkeypatch.setattr(CKernel, "products", noted)
    torch._dynamo.reset()
    return seen


def sparse(model):
    torch.manual_seed(0)
    return SparsityBuilder().set_weight("*.weight", module=nn.Linear, format="nmg:2:4:2").get_sparse_model(model).eval()


def as_written(model, x):
    with use_backend("torch"), torch.no_grad():
        return model(x)


@pytest.mark.parametrize(("act", "name"), [
    (functional.gelu, "gelu"), (nn.GELU("tanh"), "gelu_tanh"), (nn.ReLU(), "relu"), (torch.relu, "relu"),
    (lambda x: x.relu(), "relu"), (torch.tanh, None)])
def test_a_block_of_few_tokens_becomes_two_products(calls, act, name):
    model, x = sparse(Block(act)), torch.randn(2, 5, 24)
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)

    torch.testing.assert_close(as_written(model, x), actual)
    assert calls == [[(name, False)], [(None, True)]]


@pytest.mark.parametrize("rows", [2, 40])
def test_a_block_of_many_tokens_becomes_one_chain(calls, rows):
    """What lies between is not written to memory: it must fit whatever the second linear adds."""
    model, x = sparse(Block()), torch.randn(rows, 5, 24)
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)

    torch.testing.assert_close(as_written(model, x), actual)
    assert calls == ([[("gelu", False, None, True)]] if rows == 40 else [[("gelu", False)], [(None, True)]])


class Heads(nn.Module):
    """Query, key and value of one x, as in any attention."""

    def __init__(self, between=None):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(24, 24) for _ in range(4))
        self.between = between

    def forward(self, x):
        h = x * 1
        q = self.q(h)
        if self.between is not None:
            self.between(h)
        weights = torch.softmax(q @ functional.relu(self.k(h)).transpose(-1, -2), -1)
        return self.out(weights @ self.v(h))


def test_linears_of_one_x_become_one_call(calls):
    model, x = sparse(Heads()), torch.randn(3, 9, 24)
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)

    torch.testing.assert_close(as_written(model, x), actual)
    assert calls == [[(None, False), ("relu", False), (None, False)], [(None, False)]]


def doubled(h):
    h *= 2


@pytest.mark.parametrize("between", [lambda h: h.add_(1), doubled, lambda h: h.__setitem__(0, 0), lambda h: torch.relu_(h[:1])])
def test_what_changes_x_in_place_stays_between(calls, between):
    """Key and value are of another x than query is."""
    model, x = sparse(Heads(between)), torch.randn(3, 9, 24)
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)

    torch.testing.assert_close(as_written(model, x), actual)
    assert [len(steps) for steps in calls] == [1, 2, 1]


class Into(nn.Module):
    """The residual is changed in place, and another name shows it."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(24, 24)

    def forward(self, x):
        h = x * 1
        seen = h[:1]
        h += self.up(x)
        return seen + h


def test_a_residual_that_is_changed_in_place_is_not_fused(calls):
    model, x = sparse(Into()), torch.randn(4, 24)
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)

    torch.testing.assert_close(as_written(model, x), actual)
    assert calls == [[(None, False)]]


def test_results_are_freed_with_their_last_use():
    """A call that kept its results until garbage is collected would touch new memory each time."""
    weight, x = sparse(Block()).up.weight, torch.randn(40, 24)
    gc.disable()
    try:
        with torch.no_grad():
            gone = weakref.ref(functional.linear(x, weight))
        assert gone() is None
    finally:
        gc.enable()


def test_with_gradients_nothing_is_lost(calls):
    """They are those of the model as it is written."""
    model, found = sparse(Block()), []
    for run in (model, torch.compile(model, backend="sparseref_c")):
        x = torch.linspace(-1, 1, 3 * 24).reshape(3, 24).requires_grad_()
        run(x).square().sum().backward()
        found.append((x.grad, model.up.weight.grad.to_dense(), model.up.bias.grad.clone()))
        model.zero_grad()

    for expected, actual in zip(*found, strict=True):
        torch.testing.assert_close(expected, actual)


class Twice(nn.Module):
    """What the linear gives is needed once more: it cannot be swallowed."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(24, 24)

    def forward(self, x):
        y = self.up(x)
        return functional.gelu(y) * y


class Row(nn.Module):
    """Each linear takes, or adds, what is one with the last: nothing stands between."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(24, 24) for _ in range(4))

    def forward(self, x):
        one = self.layers[0](x) + x
        two = self.layers[1](one) + one
        return self.layers[3](functional.gelu(self.layers[2](two))) + two


def test_a_linear_of_what_another_became(calls):
    model, x = sparse(Row()), torch.randn(40, 24)
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)

    torch.testing.assert_close(as_written(model, x), actual)
    assert calls == [[(None, True)], [(None, True)], [("gelu", False, None, True)]]


class Broadcast(Twice):
    """What is added is not of the same shape."""

    def forward(self, x):
        return self.up(x) + x[:1]


@pytest.mark.parametrize("model", [Twice(), Broadcast()])
def test_what_cannot_be_fused_is_left(calls, model):
    model, x = sparse(model), torch.randn(4, 24)
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(x)

    torch.testing.assert_close(as_written(model, x), actual)
    assert calls == [[(None, False)]]


def test_dropout_stays_in_training(calls):
    model, x = sparse(Block()).train(), torch.randn(4, 24)
    compiled = torch.compile(model, backend="sparseref_c")
    with torch.no_grad():
        torch.manual_seed(1)
        expected = model(x)
        torch.manual_seed(1)
        torch.testing.assert_close(expected, compiled(x))
    assert calls[-2:] == [[("gelu", False)], [(None, False)]]


def test_a_dense_model_and_half_precision_run_as_they_are_written(calls):
    for model, x in ((Block().eval(), torch.randn(4, 24)), (sparse(Block()).bfloat16(), torch.randn(4, 24).bfloat16())):
        with torch.no_grad():
            actual = torch.compile(model, backend="sparseref_c")(x)
            torch.testing.assert_close(model(x), actual)


def test_autocast_has_its_dtype(calls):
    """As the model without a compiler: bfloat16."""
    model, x = sparse(Block()), torch.randn(40, 5, 24)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected, actual = model.up(x), torch.compile(model.up, backend="sparseref_c")(x)

    assert expected.dtype == actual.dtype == torch.bfloat16
    assert torch.equal(expected, actual)


def test_a_real_encoder():
    """BERT of Hugging Face, two layers, not edited."""
    from transformers import BertConfig, BertModel

    torch._dynamo.reset()
    torch.manual_seed(0)
    config = BertConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, vocab_size=50)
    model = SparsityBuilder().set_weight("encoder.layer.*.weight", module=nn.Linear, format="nmg:1:4:2").get_sparse_model(
        BertModel(config).eval()).eval()
    ids = torch.randint(0, 50, (2, 7))
    with torch.no_grad():
        actual = torch.compile(model, backend="sparseref_c")(ids).last_hidden_state
    with use_backend("torch"), torch.no_grad():
        expected = model(ids).last_hidden_state

    torch.testing.assert_close(expected, actual)
