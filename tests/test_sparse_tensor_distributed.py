"""Models whose parameters are the stored values, alone and in two processes (DDP and FSDP2 over gloo)."""

import multiprocessing

import pytest
import torch
from checking import refusal
from distributed_runs import RUNS, network, start, train
from sparse_cases import ALL_FORMS, dense_twin, form_id, layer, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, sparse_parameters, value_parameters
from torch import nn
from torch.nn.utils import parametrize


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What went wrong in each run, in each process."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        kept = manager.dict()
        address = f"file://{tmp_path_factory.mktemp('gloo') / 'store'}"
        processes = [context.Process(target=start, args=(rank, address, kept)) for rank in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(600)
        return dict(kept)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("run", list(RUNS))
def test_two_processes(outcomes, run, rank):
    """Each run asserts for itself; see distributed_runs.py."""
    expected = ""
    actual = outcomes.get((run, rank), "the process came to no end")

    assert expected == actual


@pytest.mark.parametrize("form", ALL_FORMS, ids=form_id)
def test_a_model_of_values_is_the_same_model(form):
    """Output, gradients, and the way back, with the names, the order and the formats that were there before."""
    model, x = layer(form, grad_format="csr:0.5"), whole_numbers(5, 64, most=1)
    twin, names = dense_twin(model), list(model.state_dict())
    pattern = model.weight.pattern
    value_parameters(model)
    parameters = dict(model.named_parameters())
    values = parameters["parametrizations.weight.original"]
    expected, actual = twin(x), model(x)
    expected.sum().backward()
    actual.sum().backward()
    gradient = model.parametrizations.weight[0].tensor(values.grad)

    assert type(values) is nn.Parameter
    assert values.numel() == model.weight.sparse.values.numel()
    assert same(expected, actual)
    assert same(torch.where(pattern, twin.weight.grad, 0), gradient)
    assert sparse_parameters(model) is model
    assert list(model.state_dict()) == names
    assert type(model) is nn.Linear
    assert model.weight.grad_format == "csr:0.5"
    assert same(twin.weight, model.weight)


def test_training_by_values_is_training():
    """Tied weights included; a frozen one stays frozen."""
    expected, actual = network().double(), value_parameters(network().double())
    assert len(list(actual.parameters())) == len(list(expected.parameters()))
    train(expected, (0, 1))
    train(actual, (0, 1))
    sparse_parameters(actual)

    assert actual[2].weight is actual[3].weight
    assert all(same(*pair) for pair in zip(expected.parameters(), actual.parameters(), strict=True))

    frozen = network().requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in value_parameters(frozen).parameters())
    assert not any(parameter.requires_grad for parameter in sparse_parameters(frozen).parameters())


def test_a_model_of_values_moves_saves_and_compiles():
    """to(dtype), a state dict, torch.compile."""
    model = value_parameters(network())
    x = whole_numbers(5, 32)
    expected = network()(x)
    twin = value_parameters(network(seed=5))
    twin.load_state_dict(model.state_dict())
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)

    assert same(expected, twin(x))
    assert same(expected, compiled(x))
    assert same(expected.double(), model.double()(x.double()))
    assert isinstance(model[0].weight, SparseTensor)


def test_a_weight_of_values_can_be_assigned():
    """From sparse and dense tensors, as long as nothing is lost (TENSOR-3)."""
    model = value_parameters(layer("csr:0.75", 32, 32))
    values, weight = model.parametrizations.weight.original, model.weight
    model.weight = weight.detach() * 2
    assert same(weight.detach() * 2, model.weight) or values is model.parametrizations.weight.original
    model.weight = weight.detach().to_dense() * 3
    assert values is model.parametrizations.weight.original
    assert refusal(setattr, model, "weight", torch.ones(32, 32)) == "TENSOR-3"
    assert refusal(setattr, model, "weight", sparse("csr:0.75", 32, 32, seed=8)) == "TENSOR-3"


def test_a_parametrization_on_top_must_go_first():
    """DIST-3; DIST-1 is refused in the runs of two processes, DIST-2 too."""
    model = value_parameters(layer("csr:0.75", 32, 32))
    parametrize.register_parametrization(model, "weight", nn.Identity())

    assert refusal(sparse_parameters, model) == "DIST-3"
