"""What falls back says so once for each call site, or is refused where strict; explain lists what ran, where, why."""

import json
import threading
import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from checking import refusal
from sparse_cases import dense_twin, layer, same, sparse, whole_numbers
from sparseref_torch import explain, sparse_parameter, strict, use_backend
from torch import nn

from sparseref import FallbackWarning, SpecError


def warned(call):
    """-> the fallback warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [warning for warning in caught if issubclass(warning.category, FallbackWarning)]


def test_a_call_site_warns_once():
    """The warning names the operator and points to the caller's line; another line warns again."""
    w = sparse("csr:0.9", 8, 8)

    def call():
        for _ in range(3):
            torch.cos(w)
        torch.cos(w)
        torch.exp(w)

    first, again = warned(call), warned(call)

    assert [str(warning.message).partition(" ")[0] for warning in first] == ["cos", "cos", "exp"]
    assert all(warning.filename == __file__ for warning in first)
    assert first[0].lineno + 1 == first[1].lineno
    assert again == []


def test_strict_refuses_and_ends():
    """DSP-4, also for what was warned about before; nested, and switched off inside."""
    w = sparse("csr:0.9", 8, 8)
    with strict():
        assert refusal(torch.cos, w) == "DSP-4"
        with strict(False):
            warned(lambda: torch.cos(w))
        with strict():
            assert refusal(torch.cos, w) == "DSP-4"
        assert refusal(torch.cos, w) == "DSP-4"
    warned(lambda: torch.cos(w))


def test_strict_holds_in_its_thread():
    """And in the backward pass that starts there; another thread has its own."""
    w = sparse_parameter(sparse("csr:0.9", 8, 8))
    outcome = []

    def other():
        try:
            outcome.append(warned(lambda: torch.cos(w.detach())))
        except SpecError as refused:
            outcome.append(refused)

    with strict():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        y = F.linear(whole_numbers(2, 8), w)
        y.sum().backward()

    assert isinstance(outcome[0], list)


def test_threads_compute_at_once():
    """The same weights in several threads, some of them strict."""
    model, x = layer("nmg:2:8:8"), whole_numbers(7, 64)
    expected = dense_twin(model)(x)
    results = []

    def run(on):
        with strict(on):
            results.extend(model(x) for _ in range(20))

    threads = [threading.Thread(target=run, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 80
    assert all(same(expected, result) for result in results)


class Model(nn.Module):
    """A layer that runs sparsely, one that is too dense to, one that falls back, and a dense one."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(layer("nmg:1:8:8"), nn.BatchNorm1d(48), nn.Dropout())
        self.full = layer("masked:0.2", 48, 16)
        self.plain = nn.Linear(16, 16)

    def forward(self, x, scale=1):
        return self.plain(self.full(self.inner(x))) * scale + torch.cos(self.full.weight).sum()


def test_explain_lists_what_ran():
    """Module, operator, layouts, kind, kernel, backend, reason and cost, in the order of the calls; no warning is raised."""
    model = Model()
    with use_backend("torch"):
        records = explain(model, whole_numbers(5, 64), scale=2)
    one, two, three = records

    assert (one.module, one.kind, one.kernel, one.backend, one.cost_bits) == ("inner.0", "exact", "lines", "torch", 0)
    assert (two.module, two.kind, two.kernel, two.backend) == ("full", "dense", "decoded", "torch")
    assert "density 0.80" in two.reason
    assert two.cost_bits == model.full.weight.bits + 48 * 16 * 32
    assert (three.module, three.operation, three.kind, three.layouts) == ("", "cos", "dense", ("masked",))
    assert three.reason == "there is no sparse implementation of it"
    assert three.site.startswith(__file__)


def test_explain_leaves_the_model_as_it_was():
    """Buffers, random numbers, hooks, gradients."""
    model, x = Model(), whole_numbers(5, 64)
    before = [buffer.clone() for buffer in model.buffers()]
    state = torch.random.get_rng_state()
    explain(model, x)

    assert all(torch.equal(*pair) for pair in zip(before, model.buffers(), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_explanation_is_a_table_and_json():
    """Both say the same."""
    records = explain(Model(), whole_numbers(5, 64))
    lines = str(records).splitlines()

    assert lines[0].split() == ["module", "operation", "layouts", "kind", "kernel", "backend", "cost_bits", "site"]
    assert lines[1].split()[:3] == ["inner.0", "addmm", "array"]
    assert lines[-1] == "because there is no sparse implementation of it"
    assert [record["kind"] for record in json.loads(records.to_json())] == ["exact", "dense", "dense"]
    assert str(explain(nn.Linear(2, 2), torch.ones(1, 2))) == "no operator met a sparse tensor"


def test_another_backend_runs_and_says_so():
    """The reference, through its protocol: the same numbers."""
    model, x = layer("nmg:2:8:8"), whole_numbers(5, 64)
    with use_backend("reference"):
        [record] = explain(model, x)
        actual = model(x)
    expected = model(x)

    assert same(expected, actual)
    assert (record.backend, record.kernel, record.kind) == ("reference", "linear", "exact")
    with use_backend("torch"):
        assert explain(model, x)[0].backend == "torch"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_is_explained():
    """As it runs eagerly: the same kernels are chosen."""
    model, x = layer("nmg:1:8:8"), whole_numbers(5, 64)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    with use_backend("torch"):
        [record] = explain(compiled, x)

    assert (record.kernel, record.kind, record.module) == ("lines", "exact", "")


def test_a_model_that_fails_leaves_no_hooks():
    """The error is the model's."""
    model = Model()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        explain(model, whole_numbers(5, 63))
    assert not any(module._forward_hooks for module in model.modules())
