"""Copies and checkpoints: deepcopy, dtypes, state dicts, torch.save with weights_only, ties, processes, averages."""

import copy
import io
import multiprocessing
import pickle

import pytest
import torch
from checking import refusal
from sparse_cases import ALL_FORMS, FORMS, Bitmap, dense_twin, form_id, layer, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, sparse_parameter, strict, use_backend
from torch import nn, optim
from torch.nn.utils import parameters_to_vector, parametrizations, parametrize, prune, vector_to_parameters

import sparseref as sr

every_form = pytest.mark.parametrize("form", ALL_FORMS, ids=form_id)
some_forms = pytest.mark.parametrize("form", ["masked:0.7", "csr:0.9", "nmg:2:8:8", FORMS[0]])
quietly = pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning")


@pytest.fixture(autouse=True)
def _bitmap():
    """A file names its layout, which must be registered where it is read."""
    sr.registry.layouts.add(Bitmap)
    yield
    sr.registry.layouts.remove("bitmap")


def saved(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def loaded(data, **named):
    return torch.load(io.BytesIO(data), weights_only=True, **named)


def is_trainable(weight):
    """True for a parameter whose gradient comes back in its slots."""
    weight.grad = None
    (weight * 2).to_dense().sum().backward()
    in_slots = isinstance(weight.grad, SparseTensor) and torch.equal(weight.pattern, weight.grad.pattern)
    return isinstance(weight, nn.Parameter) and in_slots


@every_form
def test_a_deep_copy_is_a_model_of_its_own(form):
    """Values are its own, the pattern is shared, a gradient is not copied."""
    model, x = layer(form), whole_numbers(5, 64)
    model(x).sum().backward()
    twin = copy.deepcopy(model)

    assert same(model.weight, twin.weight)
    assert twin.weight.grad is None
    assert is_trainable(twin.weight)
    with torch.no_grad():
        twin.weight.mul_(2)
    assert same(model.weight.detach() * 2, twin.weight)
    one, two = model.weight.sparse.tensors, twin.weight.sparse.tensors
    assert all(one[name] is two[name] for name in one if name != "values")


@some_forms
def test_a_shallow_copy_shares_the_values(form):
    """As torch's."""
    weight = sparse_parameter(sparse(form, 48, 64))
    twin = copy.copy(weight)

    assert twin.sparse.values is weight.sparse.values
    assert isinstance(twin, nn.Parameter)


@every_form
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_model_changes_its_dtype(form, dtype):
    """The parameter stays the same object, with its gradient, its format and its slots, before and after a step."""
    model, x = layer(form), whole_numbers(5, 64)
    model(x).sum().backward()
    weight, expected = model.weight, dense_twin(model).to(dtype)
    indices = {name: tensor for name, tensor in weight.sparse.tensors.items() if name != "values"}
    model.to(dtype)

    assert model.weight is weight
    assert weight.dtype == weight.sparse.dtype == weight.grad.dtype == dtype
    assert all(weight.sparse[name] is tensor for name, tensor in indices.items())
    assert same(expected(x.to(dtype)), model(x.to(dtype)))
    for _ in range(2):
        assert is_trainable(weight)
        model.to(torch.float32).to(dtype)
    assert is_trainable(model.weight)


@every_form
def test_a_state_dict_goes_through_a_file(form):
    """weights_only, into another pattern of the layout and into another layout; the numbers are those that were saved."""
    model, x = layer(form), whole_numbers(5, 64)
    expected = model(x)
    data = saved(model.state_dict())
    for other in (form, "csr:0.5", "masked:0.9"):
        for assign in (False, True):
            twin = layer(other, seed=5)
            weight = twin.weight
            assert twin.load_state_dict(loaded(data), assign=assign).missing_keys == []
            assert same(expected, twin(x))
            assert (twin.weight is weight) == (not assign)
            assert str(twin.weight.descriptor) == str(model.weight.descriptor)
            assert is_trainable(twin.weight)


@every_form
def test_sparse_and_dense_checkpoints_mix(form):
    """A sparse one fits a dense model; a dense one a sparse model only if nothing is lost (TENSOR-3)."""
    model, x = layer(form), whole_numbers(5, 64)
    dense = nn.Linear(64, 48)
    dense.load_state_dict(model.state_dict())
    assert same(model(x), dense(x))
    assert type(dense.weight) is nn.Parameter

    other = layer(form, seed=5)
    other.weight.set_sparse_(model.weight.detach() * 2)
    other.load_state_dict(dense.state_dict())
    assert same(model(x), other(x))
    assert torch.equal(model.weight.pattern, other.weight.pattern)

    if form != "dense":
        dense.weight.data.fill_(1)
        with pytest.raises(RuntimeError, match=r"TENSOR-3: .* entries have no slot"):
            other.load_state_dict(dense.state_dict())
        with pytest.raises(RuntimeError, match="size mismatch"):
            layer(form, 32, 48).load_state_dict(model.state_dict())


@pytest.mark.parametrize("kind", [optim.AdamW, optim.SGD])
def test_an_optimizer_goes_through_a_file(kind):
    """Training goes on as if nothing had happened, and index tensors are written once for weight and state."""
    settings = {"momentum": 0.5} if kind is optim.SGD else {}

    def trained(model, optimizer, seeds):
        for seed in seeds:
            optimizer.zero_grad()
            model(whole_numbers(5, 256, seed=seed)).square().mean().backward()
            optimizer.step()

    model = layer("csr:0.9", 256, 128)
    optimizer = kind(model.parameters(), lr=0.01, **settings)
    trained(model, optimizer, (1, 2))
    data = saved({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    twin = layer("csr:0.9", 256, 128, seed=5)
    other = kind(twin.parameters(), lr=0.01, **settings)
    state = loaded(data)
    twin.load_state_dict(state["model"])
    other.load_state_dict(state["optimizer"])
    trained(model, optimizer, (3, 4))
    with strict():
        trained(twin, other, (3, 4))

    assert same(model.weight, twin.weight)
    weight = model.weight.sparse
    tensors = 1 + (1 if kind is optim.SGD else 2)
    indices = sum(field.numel() * field.element_size() for name, field in weight.tensors.items() if name != "values")
    needed = tensors * weight.values.numel() * 4 + indices
    assert needed <= len(data) < needed + 12_000


@every_form
def test_a_whole_parameter_is_pickled(form):
    """With its format of gradients; torch.load(weights_only) takes it, too."""
    weight = sparse_parameter(sparse(form, 48, 64), "csr:0.5")
    for twin in (pickle.loads(pickle.dumps(weight)), loaded(saved(weight))):
        assert same(weight, twin)
        assert twin.grad_format == "csr:0.5"
        assert isinstance(twin, nn.Parameter)
        assert twin.requires_grad


def test_a_file_that_names_an_unknown_layout_is_refused():
    """REG-2, with the name."""
    data = saved(sparse(ALL_FORMS[-1], 48, 64))
    sr.registry.layouts.remove("bitmap")

    assert refusal(loaded, data) == "REG-2"


@pytest.mark.parametrize(("field", "change"), [("indices", lambda t: t.fill_(1000)), ("indptr", lambda t: t.fill_(-3)),
                                               ("indices", lambda t: t[:5])])
def test_a_file_that_breaks_its_layout_is_refused(field, change):
    """Before a kernel reads where no memory is."""
    weight = sparse("csr:0.9", 48, 64)
    setattr(weight, "field_" + field, change(weight.sparse[field].clone()))

    assert refusal(loaded, saved(weight)).startswith(("CSR-", "CORE-"))


def test_tied_weights_stay_tied():
    """Through deepcopy, a change of dtype, a state dict and a file; one step moves both."""
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = layer("csr:0.9", 32, 32), layer("csr:0.9", 32, 32)
            self.decode.weight = self.encode.weight

        def forward(self, x):
            return self.decode(self.encode(x))

    model, x = Tied(), whole_numbers(5, 32)
    data = saved(model.state_dict())
    for twin in (copy.deepcopy(model), copy.deepcopy(model).double(), Tied()):
        twin.load_state_dict(loaded(data))
        optimizer = optim.SGD(twin.parameters(), lr=0.5)
        twin(x.to(twin.encode.weight.dtype)).sum().backward()
        optimizer.step()

        assert twin.encode.weight is twin.decode.weight
        assert len(list(twin.parameters())) == 3
        assert not same(model.encode.weight.to(twin.encode.weight.dtype), twin.encode.weight)


@quietly
def test_a_parametrization_that_assigns_dense_values_is_refused():
    """An orthogonal matrix is dense (TENSOR-3)."""
    assert refusal(parametrizations.orthogonal, layer("nm:2:4", 32, 32)) == "TENSOR-3"


@quietly
def test_parameters_become_a_vector_and_back():
    """All entries, dense."""
    model = layer("csr:0.9")
    vector = parameters_to_vector(model.parameters())
    expected = torch.cat([model.weight.to_dense().reshape(-1), model.bias])
    vector_to_parameters(vector * 2, model.parameters())

    assert same(expected, vector)
    assert same(expected * 2, parameters_to_vector(model.parameters()))


@quietly
@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm,
                                  lambda m: parametrize.register_parametrization(m, "weight", Doubled())])
def test_a_parametrized_weight_is_that_of_the_dense_twin(wrap):
    """Where no sparse form is known, through the fallback."""
    model = layer("nm:2:4", 32, 32)                            # no row is empty: none has the norm 0
    twin = dense_twin(model)
    x = whole_numbers(5, 32)
    with use_backend("torch"):                                 # the norm's own iteration runs without gradients
        torch.manual_seed(0)
        wrap(model)
        torch.manual_seed(0)
        wrap(twin)
        expected, actual = twin(x), model(x)
    actual.sum().backward()

    assert same(expected, actual)


class Doubled(nn.Module):
    def forward(self, weight):
        return weight * 2


def test_torch_prune_works_on_top():
    """Its mask is one more factor."""
    model = layer("csr:0.5")
    twin = dense_twin(model)
    for m in (model, twin):
        prune.custom_from_mask(m, "weight", whole_numbers(48, 64) > 0)
    x = whole_numbers(5, 64)

    assert same(twin(x), model(x))
    assert isinstance(model.weight, SparseTensor)


@pytest.mark.parametrize("foreach", [True, False])
def test_an_average_of_weights_keeps_the_pattern(foreach):
    """torch.optim.swa_utils, equal and exponential."""
    for average in (None, optim.swa_utils.get_ema_multi_avg_fn(0.5) if foreach else optim.swa_utils.get_ema_avg_fn(0.5)):
        model = layer("nmg:2:8:8")
        twin = dense_twin(model)
        named = {} if average is None else {"multi_avg_fn" if foreach else "avg_fn": average}
        averages = [optim.swa_utils.AveragedModel(m, **named) for m in (model, twin)]
        with strict(), torch.no_grad():
            for _ in range(3):
                for m, averaged in zip((model, twin), averages, strict=True):
                    averaged.update_parameters(m)
                    m.weight.mul_(2)
        one, two = (averaged.module.weight for averaged in averages)

        assert isinstance(one, SparseTensor)
        assert torch.equal(one.pattern, model.weight.pattern)
        torch.testing.assert_close(one.detach().to_dense(), two.detach(), rtol=2**-22, atol=0)


def _double(weight, done):
    with torch.no_grad():
        weight.mul_(2)
    done.set()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["masked:0.5", "nmg:1:4:2"])
@torch.no_grad()
def test_processes_share_a_weight(form):
    """What another process writes is seen here, also by the product that keeps a decoded or prepared weight."""
    context = multiprocessing.get_context("spawn")
    model, x = layer(form).requires_grad_(False), whole_numbers(5, 64)
    before = model(x) - model.bias
    model.share_memory()
    assert model.weight.is_shared()
    done = context.Event()
    process = context.Process(target=_double, args=(model.weight, done))
    process.start()
    process.join(60)

    assert done.is_set()
    assert same(before * 2, model(x) - model.bias)


@quietly
@pytest.mark.parametrize("inference", [True, False])
def test_a_decoded_weight_is_never_out_of_date(inference):
    """After every way to write: through the tensor, its data, a part, an optimizer, its own field."""
    for write in (lambda w: w.mul_(2), lambda w: w.data.mul_(2), lambda w: w.copy_(w * 2), lambda w: w.data.add_(w.detach()),
                  lambda w: w.set_sparse_(w.detach() * 2), lambda w: torch._foreach_mul_([w], 2), lambda w: w[:].mul_(2),
                  lambda w: w.sparse.values.mul_(2)):
        model, x = layer("masked:0.1", bias=False), whole_numbers(5, 64)
        before = model(x)
        with torch.no_grad():
            write(model.weight)
        with torch.inference_mode(inference):
            actual = model(x)

        assert same(before * 2, actual)
