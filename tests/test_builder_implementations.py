"""Registered implementations: which runs, what it gives, its gradients, and that nothing else changes."""

from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import pytest
import torch
from sparseref_torch import (
    SparseTensor,
    SparsityBuilder,
    explain,
    register_bwd_op_impl,
    register_fwd_op_impl,
    register_sparsifier_implementation,
    sparse_parameter,
    sparsified_op,
    sparsify,
    unregister,
)
from sparseref_torch.builder.implementations import registered
from sparseref_torch.tensor.sparse_tensor import IMPLEMENTATIONS
from torch import nn
from torch.nn import functional

import sparseref as sr


@pytest.fixture(autouse=True)
def forgotten():
    torch.manual_seed(0)
    yield
    for function in registered():
        if function.__module__ == __name__:
            unregister(function)


def whole(*shape):
    return torch.randint(-8, 9, shape).float()


def calls(function):
    """The function with a list of what it was called with."""
    def counted(ctx, *operands):
        seen.append(operands)
        return function(ctx, *operands)

    seen = counted.seen = []
    return counted


def slow_linear(ctx, x, w, bias=None):
    product = x @ w.to_dense().T
    return product if bias is None else product + bias


def model_with(form="csr:0.5"):
    model = nn.Linear(16, 8)
    model.weight = sparse_parameter(sparsify(whole(8, 16), form))
    model.bias = nn.Parameter(whole(8))
    return model


@pytest.mark.parametrize(("match", "runs"), [
    ("csr", True), (sr.CSR, True), (sr.CSR(), True), ("csc", False), (sr.NMG, False), ("nmg:2:4:2", False), (None, False)])
def test_a_call_runs_where_the_layouts_match_exactly(match, runs):
    """And is the tensor's own where they do not."""
    function = register_fwd_op_impl(functional.linear, (None, match, None))(calls(slow_linear))
    model, x = model_with(), whole(4, 16)
    expected = x @ model.weight.to_dense().T + model.bias

    assert torch.equal(expected, model(x))
    assert bool(function.seen) == runs


@pytest.mark.parametrize(("match", "runs"), [("nmg", True), (sr.NMG, True), ("nmg:2:4:2", True), ("nmg:2:4:4", False)])
def test_a_descriptor_matches_itself_alone(match, runs):
    function = register_fwd_op_impl(functional.linear, (None, match))(calls(slow_linear))
    model_with("nmg:2:4:2")(whole(4, 16))

    assert bool(function.seen) == runs


def test_a_sparse_operand_that_is_not_named_is_no_match():
    function = register_fwd_op_impl(functional.linear, (None, "csr"))(calls(slow_linear))
    functional.linear(sparsify(whole(4, 16), "csr:0.5"), model_with().weight.detach())

    assert not function.seen


def test_the_newest_of_two_runs_and_what_is_forgotten_does_not():
    one = register_fwd_op_impl(functional.linear, (None, "csr"))(calls(slow_linear))
    two = register_fwd_op_impl(functional.linear, (None, "csr"))(calls(slow_linear))
    model, x = model_with(), whole(4, 16)
    model(x)
    unregister(two)
    model(x)
    unregister(one)
    model(x)

    assert (len(one.seen), len(two.seen)) == (1, 1)
    assert not IMPLEMENTATIONS


def test_an_operator_is_found_by_all_its_names_and_with_keywords():
    """torch.matmul, Tensor.matmul, the @ sign; arguments that are the default are left out."""
    product = register_fwd_op_impl(torch.matmul, ("csr",))(calls(lambda ctx, a, b: a.to_dense() @ b))
    linear = register_fwd_op_impl(functional.linear, (None, "csr"))(calls(slow_linear))
    relu = register_fwd_op_impl(functional.relu, ("csr",), ("csr",))(
        calls(lambda ctx, a: a.with_values(a.sparse.values.relu())))
    a, b = sparsify(whole(8, 16), "csr:0.5"), whole(16, 3)
    expected = a.to_dense() @ b
    for result in (torch.matmul(a, b), a.matmul(b), a @ b, torch.matmul(input=a, other=b)):
        assert torch.equal(expected, result)
    functional.linear(bias=None, weight=a, input=whole(2, 16))
    for result in (functional.relu(a), torch.relu(a), a.relu(), nn.ReLU()(a)):
        assert torch.equal(a.to_dense().relu(), result.to_dense())

    assert (len(product.seen), len(linear.seen), len(relu.seen)) == (4, 1, 4)
    assert len(linear.seen[0]) == 2


def test_without_a_backward_function_the_gradient_is_exact():
    """That of the dense meaning, in the format that the parameter asks for."""
    register_fwd_op_impl(functional.linear, (None, "csr", None))(slow_linear)
    model, x = model_with(), whole(4, 16).requires_grad_()
    model(x).sum().backward()
    grads = x.grad, model.weight.grad, model.bias.grad
    unregister(slow_linear)
    again, y = deepcopy(model), x.detach().clone().requires_grad_()
    again.zero_grad()
    again(y).sum().backward()

    assert isinstance(grads[1], SparseTensor)
    for expected, actual in zip((y.grad, again.weight.grad, again.bias.grad), grads, strict=True):
        assert torch.equal(expected.to_dense(), actual.to_dense())


def halves(ctx, grad):
    x, w = ctx.saved_tensors[:2]
    return grad @ w.to_dense(), w.detach().like(grad.T @ x), grad.sum(0) / 2


@pytest.mark.parametrize("has_forward", [True, False])
def test_a_backward_function_gives_the_gradients(has_forward):
    """With a forward function, which saves what it likes, or after the operator itself, whose operands are saved."""
    def saving(ctx, x, w, bias):
        ctx.save_for_backward(x, w)
        return slow_linear(ctx, x, w, bias)

    if has_forward:
        register_fwd_op_impl(functional.linear, (None, "csr", None))(saving)
    register_bwd_op_impl(functional.linear, (None,), (None, "csr", None), (None, "csr", None))(halves)
    model, x = model_with(), whole(4, 16)
    model(x).sum().backward()

    assert torch.equal((torch.ones(8, 4) @ x) * model.weight.pattern, model.weight.grad.to_dense())
    assert torch.equal(torch.full((8,), 2.0), model.bias.grad)


def test_the_backward_function_that_gives_what_the_operands_want_goes_first():
    model = model_with()
    for name, layout in (("sparse", "csr"), ("dense", None)):
        def function(ctx, grad, name=name):
            chosen.append(name)
            return halves(ctx, grad)

        register_bwd_op_impl(functional.linear, (None,), (None, layout, None), (None, "csr", None))(function)
    chosen = []
    for form in ("same", "dense"):
        model.weight.set_grad_format(form)
        model(whole(4, 16)).sum().backward()
        model.zero_grad()

    assert chosen == ["sparse", "dense"]


def test_a_gradient_in_another_layout_takes_the_dense_meaning():
    """The backward function is for csr gradients; a dense one arrives."""
    register_bwd_op_impl(functional.linear, ("csr",), (None, None, None), (None, "csr", None))(halves)
    model = model_with()
    model(whole(4, 16)).sum().backward()

    assert torch.equal(torch.full((8,), 4.0), model.bias.grad)


def test_an_operand_changed_before_the_backward_pass_is_refused():
    register_fwd_op_impl(functional.linear, (None, "csr", None))(slow_linear)
    model, x = model_with(), whole(4, 16)
    y = model(x)
    with torch.no_grad():
        model.weight.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_explain_names_the_function_and_its_backend():
    register_fwd_op_impl(functional.linear, (None, "csr", None), backend="mine")(slow_linear)
    model = nn.Sequential(model_with())
    record, = explain(model, whole(4, 16))

    assert (record.module, record.operation, record.layouts) == ("0", "linear", ("array", "csr", "array"))
    assert (record.kind, record.kernel, record.backend) == ("exact", "slow_linear", "mine")


def test_sparsified_op_runs_what_gives_the_temporary_layout():
    """The rest of the format follows (FMT-1)."""
    def in_csr(ctx, a, b):
        return sparsify(a.to_dense() + b.to_dense(), "csr")

    function = register_fwd_op_impl(torch.add, ("csr", "csr"), ("csr",))(calls(in_csr))
    form = sr.OutputFormat(sr.KeepAll(), sr.CSR(), sr.ScalarFraction(0.75), sr.COO())
    a, b = (sparsify(whole(8, 8), "csr:0.8") for _ in range(2))
    expected = form.apply(sr.sparsify((a.to_dense() + b.to_dense()).numpy(), "csr"))
    actual = sparsified_op(torch.add, form)(a, b)

    assert len(function.seen) == 1
    assert np.array_equal(expected.pattern, actual.pattern.numpy())
    assert torch.equal(torch.from_numpy(sr.decode(expected)), actual.to_dense())


def test_a_sparsifier_has_an_implementation_into_a_layout():
    """It is asked for weights, results and gradients, dense or stored; scores of one's own take the general way."""
    def place(sparsifier, layout, matrix):
        seen.append(sparsifier)
        columns = torch.arange(matrix.shape[1]).expand(matrix.shape)[:, :1]
        return {"values": matrix[:, :1].contiguous(), "indices": columns.to(torch.int32).contiguous()}

    seen = []
    register_sparsifier_implementation("scalar-fraction", None, "ell")(place)
    dense = whole(4, 8)
    builder = SparsityBuilder().set_weight("weight", format="ell:0.5").set_weight_grad("weight", format="ell:0.75")
    model = builder.get_sparse_model(nn.Linear(8, 4))
    model(whole(2, 8)).sum().backward()
    first = torch.zeros(4, 8, dtype=torch.bool)
    first[:, 0] = True

    assert seen == [sr.ScalarFraction(0.5), sr.ScalarFraction(0.75)]
    assert torch.equal(first, model.weight.pattern)
    assert torch.equal(first, model.weight.grad.pattern)
    assert not torch.equal(first, sparsify(dense, "ell:0.5", scores=dense.abs()).pattern)
    assert not torch.equal(first, sparsify(dense, "csr:0.5").pattern)


def test_a_sparsifier_has_an_implementation_from_a_layout():
    def place(sparsifier, layout, matrix):
        assert matrix.layout == sr.CSR()
        return {"values": matrix.values, "indptr": matrix["indptr"], "indices": matrix["indices"]}

    register_sparsifier_implementation(sr.ScalarFraction(0.5), "csr", sr.CSR)(place)
    a = sparsify(whole(4, 8), "csr:0.2")
    kept, cut = sparsify(a, "csr:0.5"), sparsify(a, "csr:0.75")

    assert torch.equal(a.pattern, kept.pattern)
    assert kept.sparse.values.data_ptr() != a.sparse.values.data_ptr()
    assert cut.nnz == 8


@contextmanager
def refused(clause):
    with pytest.raises(sr.SpecError, match=clause):
        yield


def test_what_does_not_keep_its_word_is_refused():
    """Results in another layout, fields of another layout, and what is no layout at all (BUILD-6)."""
    register_fwd_op_impl(functional.linear, (None, "csr", None), ("csr",))(slow_linear)
    register_sparsifier_implementation(sr.ScalarFraction, None, "ell")(lambda sparsifier, layout, matrix: {"values": matrix})
    with refused("BUILD-6"):
        model_with()(whole(4, 16))
    with refused("BUILD-6"):
        sparsify(whole(4, 4), "ell:0.5")
    with refused("BUILD-6"):
        register_fwd_op_impl(functional.linear, "csr")
    with refused("BUILD-6"):
        register_fwd_op_impl(functional.linear, (3,))
    with refused("REG-2"):
        register_fwd_op_impl(functional.linear, ("csv",))


@pytest.mark.slow
def test_a_compiled_model_is_one_graph_while_nothing_is_registered_and_right_when_something_is():
    """A registered implementation breaks the graph, whole or not."""
    model, x = model_with(), whole(4, 16)
    expected = model(x)

    assert torch.equal(expected, torch.compile(model, backend="aot_eager", fullgraph=True)(x))
    function = register_fwd_op_impl(functional.linear, (None, "csr", None))(calls(slow_linear))
    torch._dynamo.reset()

    assert torch.equal(expected, torch.compile(model, backend="aot_eager")(x))
    assert function.seen
