"""Scores that training gathers: the specification's, to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch import SparseTensor, sparsify
from sparseref_torch.training import Cubic, Fisher, Movement, OneShot, Pruner, Random, Wanda, parse_scores
from torch import nn
from torch.nn import functional
from training_models import convnet, images, run

import sparseref as sr
from sparseref.sparsifiers import fisher, movement, wanda

ARRAYS = st.integers(0, 2**32 - 1).map(np.random.default_rng)
DTYPES = st.sampled_from(["float32", "float64"])


def drawn(generator, shape, dtype):
    return torch.from_numpy(generator.standard_normal(shape).astype(dtype))


@given(ARRAYS, DTYPES)
def test_movement_of_one_step_is_the_specifications(generator, dtype):     # SCORE-S1
    w, g = (drawn(generator, (4, 6), dtype) for _ in range(2))
    scores = Movement()
    scores.observe("w", w, g)
    expected = movement(w.numpy(), g.numpy())
    actual = scores.of("w", w).numpy()

    assert expected.tobytes() == actual.tobytes()


@given(ARRAYS)
def test_movement_adds_up_over_steps(generator):   # SCORE-S1
    """Each step with the weights that it had."""
    pairs = [[drawn(generator, (4, 6), "float32") for _ in range(2)] for _ in range(3)]
    scores = Movement()
    for w, g in pairs:
        scores.observe("w", w, g)
    expected = sum(movement(w.numpy(), g.numpy()) for w, g in pairs)
    actual = scores.of("w", pairs[-1][0]).numpy()

    assert expected.tobytes() == actual.tobytes()


@given(ARRAYS, DTYPES, st.integers(1, 4))
def test_fisher_is_the_specifications_on_the_mean_square(generator, dtype, steps):     # SCORE-S2
    w, gradients = drawn(generator, (4, 6), dtype), [drawn(generator, (4, 6), dtype) for _ in range(steps)]
    scores = Fisher()
    for g in gradients:
        scores.observe("w", w, g)
    expected = fisher(w.numpy(), sum(g.double().numpy() ** 2 for g in gradients) / steps)
    actual = scores.of("w", w).numpy()

    assert expected.tobytes() == actual.tobytes()


@given(ARRAYS, DTYPES)
def test_wanda_is_the_specifications(generator, dtype):    # SCORE-S3
    """Over one batch to the last bit."""
    layer, x = nn.Linear(6, 4).to(getattr(torch, dtype)), drawn(generator, (2, 5, 6), dtype)
    scores = Wanda()
    scores.watch("w", layer, "weight")
    layer(x)
    scores.stop()
    layer(x)                                                   # nobody looks any more
    expected = wanda(layer.weight.detach().numpy(), x.numpy())
    actual = scores.of("w", layer.weight.detach()).numpy()

    assert expected.tobytes() == actual.tobytes()


@given(ARRAYS, st.integers(1, 4))
def test_wanda_over_batches_is_wanda_over_all(generator, batches):     # SCORE-S3
    """Whole numbers, so that every order of the sum is exact."""
    layer, x = nn.Linear(6, 4), torch.from_numpy(generator.integers(-8, 9, (3 * batches, 6))).float()
    scores = Wanda()
    scores.watch("w", layer, "weight")
    for batch in x.split(3):
        layer(batch)
    expected = wanda(layer.weight.detach().numpy(), x.numpy())
    actual = scores.of("w", layer.weight.detach()).numpy()

    assert expected.tobytes() == actual.tobytes()


@pytest.mark.parametrize("options", [{}, {"padding": 1, "stride": 2}, {"padding": "same", "dilation": 2}])
def test_wanda_of_a_convolution_looks_through_its_kernel(options):     # SCORE-S3
    """An output pixel is |w| . |patch| at most, so the norms are those of the patches: whole numbers, exact."""
    generator = torch.Generator().manual_seed(0)
    layer, x = nn.Conv2d(2, 3, (3, 2), **options), torch.randint(-4, 5, (2, 2, 7, 6), generator=generator).float()
    scores = Wanda()
    scores.watch("w", layer, "weight")
    layer(x)
    norms = torch.zeros(2, 3, 2, dtype=torch.float64)
    for c, i, j in np.ndindex(2, 3, 2):                        # a kernel that picks one pixel under each place
        picker = torch.zeros(1, 2, 3, 2)
        picker[0, c, i, j] = 1
        norms[c, i, j] = functional.conv2d(x, picker, stride=layer.stride, padding=layer.padding,
                                           dilation=layer.dilation).double().square().sum().sqrt()
    expected = layer.weight.detach().double().abs() * norms
    actual = scores.of("w", layer.weight.detach())

    assert torch.equal(expected, actual)


def test_wanda_of_a_turned_weight_is_that_of_its_matrix():     # SCORE-S3
    """Hugging Face's Conv1D holds [K, O], here square, where the shape does not tell."""
    from transformers.pytorch_utils import Conv1D

    layer, x = Conv1D(5, 5), torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    scores = Wanda()
    scores.watch("w", layer, "weight")
    layer(x)
    expected = wanda(layer.weight.detach().numpy().T, x.numpy()).T
    actual = scores.of("w", layer.weight.detach()).numpy()

    assert np.array_equal(expected, actual)


@pytest.mark.parametrize("name", ["movement", "fisher"])
def test_the_pruner_shows_the_scores_what_the_optimizer_uses(name):    # SCORE-S1, SCORE-S2
    """The weights before the step and the gradient of the step: the pattern is the specification's choice."""
    plain, model, seen = convnet(), convnet(), []
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.01)
    optimizer.register_step_pre_hook(lambda *_: seen.append((plain[3].weight.detach().clone(), plain[3].weight.grad.clone())))
    run(plain, optimizer, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    Pruner(model, "3.weight", "csr:0.75", OneShot(at=3), scores=name).attach(optimizer)
    run(model, optimizer, 3)
    last = plain[3].weight.detach().numpy()
    if name == "movement":
        scores = sum(movement(w.numpy(), g.numpy()) for w, g in seen)
    else:
        scores = fisher(last, sum(g.double().numpy() ** 2 for _, g in seen) / 3)
    expected = sr.select(last, sr.ScalarFraction(0.75), scores)
    actual = model[3].weight.pattern.numpy()

    assert np.array_equal(expected, actual)


def test_wanda_prunes_by_what_a_calibration_run_showed():      # SCORE-S3
    """A few forward passes, one step: no optimizer is needed."""
    model, (x, _) = convnet(), images()
    pruner = Pruner(model, "5.weight", "csr:0.5", OneShot(at=1), scores="wanda")
    hidden = []
    model[5].register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0].detach()))
    weight = model[5].weight.to_dense().detach().numpy()
    model(x)
    pruner.step().finish()
    expected = sr.select(weight, sr.ScalarFraction(0.5), wanda(weight, hidden[0].numpy()))
    actual = model[5].weight.pattern.numpy()

    assert np.array_equal(expected, actual)
    assert isinstance(model[5].weight, SparseTensor)


def test_random_scores_are_drawn_once():
    """So that patterns nest, and a seed says which."""
    w, scores = torch.ones(4, 4), Random(seed=3)
    expected = scores.of("w", w)
    actual = scores.of("w", w * 2)

    assert torch.equal(expected, actual)
    assert torch.equal(expected, Random(seed=3).of("w", w))
    assert not torch.equal(expected, scores.of("v", w))


@pytest.mark.parametrize("name", ["movement", "fisher", "wanda"])
def test_a_score_that_saw_nothing_is_refused(name):    # TRAIN-3
    with pytest.raises(sr.SpecError) as refused:
        Pruner(convnet(), "3.weight", "csr:0.9", scores=name)

    assert refused.value.clause == "TRAIN-3"
    assert "begin to prune later" in str(refused.value)


@pytest.mark.parametrize("module", [nn.Embedding(4, 4), nn.Conv2d(4, 4, 3, groups=2), nn.Conv1d(4, 4, 3),
                                    nn.Conv2d(4, 4, 3, padding_mode="circular")], ids=str)
def test_wanda_needs_the_inputs_of_the_weight(module):     # TRAIN-3
    with pytest.raises(sr.SpecError) as refused:
        Wanda().watch("w", module, "weight")

    assert refused.value.clause == "TRAIN-3"


@pytest.mark.parametrize("given", ["magnitud", 7])
def test_what_are_no_scores_is_refused(given):     # TRAIN-3
    with pytest.raises(sr.SpecError) as refused:
        parse_scores(given)

    assert refused.value.clause == "TRAIN-3"


@pytest.mark.parametrize("scores", [Movement, Fisher, Random])
def test_what_was_gathered_can_be_kept(scores):
    """A run that goes on later ranks as one that was not interrupted."""
    w, first, second = torch.ones(2, 3), scores(), scores()
    first.observe("w", w, w * 3)
    first.of("w", w)
    second.load_state_dict(first.state_dict())
    for each in (first, second):
        each.observe("w", w, -w)
        each.of("v", w) if scores is Random else None
    expected = first.of("w", w)
    actual = second.of("w", w)

    assert torch.equal(expected, actual)


def test_a_sparse_start_keeps_what_it_dropped():
    """Movement would like the dropped entries back; only latent weights may give them back."""
    model = convnet()
    model[3].weight = nn.Parameter(sparsify(model[3].weight.detach(), "csr:0.5"))
    before = model[3].weight.pattern
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    Pruner(model, "3.weight", "csr:0.8", Cubic(1, 4), scores="movement").attach(optimizer)
    run(model, optimizer, 4)

    assert not (model[3].weight.pattern & ~before).any()
    assert model[3].weight.nnz == round(0.2 * before.numel())
