"""Intermediates: outputs of modules and nodes of traced models, stored, used and trained through."""

import pickle
from collections import namedtuple
from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from sparseref_torch import SparseTensor, SparsityBuilder, explain, sparsified_op, sparsify, strict
from sparseref_torch.builder.store import StoreAs, store
from torch import Tensor, nn
from torch.nn import functional

import sparseref as sr


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def network():
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))


@pytest.mark.parametrize("shape", [(4, 8), (2, 3, 8), (2, 3, 4, 4)], ids=str)
@pytest.mark.parametrize("grad_form", [None, "dense", "same", "csr:0.9"])
def test_a_stored_result_passes_gradients_to_the_kept_entries(shape, grad_form):
    """Tokens [B, T, K] are a matrix [B*T, K]; the gradient is stored as is asked, zero off the pattern."""
    x = torch.randn(shape, requires_grad=True)
    seen = []
    y = x * 1
    y.register_hook(seen.append)
    result = store(y, "csr:0.75", grad_form)
    factor = torch.randn(shape)
    (result.to_dense() * factor).sum().backward()
    kept = factor * result.pattern
    expected = kept if grad_form != "csr:0.9" else torch.from_numpy(
        sr.decode(sr.sparsify(sr.sparsify(kept.reshape(result.matrix).numpy(), "csr"), "csr:0.9"))).reshape(shape)

    assert result.matrix == ((6, 8) if len(shape) == 3 else (2, 48) if len(shape) == 4 else shape)
    assert isinstance(seen[0], SparseTensor) == (grad_form in ("same", "csr:0.9"))
    assert torch.equal(expected, seen[0].to_dense())
    assert torch.equal(expected, x.grad.to_dense())


def test_the_next_layer_computes_with_the_sparse_activation():
    """Integer values, so that sums are exact; nothing falls back."""
    model = network()
    for parameter in model.parameters():
        parameter.data.mul_(30).round_()
    x = torch.randint(-4, 5, (6, 16)).float()
    sparse = SparsityBuilder().set_interm("1", format="csr:0.75").get_sparse_model(model)
    hidden = model[:2](x)
    kept = torch.from_numpy(sr.decode(sr.sparsify(hidden.detach().numpy(), "csr:0.75")))
    with strict():
        actual = sparse(x)
        actual.sum().backward()
    records = explain(sparse, x)
    grad_out = torch.ones(6, 8)

    assert torch.equal(model[2](kept), actual)
    assert [(record.module, record.kind) for record in records] == [("2", "exact")]
    assert torch.equal(grad_out.T @ kept, sparse[2].weight.grad)
    assert torch.equal(((grad_out @ model[2].weight) * (kept != 0)).T @ x, sparse[0].weight.grad)


@pytest.mark.parametrize("form", ["same", "csr:0.9"])
def test_the_gradient_of_an_intermediate_has_its_own_format(form):
    """The layer before computes with it; integer values, so that sums are exact."""
    model = network()
    for parameter in model.parameters():
        parameter.data.mul_(30).round_()
    builder = SparsityBuilder().set_interm("1", format="csr:0.5").set_interm_grad("1", format=form)
    sparse, seen = builder.get_sparse_model(model), []
    sparse[0].register_forward_hook(lambda module, inputs, output: output.register_hook(seen.append) and None)
    x = torch.randint(-4, 5, (4, 16)).float()
    with strict():
        sparse(x).sum().backward()
    kept = sr.sparsify(model[:2](x).detach().numpy(), "csr:0.5")
    grad = sr.encode((torch.ones(4, 8) @ model[2].weight).detach().numpy(), "csr", kept.pattern)
    expected = sr.decode(grad if form == "same" else sr.sparsify(grad, form)) * (model[0](x) > 0).numpy()

    assert isinstance(seen[0], SparseTensor)
    assert torch.equal(torch.from_numpy(expected), seen[0].to_dense())
    assert torch.equal(seen[0].to_dense().sum(0), sparse[0].bias.grad)


def test_a_gradient_alone_leaves_the_forward_pass_as_it_is():
    model = network()
    sparse = SparsityBuilder().set_interm_grad("1", format="csr:0.9").get_sparse_model(model)
    x = torch.randn(4, 16)
    sparse(x).sum().backward()
    expected = sr.sparsify((torch.ones(4, 8) @ model[2].weight).detach().numpy(), "csr:0.9")

    assert torch.equal(model(x), sparse(x))
    assert torch.equal((torch.from_numpy(sr.decode(expected)) * (model[0](x) > 0)).sum(0), sparse[0].bias.grad)


Pair = namedtuple("Pair", "first second")


@dataclass
class Record:
    mask: Tensor | None
    hidden: Tensor


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.inner = Inner(make)

    def forward(self, x):
        return self.inner(x)


class Inner(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


def as_model_output(x):
    from transformers.modeling_outputs import BaseModelOutput

    return BaseModelOutput(last_hidden_state=x, hidden_states=(x,))


OUTPUTS = [
    (lambda x: x, None, lambda out: out), (lambda x: x, 0, lambda out: out),
    (lambda x: (None, x), None, lambda out: out[1]), (lambda x: (x, 2 * x), 1, lambda out: out[1]),
    (lambda x: (x, 2 * x), -1, lambda out: out[1]), (lambda x: [x, 3], 0, lambda out: out[0]),
    (lambda x: Pair(x, x), 1, lambda out: out.second), (lambda x: {"a": 1, "b": x}, "b", lambda out: out["b"]),
    (lambda x: {"a": 1, "b": x}, None, lambda out: out["b"]), (lambda x: Record(None, x), None, lambda out: out.hidden),
    (lambda x: Record(x, x), "hidden", lambda out: out.hidden),
    (as_model_output, None, lambda out: out.last_hidden_state), (as_model_output, "last_hidden_state", lambda out: out[0]),
]


@pytest.mark.parametrize(("make", "element", "read"), OUTPUTS)
def test_an_element_of_any_output_can_be_stored(make, element, read):
    """Tuples, named ones too, lists, dicts, dataclasses, Hugging Face's outputs; the type stays."""
    model = SparsityBuilder().set_interm("inner", output=element, format="csr:0.5").sparsify_model_inplace(Returns(make))
    x = torch.randn(4, 8)
    output = model(x)

    assert type(output) is (SparseTensor if isinstance(make(x), Tensor) else type(make(x)))
    assert isinstance(read(output), SparseTensor)
    assert len([item for item in (output if isinstance(output, list | tuple) else ()) if isinstance(item, SparseTensor)]) <= 1


@pytest.mark.parametrize(("make", "element"), [
    (lambda x: (x, x), 2), (lambda x: x, 1), (lambda x: {"a": x}, "b"), (lambda x: (1, x), 0), (lambda x: None, None)])
def test_an_element_that_is_no_tensor_is_refused(make, element):
    model = SparsityBuilder().set_interm("inner", output=element, format="csr:0.5").sparsify_model_inplace(Returns(make))
    with pytest.raises(sr.SpecError, match="BUILD-4"):
        model(torch.randn(4, 8))


def test_a_later_rule_for_an_intermediate_wins_and_a_second_builder_replaces_it():
    builder = SparsityBuilder().set_interm("*", format="csr:0.5").set_interm("1", format="nmg:1:4:2")
    model = builder.sparsify_model_inplace(network())
    builder.sparsify_model_inplace(model)

    assert all(len(module._forward_hooks) == 1 for module in model)
    assert str(model[1](torch.randn(8, 32)).descriptor) == "nmg:1:4:2"
    assert str(model[0](torch.randn(8, 16)).descriptor) == "csr"


def test_a_model_with_stored_intermediates_can_be_copied_and_pickled():
    model = SparsityBuilder().set_interm("1", format="csr:0.5").get_sparse_model(network())
    x = torch.randn(3, 16)
    for other in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(model(x), other(x))
        assert isinstance(other[1](x), SparseTensor)


class Traceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 32)
        self.head = nn.Linear(32, 8)
        self.scale = nn.Parameter(torch.ones(32, 32))

    def forward(self, x):
        hidden = functional.relu(self.fc(x))
        return self.head(hidden @ self.scale) + self.head(hidden)


class Holds(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = Traceable()
        self.last = nn.ReLU()

    def forward(self, x):
        return self.last(self.body(x)) if float(x.sum()) == float(x.sum()) else x


def test_a_node_of_the_traced_model_is_stored():
    """Wherever it is used; the weights are the sparse ones of the model."""
    builder = SparsityBuilder().set_weight("scale", format="csr:0.5").set_interm(node="relu", format="csr:0.75")
    model = Traceable()
    sparse = builder.get_sparse_model(model)
    x = torch.randn(4, 16)
    kept = store(functional.relu(model.fc(x)), "csr:0.75").to_dense()
    with strict():
        actual = sparse(x)
        actual.sum().backward()

    assert isinstance(sparse, torch.fx.GraphModule)
    assert isinstance(sparse.scale, SparseTensor)
    assert isinstance(sparse.store_relu, StoreAs)
    assert sparse.fc.weight.grad.shape == (32, 16)
    torch.testing.assert_close(model.head(kept @ sparse.scale.to_dense()) + model.head(kept), actual)


def test_nodes_of_a_submodule_are_stored_in_place():
    """The rest of the model need not be traceable."""
    model = Holds()
    SparsityBuilder().set_interm("body", node="relu", format="csr:0.75").set_interm("last", format="csr").set_interm_grad(
        "body", node="rel*", format="same").sparsify_model_inplace(model)
    x = torch.randn(4, 16)
    output = model(x)
    output.to_dense().sum().backward()

    assert isinstance(model.body, torch.fx.GraphModule)
    assert isinstance(output, SparseTensor)
    assert model.body.fc.weight.grad is not None


@pytest.mark.parametrize(("call", "words"), [
    (lambda: SparsityBuilder().set_interm(node="rleu", format="csr").get_sparse_model(Traceable()), ["relu", "head_1"]),
    (lambda: SparsityBuilder().set_interm(node="relu", format="csr").get_sparse_model(Holds()), ["cannot trace", "body"]),
    (lambda: SparsityBuilder().set_interm(node="relu", format="csr").sparsify_model_inplace(Traceable()), ["get_sparse_model"]),
])
def test_what_cannot_be_traced_or_is_no_node_is_refused(call, words):
    with pytest.raises(sr.SpecError, match="BUILD-5") as refusal:
        call()

    assert all(word in str(refusal.value) for word in words)


@pytest.mark.parametrize("call", [
    lambda: SparsityBuilder().set_interm(format="csr"),
    lambda: SparsityBuilder().set_interm("a", node="b", output=0, format="csr"),
])
def test_a_rule_says_which_intermediate(call):
    with pytest.raises(sr.SpecError, match="BUILD-2"):
        call()


def test_a_node_that_is_no_tensor_is_refused():
    class Sizes(nn.Module):
        def forward(self, x):
            return x.size(0) * x

    model = SparsityBuilder().set_interm(node="size", format="csr").get_sparse_model(Sizes())
    with pytest.raises(sr.SpecError, match="BUILD-4"):
        model(torch.ones(2, 2))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", ["csr:0.5", "nmg:2:4:2"])
def test_a_sparse_gradient_is_summed_over_a_side(form, turned):
    """As the gradient of a bias is."""
    a = sparsify(torch.randint(-9, 9, (8, 16)).float(), form, turned=turned)
    for side in (0, 1, -1):
        with strict():
            assert torch.equal(a.to_dense().sum(side), a.sum(side))
            assert torch.equal(a.to_dense().sum(side, keepdim=True), a.sum(side, keepdim=True))


def test_sparsified_op_stores_what_an_operator_gives():
    """STen's direct way: any function, its results in the formats given."""
    product = sparsified_op(torch.matmul, "csr:0.75", "same")
    a, b = torch.randn(4, 8, requires_grad=True), torch.randn(8, 8, requires_grad=True)
    c = product(a, b)
    expected = sr.sparsify((a @ b).detach().numpy(), "csr:0.75")
    c.to_dense().sum().backward()

    assert torch.equal(torch.from_numpy(sr.decode(expected)), c.to_dense())
    torch.testing.assert_close(c.pattern.float() @ b.T, a.grad)


def test_sparsified_op_takes_a_format_for_each_result():
    split = sparsified_op(torch.chunk, ["csr:0.5", None])
    one, two = split(torch.randn(4, 8), 2)

    assert isinstance(one, SparseTensor)
    assert type(two) is Tensor
    with pytest.raises(sr.SpecError, match="BUILD-3"):
        split(torch.randn(4, 9), 4)
