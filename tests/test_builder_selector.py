"""Which tensors of a model a selector means."""

import pytest
from sparseref_torch.builder import Selector, is_turned
from torch import nn

import sparseref as sr


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8, bias=False))
        self.attention = nn.MultiheadAttention(8, 2)
        self.head = nn.Linear(8, 16)
        self.head.weight = self.embedding.weight


EVERY = ["embedding.weight", "body.0.weight", "body.2.weight", "attention.in_proj_weight", "attention.out_proj.weight"]


@pytest.mark.parametrize(("selector", "expected"), [
    (Selector(), EVERY),
    (Selector("body.*.weight"), ["body.0.weight", "body.2.weight"]),
    (Selector(["body.0.weight", "attention.in_proj_weight"]), ["body.0.weight", "attention.in_proj_weight"]),
    (Selector(module=nn.MultiheadAttention), ["attention.in_proj_weight"]),
    (Selector("body.*", module="Linear"), ["body.0.weight", "body.2.weight"]),
    (Selector(module="Linear", min_size=65), ["embedding.weight"]),
    (Selector("head.weight"), ["embedding.weight"]),
    (Selector(min_size=65, max_size=128), ["embedding.weight"]),
    (Selector(max_size=64), ["body.0.weight", "body.2.weight", "attention.out_proj.weight"]),
], ids=str)
def test_a_selector_finds_weights_by_name_module_and_size(selector, expected):
    """In the model's order; no bias, no norm; a tied weight once, under its first name."""
    actual = list(selector.parameters(Tied()))

    assert actual == expected


def test_a_place_is_where_the_conditions_hold():
    """A tied weight that is asked for as a Linear's is given at the Linear."""
    model = Tied()
    module, attribute = Selector(module=nn.Linear, min_size=65).parameters(model)["embedding.weight"]

    assert module is model.head
    assert attribute == "weight"


def test_modules_are_selected_alike():
    model = Tied()

    assert list(Selector("body.*", module="Linear").modules(model)) == ["body.0", "body.2"]


@pytest.mark.parametrize(("selector", "clause", "words"), [
    (lambda: Selector("body.0.wieght").parameters(Tied()), "BUILD-1", "body.0.weight"),
    (lambda: Selector(["body.0.weight", "bodies.*"]).parameters(Tied()), "BUILD-1", "bodies"),
    (lambda: Selector("body.*.bias").parameters(Tied()), "BUILD-1", "two dimensions"),
    (lambda: Selector(module="Conv2d").parameters(Tied()), "BUILD-1", "Conv2d"),
    (lambda: Selector(min_size=1000).parameters(Tied()), "BUILD-1", "1,000"),
    (lambda: Selector("haed").modules(Tied()), "BUILD-1", "head"),
    (lambda: Selector([]), "BUILD-2", "pattern"),
    (lambda: Selector([1]), "BUILD-2", "pattern"),
    (lambda: Selector(module=3), "BUILD-2", "nn.Linear"),
    (lambda: Selector().parameters(nn.ReLU()), "BUILD-1", "some"),
])
def test_what_fits_nothing_is_refused_with_what_is_there(selector, clause, words):
    with pytest.raises(sr.SpecError, match=clause) as refusal:
        selector()

    assert words in str(refusal.value)


def test_hugging_face_conv1d_is_turned_and_no_other():
    """transformers.Conv1D multiplies by [K, O]; torch's own layers hold [O, K]."""
    from transformers.pytorch_utils import Conv1D

    assert Conv1D(6, 4).weight.shape == (4, 6)
    assert is_turned(Conv1D(6, 4), "weight")
    assert not is_turned(nn.Linear(4, 6), "weight")
