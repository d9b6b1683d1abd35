"""The guard: silent while nothing drifts, and otherwise the tensor, what drifted and the likely cause."""

import copy

import pytest
import torch
from sparseref_torch import sparse_parameter, sparsify
from sparseref_torch.training import SET, Cubic, Pruner, RigL, SparsityGuard
from torch import nn
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel
from training_models import OPTIMIZERS, convnet, run, train

import sparseref as sr


def sparse_net(seed=0, form="csr:0.8"):
    model = convnet(seed)
    Pruner(model, "*.weight", form)
    return model


def masked_net():
    """Dense parameters with zeros, as many a script makes them."""
    model, masks = convnet(), {}
    for name in ("3.weight", "5.weight"):
        weight = model.get_parameter(name)
        masks[name] = sparsify(weight.detach(), "csr:0.8").pattern
        weight.data.mul_(masks[name])
    return model, masks


def refusal(call):
    with pytest.raises(sr.SpecError) as refused:
        call()
    assert refused.value.clause == "TRAIN-9"
    return str(refused.value)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_sparse_training_does_not_drift(optimizer):
    model = sparse_net()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    with SparsityGuard(model).attach(optimizer):
        run(model, optimizer, 4)


@pytest.mark.parametrize("make", [
    lambda model: Pruner(model, "*.weight", "csr:0.8", Cubic(0, 6)), lambda model: SET(model, "*.weight", "csr:0.8", every=2),
    lambda model: RigL(model, "*.weight", "csr:0.8", stop=9, every=2)], ids=["prune", "set", "rigl"])
@pytest.mark.parametrize("guard_first", [False, True])
def test_what_a_regime_changes_is_right(make, guard_first):
    """In either order of the hooks."""
    model = convnet()
    regime = make(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    guard = SparsityGuard(model, regime)
    for part in (guard, regime) if guard_first else (regime, guard):
        part.attach(optimizer)
    run(model, optimizer, 8)


def test_another_pattern_from_a_checkpoint_is_found():     # TRAIN-9
    """load_state_dict takes a sparse checkpoint's pattern; 0.weight is not in it."""
    model, other = sparse_net(), sparse_net(seed=1)
    guard = SparsityGuard(model)
    with torch.no_grad():
        model[3].weight.set_sparse_(other[3].weight)
    message = refusal(guard.check)

    assert "3.weight stores" in message
    assert "other entries" in message
    assert "load_state_dict" in message
    assert "0.weight" not in message


def test_a_tensor_that_became_dense_is_found():    # TRAIN-9
    """An assigned parameter, or load_state_dict(assign=True) of a dense checkpoint."""
    model = sparse_net()
    guard = SparsityGuard(model)
    model.load_state_dict(convnet().state_dict(), assign=True)
    message = refusal(guard.check)

    assert "3.weight was csr and is dense now" in message
    assert "assign=True" in message


def test_a_tensor_that_is_gone_is_found():     # TRAIN-9
    model = sparse_net()
    guard = SparsityGuard(model)
    model[3] = nn.Identity()

    assert "3.weight is gone" in refusal(guard.check)


def test_momentum_that_revives_masked_entries_is_named():      # TRAIN-9
    """Pruned in the middle of training, gradients masked from there on: the old momentum still moves them."""
    model, optimizer = convnet(), None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    run(model, optimizer, 3)
    weight = model[3].weight
    mask = sparsify(weight.detach(), "csr:0.8").pattern
    weight.data.mul_(mask)
    weight.register_hook(lambda grad: grad * mask)
    with pytest.raises(sr.SpecError) as refused, SparsityGuard(model).attach(optimizer):
        run(model, optimizer, 1)

    assert "3.weight" in str(refused.value)
    assert "momentum: momentum_buffer of the optimizer is not 0" in str(refused.value)


def test_an_unmasked_gradient_is_named():      # TRAIN-9
    model, _ = masked_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    guard = SparsityGuard(model).attach(optimizer)
    message = refusal(lambda: run(model, optimizer, 1))
    guard.detach()

    assert "the gradient is not masked" in message
    assert "3.weight" in message
    assert "5.weight" in message


def test_an_average_of_weights_is_checked_against_the_model():     # TRAIN-9
    """The average remembers entries from before the pruning."""
    model = convnet()
    average = AveragedModel(model)
    average.update_parameters(model)
    with torch.no_grad():
        for i in (3, 5):
            model[i].weight.mul_(sparsify(model[i].weight.detach(), "csr:0.8").pattern)
    average.update_parameters(model)
    message = refusal(lambda: SparsityGuard(model).check(average.module))

    assert "average of weights (EMA)" in message


def test_a_merge_into_masked_weights_is_found():   # TRAIN-9
    """A low-rank update is dense."""
    model, _ = masked_net()
    guard = SparsityGuard(model)
    with torch.no_grad():
        model[3].weight += torch.outer(torch.ones(32), torch.ones(128)) * 0.01
    message = refusal(guard.check)

    assert "dropped entries are not 0 any more" in message
    assert "merge (LoRA)" in message


def test_masked_weights_that_keep_their_zeros_pass():
    """The mask applied after each step, as scripts do; weight decay leaves zeros alone."""
    model, masks = masked_net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    guard = SparsityGuard(model)
    for _ in train(model, optimizer, 3):
        for name, mask in masks.items():
            model.get_parameter(name).data.mul_(mask)
        guard.check()


def test_masks_of_torch_prune_are_understood():
    """Its `weight` is computed from `weight_orig`, which stays dense."""
    model = convnet()
    prune.l1_unstructured(model[3], "weight", amount=0.8)
    guard = SparsityGuard(model)

    assert list(guard.kept) == ["3.weight"]
    guard.check()


def test_optimizer_state_in_another_pattern_is_found():    # TRAIN-9
    """As after a change of pattern that the optimizer was not told of."""
    model = sparse_net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    run(model, optimizer, 1)
    with torch.no_grad():
        model[3].weight.set_sparse_(sparse_net(seed=1)[3].weight)
    guard = SparsityGuard(model).attach(optimizer)
    message = refusal(guard.check)

    assert "exp_avg of 3.weight in the optimizer has another pattern" in message


def test_dense_optimizer_state_of_a_sparse_weight_is_found():      # TRAIN-9
    dense, model = convnet(), sparse_net()
    before, optimizer = (torch.optim.AdamW(net.parameters(), lr=0.01) for net in (dense, model))
    run(dense, before, 1)
    optimizer.load_state_dict(copy.deepcopy(before.state_dict()))
    guard = SparsityGuard(model).attach(optimizer)

    assert "exp_avg of 3.weight in the optimizer is dense" in refusal(guard.check)


def test_an_error_inside_is_not_hidden():
    model = sparse_net()
    guard = SparsityGuard(model)
    model[3] = nn.Identity()
    with pytest.raises(ZeroDivisionError), guard:
        raise ZeroDivisionError


def test_remember_takes_what_is_there_for_right():
    model = sparse_net()
    guard = SparsityGuard(model)
    model[3].weight = sparse_parameter(sparsify(convnet(1)[3].weight.detach(), "nm:2:8"))
    refusal(guard.check)
    guard.remember()
    guard.check()


def test_a_model_without_sparsity_has_nothing_to_guard():      # TRAIN-10
    with pytest.raises(sr.SpecError) as refused:
        SparsityGuard(convnet())

    assert refused.value.clause == "TRAIN-10"
