"""torch.compile and torch.export: one graph, no break, no new graph after a step, the numbers of the eager model."""

import shutil

import pytest
import torch
import torch._dynamo.testing
from sparse_cases import ALL_FORMS, Bitmap, dense_twin, form_id, layer, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, sparse_parameter
from torch import nn, optim

import sparseref as sr

BACKENDS = ["eager", "aot_eager", pytest.param("inductor", marks=[pytest.mark.slow, pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="inductor needs a C++ compiler")])]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::DeprecationWarning:copyreg")


@pytest.fixture(autouse=True)
def _fresh():
    """No graph of another test; the user's layout is registered, because a graph names it."""
    torch._dynamo.reset()
    sr.registry.layouts.add(Bitmap)
    yield
    sr.registry.layouts.remove("bitmap")
    torch._dynamo.reset()


def network(form="nmg:2:8:8"):
    return nn.Sequential(layer(form), nn.ReLU(), layer(form, 48, 16))


@pytest.mark.parametrize(("form", "backend"), [*((form, "aot_eager") for form in ALL_FORMS), ("csr:0.9", "eager"),
                                               pytest.param("nmg:2:8:8", "inductor", marks=BACKENDS[-1].marks)], ids=form_id)
def test_a_sparse_linear_is_one_graph(form, backend):
    """Forward and backward, as eager; a step compiles nothing anew."""
    model, x = network(form), whole_numbers(5, 64, most=1)
    counter = torch._dynamo.testing.CompileCounterWithBackend(backend)
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        expected = model(x)
        expected.sum().backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        optimizer.zero_grad()
        actual = compiled(x)
        actual.sum().backward()

        assert same(expected, actual)
        assert all(same(gradient, parameter.grad) for gradient, parameter in zip(gradients, model.parameters(), strict=True))
        assert isinstance(model[0].weight.grad, SparseTensor)
        optimizer.step()
    assert counter.frame_count == 1


def test_no_graph_breaks():
    """As torch._dynamo.explain counts them."""
    model = nn.Sequential(network(), nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 8, 3))
    model[2].weight = sparse_parameter(sparse("csr:0.5", 8, 1, 3, 3))
    actual = torch._dynamo.explain(model)(whole_numbers(5, 64))

    assert actual.graph_break_count == 0
    assert actual.graph_count == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_convolution_is_one_graph(backend):
    """Forward and backward."""
    model = nn.Conv2d(8, 16, 3, padding=1, stride=2)
    model.weight, model.bias.data = sparse_parameter(sparse("nmg:2:8:8", 16, 8, 3, 3)), whole_numbers(16)
    x = whole_numbers(2, 8, 9, 9, most=1)
    expected = model(x)
    expected.sum().backward()
    gradient, model.weight.grad = model.weight.grad, None
    actual = torch.compile(model, fullgraph=True, backend=backend)(x)
    actual.sum().backward()

    assert same(expected, actual)
    assert same(gradient, model.weight.grad)


@pytest.mark.parametrize("backend", ["aot_eager"])
def test_the_batch_is_dynamic(backend):
    """One graph for every size of the batch."""
    model = network()
    counter = torch._dynamo.testing.CompileCounterWithBackend(backend)
    compiled = torch.compile(model, fullgraph=True, backend=counter, dynamic=True)
    for batch in (2, 3, 7, 16):
        x = whole_numbers(batch, 64)
        assert same(model(x), compiled(x))
    assert counter.frame_count == 1


def test_no_grad_and_inference_mode():
    """Each has a graph of its own."""
    model, x = network(), whole_numbers(5, 64)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    expected = model(x)
    with torch.no_grad():
        assert same(expected, compiled(x))
    with torch.inference_mode():
        assert same(expected, compiled(x))


def test_a_new_pattern_is_seen():
    """After set_sparse_ and load_state_dict the compiled model computes with what is stored now."""
    model, x = network("csr:0.9"), whole_numbers(5, 64)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    compiled(x)
    for other in (sparse("csr:0.9", 48, 64, seed=5), sparse("csr:0.5", 48, 64, seed=6), sparse("masked:0.5", 48, 64)):
        model[0].weight.set_sparse_(other)
        assert same(model(x), compiled(x))


@pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning")
def test_elementwise_operators_compile():
    """What stays sparse and what becomes dense; two patterns are not compared while a graph is traced, their sum is dense."""
    w, other = sparse("csr:0.5", 8, 16), sparse("csr:0.7", 8, 16, seed=3)

    def call(w, other):
        t = (w * 2 - w / 4).abs()
        return t, t + other, (t @ other.to_dense().T).relu(), torch.zeros_like(t)

    expected = call(w, other)
    actual = torch.compile(call, fullgraph=True, backend="aot_eager")(w, other)

    assert all(same(*pair) for pair in zip(expected, actual, strict=True))
    assert isinstance(actual[0], SparseTensor)


@pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning")
def test_a_part_of_a_weight_compiles():
    """Read and written."""
    x = whole_numbers(5, 16)

    def read(w, x):
        return nn.functional.linear(x, w[2:6]) + w[0].sum()

    w = sparse("csr:0.5", 8, 16)
    assert same(read(w, x), torch.compile(read, fullgraph=True, backend="aot_eager")(w, x))


def test_a_dense_copy_is_exported():
    """torch.export of the model with decoded weights."""
    model, x = network(), whole_numbers(5, 64)
    program = torch.export.export(dense_twin(model), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    expected = model(whole_numbers(9, 64))
    actual = program.module()(whole_numbers(9, 64))

    assert same(expected, actual)


def test_a_sparse_model_is_exported():
    """As it is: the graph holds the contraction as one node."""
    model, x = network(), whole_numbers(5, 64)
    program = torch.export.export(model.eval(), (x,))
    expected = model(x)
    actual = program.module()(x)

    assert same(expected, actual)
