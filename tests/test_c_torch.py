"""use_backend("c"): the C kernel under models, where tensors lie, and prepared anew when values change."""

import copy
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from sparseref_c import compiling, library
from sparseref_torch import SparseTensor, SparsityBuilder, explain, sparsify, use_backend
from sparseref_torch.tensor import kernels
from torch import nn

import sparseref as sr

try:
    library.load()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)

from sparseref_c.multiplying import multiply
from sparseref_c.one_token import LOOKS_UP
from sparseref_c.preparing import prepare
from sparseref_c.torch_kernel import borrow_threads

FORMATS = ("nmg:1:4:2", "nmg:2:4:2", "csr:0.5", "nm:2:4", "nmg:2:4:2,sparse_axis=1,group_axis=0")


def whole(*shape, dtype=torch.float32):
    """Small whole numbers, so that every sum is exact."""
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(len(shape))).to(dtype)


def net():
    model = nn.Sequential(nn.Linear(24, 40), nn.ReLU(), nn.Linear(40, 12))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(whole(*parameter.shape))
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMATS)
def test_a_model_gives_the_same_numbers(form, dtype):
    """Forward, the gradient of x, of the kept values and of the bias: all exact."""
    model = SparsityBuilder().set_weight("*.weight", format=form).get_sparse_model(net()).to(dtype)
    x = whole(3, 5, 24, dtype=dtype).requires_grad_()
    found = []
    for backend in ("torch", "c"):
        this, mine = copy.deepcopy(model), x.detach().clone().requires_grad_()
        with use_backend(backend):
            out = this(mine)
            out.square().sum().backward()
        found.append([out, mine.grad, *(weight.grad.to_dense() if isinstance(weight.grad, SparseTensor) else weight.grad
                                        for weight in this.parameters())])

    for expected, actual in zip(*found, strict=True):
        assert torch.equal(expected, actual)


def test_explain_names_the_kernel():
    model = SparsityBuilder().set_weight("*.weight", format="nmg:2:4:2").get_sparse_model(net())
    with use_backend("c"), torch.no_grad():
        told = explain(model, whole(4, 24))

    assert [(record.backend, record.kernel) for record in told if "nmg" in str(record.layouts)] == [("c", "runs")] * 2


def test_it_runs_by_default_and_says_where_the_dense_product_is_faster():
    model = nn.Sequential(nn.Linear(24, 40), nn.Linear(40, 16))
    model[0].weight = nn.Parameter(sparsify(whole(40, 24), "nmg:2:4:2"))
    model[1].weight = nn.Parameter(sparsify(whole(16, 40), "masked:0.1"))
    one, two = explain(model, whole(4, 24))

    assert (one.backend, one.kernel, one.kind) == ("c", "runs", "exact")
    assert (two.backend, two.kind) == ("torch", "dense")
    assert "c runs: at density 0.90 the dense product of 4 tokens is faster" in two.reason


@pytest.mark.parametrize(("form", "tokens", "chosen"), [
    ("nmg:2:4:2", 1, "c"), ("csr:0.5", 1, "c" if library.likely_set() == LOOKS_UP else "torch"), ("csr:0.8", 1, "c"),
    ("csr:0.2", 1, "torch"), ("nmg:2:4:2", 3, "torch"), ("nmg:1:8:2", 3, "c"), ("csr:0.5", 4, "c"),
])
def test_few_tokens_are_left_to_the_dense_product_at_a_lower_density(form, tokens, chosen):
    weight = sparsify(whole(16, 40), form)
    with torch.no_grad():
        kernel, why = kernels.choose(weight.sparse, whole(tokens, 40), False)

    assert (kernel.backend if kernel else "torch") == chosen, why


def test_a_weight_in_training_is_left_to_torch():
    """Forward and backward, unless use_backend("c") wants it."""
    weight, x = sparsify(whole(16, 24), "nmg:2:4:2"), whole(4, 24).requires_grad_()
    kernel, _ = kernels.choose(weight.sparse, x, False)
    assert kernel.backend == "torch"
    seen = []
    x.register_hook(lambda grad: seen.append(kernels.choose(weight.sparse, grad, True)[0].backend))
    nn.functional.linear(x, weight).sum().backward()
    assert seen == ["torch"]
    with torch.no_grad():
        assert kernels.choose(weight.sparse, x, False)[0].backend == "c"
    with use_backend("c"):
        assert kernels.choose(weight.sparse, x, False)[0].backend == "c"


@pytest.mark.parametrize("form", ["nmg:2:4:2", "nmg:1:3:2,sparse_axis=1,group_axis=0"])
@pytest.mark.parametrize("scored", [False, True])
def test_the_greedy_in_c_makes_the_same_tensor(form, scored):
    dense = torch.randn(30, 50, generator=torch.Generator().manual_seed(0))
    dense[3, 4] = torch.nan
    scores = torch.rand(30, 50, generator=torch.Generator().manual_seed(1)) if scored else None
    with use_backend("torch"):
        expected = sparsify(dense, form, scores)
    actual = sparsify(dense, form, scores)

    assert expected.sparse.layout == actual.sparse.layout
    for name, tensor in expected.sparse.tensors.items():
        np.testing.assert_array_equal(tensor.numpy(), actual.sparse[name].numpy(), name)


def test_scores_of_another_shape_are_refused_alike():                                       # SPF-2
    for backend in ("torch", "c"):
        with use_backend(backend), pytest.raises(sr.SpecError, match="SPF-2"):
            sparsify(whole(8, 8), "nmg:2:4:2", whole(8, 4))


def test_a_broken_plugin_is_warned_of(monkeypatch):
    """A kernel that cannot be loaded does not take models down with it."""
    broken = EntryPoint("broken", "no_such_module:Kernel", "sparseref_torch.kernels")
    monkeypatch.setattr(kernels, "entry_points", lambda group: [broken])
    kernels.installed.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="the kernel broken .* cannot be used"):
            assert kernels.installed() == ()
    finally:
        kernels.installed.cache_clear()


def test_other_values_are_prepared_anew():
    """An optimizer's step in place, and a new pattern."""
    layer = nn.Linear(24, 16)
    layer.weight = nn.Parameter(sparsify(whole(16, 24), "nmg:2:4:2"))
    layer.bias = None
    x = whole(4, 24)
    with use_backend("c"), torch.no_grad():
        before = layer(x)
        layer.weight.mul_(2)
        doubled = layer(x)
        layer.weight = nn.Parameter(sparsify(whole(16, 24), "nmg:1:4:2"))
        other = layer(x)

    assert torch.equal(2 * before, doubled)
    assert torch.equal(x @ layer.weight.to_dense().T, other)


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x[::2], lambda x: x.T.contiguous().T,
                                  lambda x: x[:, :1].expand(8, 24)])
def test_x_of_any_strides(view):
    weight, x = sparsify(whole(16, 24), "nmg:2:4:2"), view(whole(8, 24))
    with use_backend("c"), torch.no_grad():
        actual = nn.functional.linear(x, weight)

    assert torch.equal(x @ weight.to_dense().T, actual)


@pytest.mark.parametrize("plus", [whole(16), whole(1), whole(32)[::2], whole(4, 16), whole(4, 1), whole(16, 4).T])
def test_what_is_added_is_broadcast_as_torch_does(plus):
    """One number, a strided bias, a matrix: nothing is read beyond what is there."""
    weight, x = sparsify(whole(16, 24), "nmg:2:4:2"), whole(4, 24)
    with use_backend("c"), torch.no_grad():
        actual = torch.addmm(plus, x, weight.t())

    assert torch.equal(torch.addmm(plus, x, weight.to_dense().T), actual)


def test_half_precision_falls_back_with_the_reason():
    weight = sparsify(whole(16, 24).bfloat16(), "nmg:2:4:2")
    with use_backend("c"), torch.no_grad():
        actual = nn.functional.linear(whole(4, 24).bfloat16(), weight)

    np.testing.assert_array_equal((whole(4, 24) @ weight.to_dense().float().T).bfloat16().float(), actual.float())


def test_torchs_own_threads_do_the_work_to_the_same_bits():
    """Two OpenMPs, or one and our threads, would wait in each other's way."""
    weight, x = prepare(sr.sparsify(np.random.default_rng(0).standard_normal((300, 90)), "nmg:2:4:4")), np.ones((70, 90))
    functions = library.load()
    functions.sparseref_borrow_threads(None)
    expected = multiply(weight, x, at_most=2)
    borrow_threads()
    actual = multiply(weight, x, at_most=2)

    assert np.array_equal(expected, actual)
    assert functions.sparseref_borrows_threads() or not any((Path(torch.__file__).parent / "lib").glob("libgomp*"))


@pytest.mark.filterwarnings("ignore:os.fork")                  # JAX, where another test has loaded it, warns of every fork
def test_a_child_after_fork_does_not_wait_for_threads_it_lost():
    """GNU OpenMP would wait for ever: its threads stay with the parent."""
    weight, x = prepare(sr.sparsify(np.ones((300, 90)), "nmg:2:4:4")), np.ones((70, 90))
    borrow_threads()
    expected = multiply(weight, x, at_most=2)
    child = os.fork()
    if not child:
        borrow_threads()                                       # as each new kernel does, use_backend("c") for one
        os._exit(0 if np.array_equal(expected, multiply(weight, x, at_most=2)) else 1)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(child, signal.SIGKILL)

    assert ended == (child, 0)


@pytest.mark.parametrize("form", ["nmg:2:4:1", "csr:0.7"])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), [
    ((3, 3), 1, 1, 1), ((1, 1), 2, 0, 1), ((7, 7), 2, 3, 1), ((3, 2), (1, 3), (0, 2), (2, 1))])
def test_a_convolution_needs_no_columns(form, memory, kernel, stride, padding, dilation):   # CONV2D-1
    """Whole numbers: exact, in the memory format of the image, images of a slice and with a bias."""
    image = whole(5, 6, 19, 23).contiguous(memory_format=memory)[1:4]
    weight, bias = sparsify(whole(8, 6, *kernel), form), whole(8)
    with use_backend("torch"), torch.no_grad():
        expected = nn.functional.conv2d(image, weight.to_dense(), bias, stride, padding, dilation)
    with use_backend("c"), torch.no_grad():
        actual = nn.functional.conv2d(image, weight, bias, stride, padding, dilation)

    assert torch.equal(expected, actual)
    assert actual.is_contiguous(memory_format=memory)


def test_explain_names_the_convolution():
    layer = nn.Conv2d(6, 8, 3)
    layer.weight = nn.Parameter(sparsify(whole(8, 6, 3, 3), "nmg:2:8:2"))
    [record] = explain(layer, whole(1, 6, 9, 9))

    assert (record.operation, record.backend, record.kernel, record.kind) == ("convolution", "c", "runs", "exact")


def test_a_weight_that_nobody_keeps_lives_as_long_as_its_product():
    """In inference mode a tensor has no version to keep what was prepared by."""
    with torch.inference_mode():
        weight, x = sparsify(whole(300, 400), "nmg:2:4:2"), whole(5, 400)
        for _ in range(20):
            assert torch.equal(x @ weight.to_dense().T, nn.functional.linear(x, weight))


def test_the_environment_says_how_many_threads_before_torch_does(monkeypatch):             # CLIB-2
    weight, x, asked = sparsify(whole(8, 12), "nmg:2:4:1"), whole(5, 12), []
    real = library.load().sparseref_linear

    class Noted:
        @staticmethod
        def sparseref_linear(what, number, size, threads):
            asked.append(threads)
            return real(what, number, size, threads)

    monkeypatch.setattr("sparseref_c.multiplying.library", lambda: library.Library(Noted, library.library().name,
                                                                                     library.library().number))
    with use_backend("c"), torch.no_grad():
        nn.functional.linear(x, weight)
        monkeypatch.setenv("SPARSEREF_NUM_THREADS", "3")
        nn.functional.linear(x, weight)
        monkeypatch.setenv("SPARSEREF_NUM_THREADS", "abc")
        with pytest.raises(sr.SpecError, match="CLIB-2"):
            nn.functional.linear(x, weight)

    assert asked == [torch.get_num_threads(), 3]


def test_an_instruction_set_that_there_is_not_stops_a_model():                             # CLIB-1
    """Torch's own kernels do not take over in silence."""
    program = ("import torch; from sparseref_torch import sparsify; torch.set_grad_enabled(False)\n"
               "torch.nn.functional.linear(torch.ones(1, 8), sparsify(torch.ones(4, 8), 'nmg:2:4:1'))")
    told = subprocess.run([sys.executable, "-c", program], env={**os.environ, "SPARSEREF_C_ISA": "avx9"}, capture_output=True,
                          text=True, check=False)

    assert told.returncode
    assert "CLIB-1" in told.stderr
