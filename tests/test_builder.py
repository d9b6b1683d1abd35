"""SparsityBuilder on small models: weights, gradients, optimizers."""

import io
from copy import deepcopy

import pytest
import torch
from sparseref_torch import SparseTensor, SparsityBuilder
from torch import nn
from torch.nn import functional

import sparseref as sr


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def network():
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8))


def dense_twin(sparse):
    """The same model with the same weights, dense."""
    twin = deepcopy(sparse)
    for module in twin.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, SparseTensor):
                setattr(module, name, nn.Parameter(parameter.detach().to_dense()))
    return twin


def test_the_original_is_untouched():
    model = network()
    before = deepcopy(model.state_dict())
    sparse = SparsityBuilder().set_weight("*.weight", format="csr:0.75").get_sparse_model(model)

    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(isinstance(parameter, SparseTensor) for parameter in model.parameters())
    assert [type(sparse[i].weight) for i in (0, 2, 4)] == [SparseTensor] * 3
    assert type(sparse[0].bias) is nn.Parameter


def test_the_pattern_is_the_reference_sparsifier_s():
    model = network()
    expected = sr.sparsify(model[2].weight.detach().numpy(), "nmg:2:8:8")
    model = SparsityBuilder().set_weight("2.weight", format="nmg:2:8:8").sparsify_model_inplace(model)

    assert torch.equal(torch.from_numpy(sr.decode(expected)), model[2].weight.detach().to_dense())


def test_a_later_rule_wins():
    builder = (SparsityBuilder().set_weight(module=nn.Linear, format="csr:0.5").set_weight("2.weight", format="nmg:2:4:4")
               .set_weight_grad("*.weight", format="dense").set_weight_grad("0.weight", format="csr:0.9"))
    model = builder.get_sparse_model(network())

    assert [str(model[i].weight.descriptor) for i in (0, 2, 4)] == ["csr", "nmg:2:4:4", "csr"]
    assert [model[i].weight.grad_format for i in (0, 2, 4)] == ["csr:0.9", "dense", "dense"]


def test_forward_and_gradients_are_those_of_the_dense_model_with_the_same_weights():
    """Integer values, so that sums are exact."""
    model = network()
    for parameter in model.parameters():
        parameter.data.mul_(30).round_()
    sparse = SparsityBuilder().set_weight("*.weight", format="csr:0.75").get_sparse_model(model)
    dense = dense_twin(sparse)
    x = torch.randint(-4, 5, (6, 16)).float()
    for one in (sparse, dense):
        one(x).sum().backward()

    assert torch.equal(dense(x), sparse(x))
    for i in (0, 2, 4):
        assert torch.equal(dense[i].weight.grad * sparse[i].weight.pattern, sparse[i].weight.grad.to_dense())
        assert torch.equal(dense[i].bias.grad, sparse[i].bias.grad)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(x))


@pytest.mark.parametrize("name", ["one.weight", "two.weight", "*.weight"])
def test_a_tied_weight_is_made_sparse_once_and_stays_tied(name):
    model = SparsityBuilder().set_weight(name, format="csr:0.5").get_sparse_model(Tied())

    assert isinstance(model.one.weight, SparseTensor)
    assert model.two.weight is model.one.weight


def test_what_is_frozen_stays_frozen():
    model = network()
    model[0].weight.requires_grad_(False)
    model = SparsityBuilder().set_weight("*.weight", format="csr:0.5").get_sparse_model(model)

    assert [model[i].weight.requires_grad for i in (0, 2, 4)] == [False, True, True]


def test_a_refused_call_changes_nothing():
    """The second weight does not take the layout (ERR-2)."""
    model = nn.Sequential(nn.Linear(8, 8), nn.Conv2d(3, 2, 3))
    with pytest.raises(sr.SpecError, match="DENSE-C2") as refusal:
        SparsityBuilder().set_weight("0.weight", format="csr:0.5").set_weight(
            "1.weight", format=("scalar-fraction:0.5", "dense")).sparsify_model_inplace(model)

    assert "1.weight" in str(refusal.value.__notes__)
    assert type(model[0].weight) is nn.Parameter


def test_a_gradient_can_be_stored_without_a_sparse_weight():
    """The weight is then stored as dense, which every copy of the model keeps."""
    model = SparsityBuilder().set_weight_grad("0.weight", format="csr:0.75").get_sparse_model(nn.Sequential(nn.Linear(8, 8)))
    twin = dense_twin(model)
    for one in (model := deepcopy(model), twin):
        one(torch.arange(16.0).reshape(2, 8)).square().sum().backward()
    expected = sr.sparsify(twin[0].weight.grad.numpy(), "csr:0.75")

    assert str(model[0].weight.descriptor) == "dense"
    assert torch.equal(torch.from_numpy(expected.pattern), model[0].weight.grad.pattern)


def test_the_state_dict_loads_into_a_model_made_alike():
    builder = SparsityBuilder().set_weight("*.weight", format="csr:0.75")
    one, two = builder.get_sparse_model(network()), builder.get_sparse_model(network())
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    two.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(3, 16)

    assert torch.equal(one(x), two(x))


def trained(model, optimizer, steps=3):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(8, 16, generator=generator)
        optimizer.zero_grad()
        functional.mse_loss(model(x), x[:, :8]).backward()
        optimizer.step()


def stepped(model, optimizer, steps=3):
    """Gradients out of thin air, the same for every model: the optimizer's arithmetic is elementwise, so results are exact."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        for parameter in model.parameters():
            grad = torch.randn(parameter.shape, generator=generator)
            form = getattr(parameter, "grad_format", None)
            parameter.grad = parameter.detach().like(grad) if form == "same" else grad
        optimizer.step()


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    "adamw-foreach": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, foreach=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_optimizer_goes_on_from_its_state(make):
    """As if the dense model went on with its weights, gradients and state masked after each step."""
    model = network()
    optimizer = make(model.parameters())
    stepped(model, optimizer)
    twin = deepcopy(model)
    other = make(twin.parameters())
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    SparsityBuilder().set_weight("2.weight", format="csr:0.75").sparsify_model_and_optimizer_inplace(model, optimizer)
    pattern = model[2].weight.pattern
    with torch.no_grad():
        for value in (twin[2].weight, *other.state[twin[2].weight].values()):
            value.mul_(pattern if value.dim() else 1)
    for one, its in ((model, optimizer), (twin, other)):
        stepped(one, its)

    assert any(parameter is model[2].weight for parameter in optimizer.param_groups[0]["params"])
    assert len(optimizer.state) == 6
    assert torch.equal(pattern, model[2].weight.pattern)
    for key, value in optimizer.state[model[2].weight].items():
        if value.dim():
            assert isinstance(value, SparseTensor)
            assert torch.equal(other.state[twin[2].weight][key] * pattern, value.to_dense())
    assert torch.equal(twin[2].weight * pattern, model[2].weight.to_dense())
    assert torch.equal(twin[4].weight, model[4].weight)


def test_a_gradient_that_waits_for_its_step_is_carried_over():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 16)).sum().backward()
    expected = model[0].weight.grad.clone()
    SparsityBuilder().set_weight("0.weight", format="csr:0.5").sparsify_model_and_optimizer_inplace(model, optimizer)

    assert isinstance(model[0].weight.grad, SparseTensor)
    assert torch.equal(expected * model[0].weight.pattern, model[0].weight.grad.to_dense())


def test_a_foreign_optimizer_is_refused():
    model = network()
    for optimizer in (torch.optim.SGD(network().parameters(), lr=0.1), torch.optim.LBFGS(model.parameters())):
        with pytest.raises(sr.SpecError, match="BUILD-7"):
            SparsityBuilder().set_weight("0.weight", format="csr:0.5").sparsify_model_and_optimizer_inplace(model, optimizer)

        assert type(model[0].weight) is nn.Parameter


def test_a_threshold_runs_after_each_step():
    """As the dense model: a step, then what is small is dropped for good (SPF-6 does not hold in a dense temporary)."""
    builder = SparsityBuilder().set_weight("0.weight", initial_sparsifier="keep-all", tmp_format="csr",
                                           external_sparsifier="scalar-threshold:0.1", out_format="csr")
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    builder.sparsify_model_and_optimizer_inplace(model, optimizer)
    stored = [model[0].weight.nnz]
    for _ in range(3):
        trained(model, optimizer, steps=1)
        stored.append(model[0].weight.nnz)

    assert stored[0] == 16 * 32
    assert stored == sorted(stored, reverse=True)
    assert stored[-1] < stored[0]
    assert float(model[0].weight.to_dense()[model[0].weight.pattern].detach().abs().min()) >= 0.1


@pytest.mark.parametrize("make", [
    lambda parameters: torch.optim.SGD(parameters, lr=3.0, momentum=0.9),
    lambda parameters: torch.optim.AdamW(parameters, lr=0.3),
], ids=["sgd", "adamw"])
def test_entries_grow_where_a_dense_gradient_meets_a_dense_temporary(make):
    """STen's update: the step's result is dense, the external sparsifier chooses anew, as many entries as before."""
    builder = (SparsityBuilder().set_weight_grad("0.weight", format="dense")
               .set_weight("0.weight", initial_sparsifier="scalar-fraction:0.75", external_sparsifier="same-format",
                           out_format="csr"))
    model = builder.get_sparse_model(network())
    optimizer = builder.attach(make(model.parameters()), model)
    before, count = model[0].weight.pattern, model[0].weight.nnz
    parameter = model[0].weight
    trained(model, optimizer, steps=4)

    assert model[0].weight is parameter
    assert parameter.nnz == count
    assert not torch.equal(before, parameter.pattern)
    for value in optimizer.state[parameter].values():
        assert not value.dim() or torch.equal(value.pattern, parameter.pattern)


def test_one_step_into_a_dense_temporary_is_the_dense_step_then_the_format():
    builder = (SparsityBuilder().set_weight_grad("0.weight", format="dense")
               .set_weight("0.weight", initial_sparsifier="scalar-fraction:0.5", external_sparsifier="scalar-fraction:0.75",
                           out_format="csr"))
    model = builder.get_sparse_model(network())
    twin = dense_twin(model)
    stepped(model, builder.attach(torch.optim.SGD(model.parameters(), lr=0.3), model), steps=1)
    stepped(twin, torch.optim.SGD(twin.parameters(), lr=0.3), steps=1)
    expected = sr.sparsify(twin[0].weight.detach().numpy(), "csr:0.75")

    assert torch.equal(torch.from_numpy(expected.pattern), model[0].weight.pattern)
    assert torch.equal(torch.from_numpy(sr.decode(expected)), model[0].weight.detach().to_dense())


def test_chance_is_reproducible_by_the_seed():
    make = [SparsityBuilder(seed).set_weight("*.weight", format=("random-fraction:0.5", "csr")) for seed in (1, 1, 2)]
    model = network()
    one, two, three = (builder.get_sparse_model(model)[2].weight.pattern for builder in make)

    assert torch.equal(one, two)
    assert not torch.equal(one, three)


@pytest.mark.parametrize(("call", "clause"), [
    (lambda builder: builder.set_weight("0.weight"), "BUILD-3"),
    (lambda builder: builder.set_weight("0.weight", format="csr:0.5", out_format="csr"), "BUILD-3"),
    (lambda builder: builder.set_weight("0.weight", external_sparsifier="scalar-fraction:0.5"), "BUILD-3"),
    (lambda builder: builder.set_weight("0.weight", inline_sparsifier="scalar-fraction:0.5", out_format="csr"), "FMT-2"),
    (lambda builder: builder.set_weight("0.weight", format="csv:0.5"), "REG-2"),
    (lambda builder: builder.set_weight("0.wait", format="csr:0.5").get_sparse_model(network()), "BUILD-1"),
    (lambda builder: builder.set_weight_grad("9.*", format="same").get_sparse_model(network()), "BUILD-1"),
    (lambda builder: builder.set_weight("0.*", format=("random-fraction:0.5", "csr")).get_sparse_model(network()), "SPF-5"),
])
def test_what_cannot_be_done_is_refused(call, clause):
    with pytest.raises(sr.SpecError, match=clause):
        call(SparsityBuilder())
