"""SET and RigL: as many stored entries as before, in other places, and what grows begins at zero."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch import SparseTensor, sparse_parameter, sparsify
from sparseref_torch.training import SET, RigL, erk
from torch import nn
from torch.nn import functional
from training_models import OPTIMIZERS, convnet, images, run, train

import sparseref as sr

METHODS = {"set": lambda model, **how: SET(model, "*.weight", "csr:0.8", **how),
           "rigl": lambda model, **how: RigL(model, "*.weight", "csr:0.8", stop=100, **how)}
PLACES = (0, 3, 5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", METHODS)
def test_the_count_is_conserved_and_what_grows_begins_at_zero(optimizer, method):
    """Weight and optimizer state; whatever stays keeps both, bit for bit."""
    model = convnet()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    regime = METHODS[method](model, every=2).attach(optimizer)
    counts = [model[i].weight.nnz for i in PLACES]
    before, moved = {}, []

    def remember(*_):
        for i in PLACES:
            states = {key: state.to_dense().clone() for key, state in optimizer.state[model[i].weight].items() if state.dim()}
            before[i] = model[i].weight.pattern, model[i].weight.to_dense().detach().clone(), states

    def look(names):
        for i in PLACES:
            pattern, values, states = before[i]
            now = model[i].weight
            grown = now.pattern & ~pattern
            stays = now.pattern & pattern & (now.to_dense() != 0)      # an entry that was dropped and grew at once is 0
            moved.append(int(grown.sum()))

            assert not now.to_dense()[grown].any()
            assert torch.equal(now.to_dense()[stays], values[stays])
            for key, state in optimizer.state[now].items():
                if state.dim():
                    assert not state.to_dense()[grown].any()
                    assert torch.equal(state.to_dense()[stays], states[key][stays])

    regime._handles[1].remove()                                # ours comes between the optimizer and the change
    optimizer.register_step_post_hook(remember)
    regime._handles[1] = optimizer.register_step_post_hook(lambda *_: regime._advance())
    regime.on_change.append(look)
    for _ in train(model, optimizer, 7):
        assert counts == [model[i].weight.nnz for i in PLACES]
    assert len(moved) == 9
    assert sum(moved) > 0
    regime.finish()
    assert not optimizer._optimizer_step_pre_hooks


def test_a_dense_model_begins_at_random_with_erk():
    """The values it has at the places that were drawn."""
    dense, model = convnet(), convnet()
    SET(model, "*.weight", "csr:0.8", seed=1)
    expected = [math.prod(dense[i].weight.shape) - dropped
                for i, dropped in zip(PLACES, erk([tuple(dense[i].weight.shape) for i in PLACES], 0.8), strict=True)]
    actual = [model[i].weight.nnz for i in PLACES]

    assert expected == actual
    for i in PLACES:
        assert torch.equal(torch.where(model[i].weight.pattern, dense[i].weight, 0), model[i].weight.to_dense())


def test_a_sparse_model_begins_as_it_is():
    model = convnet()
    model[3].weight = nn.Parameter(sparsify(model[3].weight.detach(), "csr:0.9"))
    expected = model[3].weight.to_dense()
    RigL(model, "3.weight", "csr:0.5", stop=10)
    actual = model[3].weight.to_dense()

    assert torch.equal(expected, actual)


def test_rigl_by_hand():
    """Four of eight stored; half go: the least weights; the largest gradients of what is not kept grow, dropped ones too."""
    layer = nn.Linear(8, 1, bias=False)
    layer.weight = nn.Parameter(sparsify(torch.tensor([[5.0, 1.0, 4.0, 2.0, 0, 0, 0, 0]]), "csr:0.5"))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    RigL(layer, "weight", "csr:0.5", stop=2, every=1, fraction=1.0).attach(optimizer)      # cos(pi/2): half of them
    layer(torch.tensor([[0.0, 7.0, 9.0, 0.0, 3.0, 8.0, 1.0, 2.0]])).sum().backward()
    optimizer.step()
    expected = torch.tensor([[True, True, True, False, False, True, False, False]])
    actual = layer.weight.pattern

    assert torch.equal(expected, actual)
    assert torch.equal(layer.weight.to_dense(), torch.tensor([[5.0, 0, 4, 0, 0, 0, 0, 0]]))


def test_rigl_grows_by_the_dense_gradient_of_all_micro_batches():
    """Summed over the backward passes since the last step, though `.grad` holds stored entries alone."""
    model, (x, classes) = convnet(), images()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    regime = RigL(model, "3.weight", "csr:0.8", stop=100, every=1, fraction=0.3)
    regime.attach(optimizer)
    twin = convnet()
    twin.load_state_dict({name: tensor.to_dense() if isinstance(tensor, SparseTensor) else tensor
                          for name, tensor in model.state_dict().items()})
    before = model[3].weight.pattern
    for half in (slice(0, 8), slice(8, 16)):
        for net in (model, twin):
            functional.cross_entropy(net(x[half]), classes[half]).backward()
    assert isinstance(model[3].weight.grad, SparseTensor)
    kept = before.clone()
    count = math.floor(regime.exchanged(1) * int(before.sum()))
    magnitude = torch.where(before, twin[3].weight.detach().double().abs(), math.inf).reshape(-1)
    kept.reshape(-1)[magnitude.argsort(stable=True)[:count]] = False
    growth = torch.where(kept, -math.inf, twin[3].weight.grad.double().abs()).reshape(-1)
    expected = kept.clone()
    expected.reshape(-1)[(-growth).argsort(stable=True)[:count]] = True
    optimizer.step()
    actual = model[3].weight.pattern

    assert (expected != actual).sum() <= 2                     # two sums in another order may swap near ties
    assert actual.sum() == before.sum()


def test_gradients_are_dense_only_before_an_update():
    """Hooks that keep them are there in that backward pass alone."""
    model = convnet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    regime = RigL(model, "*.weight", "csr:0.8", stop=100, every=3).attach(optimizer)
    expected = [0, 3, 0, 0, 3, 0]                              # after step 2 they wait for the third
    actual = [len(regime._listeners) for _ in train(model, optimizer, 6)]
    regime.finish()

    assert expected == actual
    assert not regime._listeners


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_that_is_moved_in_between_still_shows_its_gradients(dtype):
    """model.to(...) swaps the contents of a parameter, its gradient hooks not."""
    model, (x, classes) = convnet(), images()
    regime = RigL(model, "3.weight", "csr:0.8", stop=100, every=1)
    model.to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    regime.attach(optimizer)
    before = model[3].weight.pattern
    functional.cross_entropy(model(x.to(dtype)), classes).backward()

    assert isinstance(model[3].weight.grad, SparseTensor)
    optimizer.step()
    assert not torch.equal(before, model[3].weight.pattern)
    assert before.sum() == model[3].weight.pattern.sum()


def test_the_share_falls_as_a_cosine():
    """Evci et al. 2020: all of it at first, half in the middle, none at the end."""
    regime = RigL(convnet(), "3.weight", "csr:0.5", stop=100, fraction=0.4)
    expected = [0.4, 0.2, 0.0]
    actual = [regime.exchanged(step) for step in (0, 50, 100)]

    assert np.allclose(expected, actual, rtol=0, atol=np.finfo(float).eps)
    assert not regime.updates(100)


def test_a_seed_says_all_of_set():
    models = [convnet() for _ in range(2)]
    for model in models:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        SET(model, "*.weight", "csr:0.8", every=2, seed=4).attach(optimizer)
        run(model, optimizer, 5)

    assert all(torch.equal(models[0][i].weight.pattern, models[1][i].weight.pattern) for i in PLACES)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["csr", "coo", "masked"]))
def test_every_size_and_share_conserves_the_count(rows, columns, sparsity, fraction, layout):
    """Even where more would be exchanged than there is room for."""
    layer = nn.Linear(columns, rows)
    regime = SET(layer, "weight", f"{layout}:{sparsity:.6f}", every=1, fraction=fraction)
    expected = layer.weight.nnz
    for _ in range(3):
        regime.step()

        assert expected == layer.weight.nnz


def test_no_gradient_is_no_growth():   # TRAIN-8
    model = convnet()
    regime = RigL(model, "*.weight", "csr:0.8", stop=10, every=1)
    with pytest.raises(sr.SpecError) as refused:
        regime.step()

    assert refused.value.clause == "TRAIN-8"
    assert "0.weight" in str(refused.value)


@pytest.mark.parametrize("how", [{"formats": "nm:2:8"}, {"formats": "bsr:4:4:0.5"}, {"allocation": "global"}, {"every": 0},
                                 {"every": 1.5}, {"fraction": 1.5}, {"fraction": True}, {"stop": 0}], ids=str)
def test_what_cannot_be_rewired_is_refused(how):   # TRAIN-8
    with pytest.raises(sr.SpecError) as refused:
        SET(convnet(), "3.weight", **{"formats": "csr:0.8", **how})

    assert refused.value.clause == "TRAIN-8"


@pytest.mark.parametrize("form", ["dense", "csr:0.75"])
def test_a_gradient_format_is_taken_after_a_move_too(form):
    """The hook of before the move is gone, and the new one is called."""
    model, (x, classes) = convnet(), images()
    model[3].weight = sparse_parameter(sparsify(model[3].weight.detach(), "csr:0.5"))
    model.to(torch.float64)
    model[3].weight.set_grad_format(form)
    functional.cross_entropy(model(x.double()), classes).backward()
    expected = "dense" if form == "dense" else "csr"
    actual = str(getattr(model[3].weight.grad, "descriptor", "dense"))

    assert expected == actual
