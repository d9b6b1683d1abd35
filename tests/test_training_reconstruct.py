"""Reconstruction: each row is the least-squares solution on its kept entries."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch.training import Pruner, reconstruct
from sparseref_torch.training.reconstruct import kept_least_squares
from torch import nn
from training_models import convnet, images

import sparseref as sr


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 8), st.integers(0, 8))
def test_each_row_solves_its_normal_equations(seed, rows, columns, extra):
    """The residual of (xx w - yx) at kept entries is rounding: backward stability of Cholesky (Higham 2002, theorem 10.4)."""
    generator = np.random.default_rng(seed)
    x, kept = generator.standard_normal((columns + extra, columns)), generator.random((rows, columns)) < 0.6
    xx, yx = torch.from_numpy(x.T @ x + np.eye(columns)), torch.from_numpy(generator.standard_normal((rows, columns)))
    w = kept_least_squares(xx, yx, torch.from_numpy(kept))
    residual = ((w @ xx - yx) * torch.from_numpy(kept)).abs()
    unit = np.finfo(np.float64).eps
    bound = 4 * (3 * columns + 2) * columns * unit * float(xx.abs().max()) * float(w.abs().max()) + unit

    assert not w[~torch.from_numpy(kept)].any()
    assert float(residual.max()) <= bound


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_that_can_be_exact_is_exact(bias):
    """The dropped columns are copies of kept ones, so these can do all the work."""
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(8, 4, bias=bias))
    half = torch.randn(64, 4) + 3
    x = torch.cat([half, half], dim=1)                         # column i + 4 is column i
    model = copy.deepcopy(teacher)
    with torch.no_grad():
        model[0].weight[:, 4:] = 0
    Pruner(model, "0.weight", "csr:0.5").finish()
    error = reconstruct(model, teacher, [x], damping=1e-9)["0.weight"]

    assert error < 1e-6
    torch.testing.assert_close(model(x), teacher(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["csr:0.75", "nm:2:8", "nmg:2:8:1"])
def test_the_error_of_the_output_falls(form):
    """Convolution, then linear layers, in order; patterns stay, padding or not."""
    teacher = convnet()
    model = Pruner(copy.deepcopy(teacher), "*.weight", form).finish()
    batches = [images(seed)[0] for seed in range(8)]
    x = torch.cat(batches)
    patterns = {i: model[i].weight.pattern for i in (0, 3, 5)}
    before = (model(x) - teacher(x)).square().mean()
    errors = reconstruct(model, teacher, batches)
    after = (model(x) - teacher(x)).square().mean()

    assert after < 0.8 * before
    assert list(errors) == ["0.weight", "3.weight", "5.weight"]
    assert all(0 <= error < 1 for error in errors.values())
    assert all(torch.equal(patterns[i], model[i].weight.pattern) for i in patterns)
    for module in [*model.modules(), *teacher.modules()]:
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


@pytest.mark.slow
def test_a_transformer_is_reconstructed_at_the_tokens_that_count():
    """A tiny random GPT-2 (turned weights) and the mean over two thirds of the tokens."""
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    teacher = GPT2Model(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=16, resid_pdrop=0.0,
                                   embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.3)).eval()
    model = Pruner(copy.deepcopy(teacher), "h.*.c_*.weight", "csr:0.5").finish()
    mask = torch.ones(16, 12, dtype=torch.long)
    mask[:, 8:] = 0
    batches = [{"input_ids": torch.randint(40, (16, 12)), "attention_mask": mask} for _ in range(4)]

    def error():
        with torch.no_grad():
            return sum((model(**b)[0] - teacher(**b)[0])[b["attention_mask"].bool()].square().mean() for b in batches)
    before = error()
    reconstruct(model, teacher, batches)

    assert error() < before / 2


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        return self.a(self.a(x))


class Idle(Twice):
    def forward(self, x):
        return x


@pytest.mark.parametrize("make", [
    lambda: (nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4)), [torch.ones(2, 4)]),
    lambda: (*pruned(nn.Sequential(nn.Linear(4, 4))), []), lambda: (*pruned(Twice()), [torch.ones(2, 4)]),
    lambda: (*pruned(Idle()), [torch.ones(2, 4)]),
    lambda: (pruned(nn.Sequential(nn.Linear(4, 4)))[0], nn.Linear(4, 4), [torch.ones(2, 4)]),
    lambda: (*pruned(nn.Sequential(nn.Conv2d(4, 4, 1, groups=2))), [torch.ones(2, 4, 1, 1)])])
def test_what_cannot_be_reconstructed_is_refused(make):    # TRAIN-12
    with pytest.raises(sr.SpecError) as refused:
        reconstruct(*make())

    assert refused.value.clause == "TRAIN-12"


def pruned(model):
    return Pruner(copy.deepcopy(model), "*", "csr:0.5").finish(), model
