"""The pruner: exact sparsity, nested patterns, the same parameters, optimizers that follow."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch import Selector, SparseTensor, sparsify
from sparseref_torch.training import STE, Cubic, Iterative, LayerWise, Linear, OneShot, Pruner
from torch import nn
from training_models import OPTIMIZERS, convnet, images, run, train

import sparseref as sr

SIZES = {"0.weight": 216, "3.weight": 4096, "5.weight": 320}


def states_of(optimizer, parameter):
    """name -> state with one number an entry."""
    return {name: state for name, state in optimizer.state[parameter].items() if state.shape == parameter.shape}


def test_one_shot_at_once_is_what_sparsify_does():
    """Construction prunes; ordinary training afterwards is fine-tuning on a fixed mask."""
    dense, model = convnet(), convnet()
    Pruner(model, "*.weight", "csr:0.9")
    for i in (0, 3, 5):
        expected = sparsify(dense[i].weight.detach(), "csr:0.9")
        actual = model[i].weight

        assert torch.equal(expected.pattern, actual.pattern)
        assert torch.equal(expected.to_dense(), actual.to_dense())
        assert isinstance(actual, nn.Parameter)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fine_tuning_keeps_the_mask_and_learns(optimizer):
    model = convnet()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    Pruner(model, "*.weight", "csr:0.8").attach(optimizer)     # attached: the optimizer held the dense parameters
    before = {i: model[i].weight.pattern for i in (0, 3, 5)}
    losses = run(model, optimizer, 8)

    assert losses[-1] < losses[0]
    assert all(torch.equal(before[i], model[i].weight.pattern) for i in before)
    assert all(isinstance(state, SparseTensor) and state.nnz == model[i].weight.nnz
               for i in before for state in states_of(optimizer, model[i].weight).values())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("allocation", ["uniform", "erk", "global"])
def test_gradual_pruning_nests_and_ends_exactly(optimizer, allocation):
    """Once dropped stays dropped; after the last update the total is the one that was asked for; states follow."""
    model = convnet()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    pruner = Pruner(model, "*.weight", "csr:0.87", Cubic(0, 8, every=2), allocation=allocation).attach(optimizer)
    before = {i: model[i].weight.pattern for i in (0, 3, 5)}
    parameters = {i: model[i].weight for i in before}
    for _ in train(model, optimizer, 10):
        for i in before:
            now = model[i].weight.pattern

            assert not (now & ~before[i]).any()
            assert model[i].weight is parameters[i]
            assert all(torch.equal(state.pattern, now) for state in states_of(optimizer, model[i].weight).values())
            before[i] = now
    total = sum(SIZES.values())
    expected = (sum(size - round(0.87 * size) for size in SIZES.values()) if allocation == "uniform" else
                total - round(0.87 * total))
    actual = sum(model[i].weight.nnz for i in before)

    assert expected == actual
    assert pruner.sparsity() == 1 - actual / total
    assert pruner.finish() is model


def test_what_survives_keeps_value_and_optimizer_state():
    """Bit for bit; what is dropped is gone from all."""
    model = convnet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    pruner = Pruner(model, "3.weight", "csr:0.9", OneShot(at=3))
    pruner.attach(optimizer)
    parameter, seen = model[3].weight, {}

    def look(names):
        seen["after"] = {key: state.to_dense() for key, state in states_of(optimizer, parameter).items()}
    pruner.on_change.append(look)
    run(model, optimizer, 2)
    twin, twin_optimizer = convnet(), None
    twin_optimizer = torch.optim.AdamW(twin.parameters(), lr=0.01)
    run(model, optimizer, 1)
    run(twin, twin_optimizer, 3)
    pattern = parameter.pattern

    assert parameter.nnz == 4096 - round(0.9 * 4096)
    assert torch.equal(torch.where(pattern, twin[3].weight, 0), parameter.to_dense())
    for key, state in seen["after"].items():
        assert torch.equal(torch.where(pattern, twin_optimizer.state[twin[3].weight][key], 0), state)


def test_the_gradient_follows_too():
    """With zero_grad(set_to_none=False) it is added to, so it must lie in the new slots."""
    model, (x, classes) = convnet(), images()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    Pruner(model, "*.weight", "csr:0.5", OneShot(at=1)).attach(optimizer)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=False)
        nn.functional.cross_entropy(model(x), classes).backward()
        optimizer.step()

        assert all(torch.equal(model[i].weight.grad.pattern, model[i].weight.pattern) for i in (0, 3, 5))


@pytest.mark.parametrize("ladder", [["nmg:4:8:2", "nmg:2:8:2"], ["nm:4:8", "nm:2:8", "nm:1:8"], ["vnm:4:4:8", "vnm:4:2:8"],
                                    "bsr:4:4:0.75", [("nm:2:4", "masked"), "csr:0.75"]], ids=str)
def test_ladders_climb(ladder):
    """Every rung in its turn, and the last at the end."""
    model = convnet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    pruner = Pruner(model, "3.weight", ladder, Linear(0, 8)).attach(optimizer)
    seen = [str(model[3].weight.descriptor)]
    for _ in train(model, optimizer, 9):
        seen += [str(model[3].weight.descriptor)] if str(model[3].weight.descriptor) != seen[-1] else []
    pruner.finish()
    rungs = ladder if isinstance(ladder, list) else ["bsr:4:4"]
    expected = ["dense", *(rung[1] if isinstance(rung, tuple) else rung.removesuffix(":0.75") for rung in rungs)]

    assert expected == seen


@pytest.mark.parametrize("ladder", [["nm:4:8", "nm:2:8"], ["vnm:4:4:8", "vnm:4:2:8"], "bsr:4:4:0.75"], ids=str)
def test_structured_patterns_nest_where_their_form_lets_them(ladder):
    """n of m, whole vectors and whole blocks are subsets of what came before."""
    model = convnet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    Pruner(model, "3.weight", ladder, Linear(0, 6)).attach(optimizer)
    before = model[3].weight.pattern
    for _ in train(model, optimizer, 8):
        assert not (model[3].weight.pattern & ~before).any()
        before = model[3].weight.pattern

    assert int(before.sum()) == 1024


def test_what_a_group_stores_again_begins_at_zero():
    """nmg chooses whole fibres: an entry may return, without its old value and without momentum."""
    model = convnet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    pruner, before, checked = Pruner(model, "3.weight", ["nmg:4:8:1", "nmg:1:8:8"], Linear(0, 4)).attach(optimizer), {}, []
    parameter = model[3].weight

    def look(names):
        returned = parameter.pattern & ~before["pattern"]
        checked.append(int(returned.sum()))

        assert not parameter.to_dense()[returned].any()
        assert not optimizer.state[parameter]["momentum_buffer"].to_dense()[returned].any()
    pruner.on_change.append(look)
    for _ in train(model, optimizer, 4):
        before["pattern"] = parameter.pattern

    assert len(checked) == 2


def test_layers_go_dense_to_sparse_one_by_one():
    model = convnet()
    pruner = Pruner(model, "*.weight", "nm:2:8", LayerWise(2))
    course = [tuple(s > 0 for s in pruner.sparsities().values())]
    course += [tuple(s > 0 for s in pruner.step().sparsities().values()) for _ in range(4)]
    expected = [(True, False, False)] * 2 + [(True, True, False)] * 2 + [(True, True, True)]

    assert expected == course


@pytest.mark.parametrize("rewind", [0, 1])
def test_rewinding_takes_survivors_back(rewind):
    """Frankle & Carbin: after a round the survivors, biases and statistics are what they were; the optimizer begins anew."""
    model = nn.Sequential(convnet(), nn.BatchNorm1d(10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    start, seen = {}, []
    pruner = Pruner(model, ["0.3.weight", "0.5.weight"], "csr:0.75", Iterative(2, 3, rewind=rewind)).attach(optimizer)

    def look(names):
        seen.append(pruner.sparsity())
        for name, tensor in model.state_dict().items():
            wanted = torch.where(tensor.pattern, start[name], 0) if isinstance(tensor, SparseTensor) else start[name]

            assert torch.equal(wanted, tensor.to_dense() if isinstance(tensor, SparseTensor) else tensor)
        assert not optimizer.state
    pruner.on_change.append(look)
    for step in range(7):
        if step == rewind:
            start = {name: (tensor.to_dense() if isinstance(tensor, SparseTensor) else tensor).clone()
                     for name, tensor in model.state_dict().items()}
        run(model, optimizer, 1)

    assert seen == [0.5, 0.75]


def test_tied_weights_stay_tied():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[1].weight = model[0].weight
    pruner = Pruner(model, "*", "csr:0.5")

    assert model[0].weight is model[1].weight
    assert list(pruner.sparsities()) == ["0.weight"]


@pytest.mark.parametrize("form", ["csr:0.5", "nm:2:4", "nmg:2:4:1"])
@pytest.mark.parametrize("latent", [None, "ste"])
def test_a_turned_weight_is_pruned_as_its_matrix(form, latent):
    """Hugging Face's Conv1D holds the transpose."""
    from transformers.pytorch_utils import Conv1D

    model = nn.Sequential(Conv1D(8, 12))
    plain = nn.Linear(12, 8)
    plain.weight = nn.Parameter(model[0].weight.detach().T.contiguous())
    Pruner(model, "0.weight", form, latent=latent).finish()
    expected = sparsify(plain.weight.detach(), form).pattern.T
    actual = model[0].weight.pattern

    assert torch.equal(expected, actual)
    assert model[0].weight.turned


def test_a_frozen_weight_is_pruned_and_stays_frozen():
    model = convnet()
    model[3].weight.requires_grad_(False)
    Pruner(model, "3.weight", "csr:0.5")

    assert not model[3].weight.requires_grad
    assert model[3].weight.nnz == 2048


def test_a_selector_says_which():
    model = convnet()
    pruner = Pruner(model, Selector(module=nn.Linear, min_size=1000), "csr:0.5")
    expected = ["3.weight"]
    actual = list(pruner.sparsities())

    assert expected == actual


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_straight_through_latent_weights_can_come_back(optimizer):
    """The forward pass sees n of m; underneath all train; finish() stores what the last pattern shows."""
    model = convnet()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    pruner = Pruner(model, "*.weight", "nm:2:8", latent="ste").attach(optimizer)
    first = model[3].parametrizations.weight[0].mask.clone()
    latent = model[3].parametrizations.weight.original
    losses = run(model, optimizer, 15)
    last, weight = model[3].parametrizations.weight[0].mask.clone(), model[3].weight.detach()

    assert losses[-1] < losses[0]
    assert (last & ~first).any()
    assert torch.equal(weight != 0, last)
    assert any(latent is parameter for group in optimizer.param_groups for parameter in group["params"])
    assert pruner.finish() is model
    assert isinstance(model[3].weight, SparseTensor)
    assert torch.equal(model[3].weight.pattern, last)
    assert torch.equal(model[3].weight.to_dense(), weight)
    assert any(model[3].weight is parameter for group in optimizer.param_groups for parameter in group["params"])
    assert all(isinstance(state, SparseTensor) for state in states_of(optimizer, model[3].weight).values())
    run(model, optimizer, 2)


def test_sr_ste_by_hand():
    """Zhou et al. 2021, equation 9: w - lr * (g + decay * dropped w), g the gradient at the masked weight."""
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[4.0, -3.0, 2.0, 1.0]]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    Pruner(model, "0.weight", "nm:2:4", latent="sr-ste,decay=0.25").attach(optimizer)
    model(torch.tensor([[1.0, 2.0, 4.0, 8.0]])).sum().backward()
    optimizer.step()
    expected = torch.tensor([[4 - 0.5, -3 - 1.0, 2 - 0.5 * (4 + 0.5), 1 - 0.5 * (8 + 0.25)]])
    actual = model[0].parametrizations.weight.original.detach()

    assert torch.equal(expected, actual)


@given(st.floats(0, 0.95), st.sampled_from(["csr", "masked", "coo"]), st.integers(1, 6), st.integers(0, 3))
def test_the_count_is_exact_whatever_the_fraction(fraction, layout, every, seed):
    """SFRAC-S1 for the last pattern, however it was come by."""
    layer = nn.Linear(7, 5)
    pruner = Pruner(nn.Sequential(layer), "0.weight", f"{layout}:{fraction:.6f}", Cubic(0, 6, every), scores="random")
    for _ in range(6):
        pruner.step()
    expected = 35 - sr.sparsifiers.base.dropped_count(float(f"{fraction:.6f}"), 35)
    actual = layer.weight.nnz

    assert expected == actual


def test_a_run_that_goes_on_later_is_the_same_run():
    """State dicts of model, optimizer and pruner: the same weights as without the break."""
    def parts():
        model = convnet()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        pruner = Pruner(model, "*.weight", "csr:0.9", Cubic(1, 8, 2), scores="fisher", allocation="erk").attach(optimizer)
        return model, optimizer, pruner

    whole = parts()
    run(*whole[:2], 10)
    first = parts()
    run(*first[:2], 5)
    second = parts()
    for old, new in zip(first, second, strict=True):
        new.load_state_dict(copy.deepcopy(old.state_dict()))
    run(*second[:2], 5)
    for i in (0, 3, 5):
        assert torch.equal(whole[0][i].weight.pattern, second[0][i].weight.pattern)
        assert torch.equal(whole[0][i].weight.to_dense(), second[0][i].weight.to_dense())


def test_the_plain_loop_tells_the_optimizer():
    """step(optimizer) after each step does what attach does."""
    attached, told = convnet(), convnet()
    one, two = (torch.optim.AdamW(model.parameters(), lr=0.01) for model in (attached, told))
    Pruner(attached, "*.weight", "csr:0.9", Cubic(0, 4)).attach(one)
    run(attached, one, 5)
    pruner = Pruner(told, "*.weight", "csr:0.9", Cubic(0, 4))
    two = torch.optim.AdamW(told.parameters(), lr=0.01)
    for _ in train(told, two, 5):
        pruner.step(two)

    assert torch.equal(attached[3].weight.to_dense(), told[3].weight.to_dense())


def test_an_optimizer_that_is_not_told_is_found_out():     # TRAIN-5
    model = convnet()
    pruner = Pruner(model, "*.weight", "csr:0.9", Cubic(0, 4))
    run(model, torch.optim.AdamW(model.parameters()), 1)
    with pytest.raises(sr.SpecError) as refused:
        pruner.step()

    assert refused.value.clause == "TRAIN-5"


def test_an_optimizer_of_the_dense_parameters_is_found_out():      # TRAIN-5
    """It would train weights that the model has no more."""
    model = convnet()
    optimizer = torch.optim.AdamW(model.parameters())
    pruner = Pruner(model, "*.weight", "csr:0.9")
    run(model, optimizer, 1)
    with pytest.raises(sr.SpecError) as refused:
        pruner.step()

    assert refused.value.clause == "TRAIN-5"


def test_stepping_twice_and_finishing_early_are_refused():     # TRAIN-6
    model = convnet()
    optimizer = torch.optim.AdamW(model.parameters())
    pruner = Pruner(model, "*.weight", "csr:0.9", Cubic(0, 4)).attach(optimizer)
    for call in (pruner.step, pruner.finish):
        with pytest.raises(sr.SpecError) as refused:
            call()

        assert refused.value.clause == "TRAIN-6"
    assert pruner.finish(early=True) is model


@pytest.mark.parametrize("make", [
    lambda: Pruner(convnet(), "*", "csr:0.5", latent="stee"), lambda: STE(-1), lambda: STE(True), lambda: STE(float("nan")),
    lambda: Pruner(nn.ParameterDict({"w": nn.Parameter(sparsify(torch.ones(4, 4), "csr:0.5"))}), "w", "csr:0.5", latent="ste")])
def test_latent_weights_that_cannot_be_are_refused(make):      # TRAIN-7
    with pytest.raises(sr.SpecError) as refused:
        make()

    assert refused.value.clause == "TRAIN-7"


def test_rewinding_and_latent_weights_exclude_each_other():    # TRAIN-1
    with pytest.raises(sr.SpecError) as refused:
        Pruner(convnet(), "*", "csr:0.5", Iterative(2, 5, rewind=0), latent="ste")

    assert refused.value.clause == "TRAIN-1"
