"""Recipes on models: what the builder, the pruners and the one-shot command make of them."""

import pytest
import torch
from recipes import HEAD, RULE, Small, recipe
from sparseref_torch import SparseTensor
from sparseref_torch.recipe.applying import Figures, apply

import sparseref as sr
from sparseref import SpecError

EVERY_KIND = HEAD + """
    seed = 3
    [[weight]]
    module = ["Linear", "Conv2d"]
    format = "csr"
    initial = "random-fraction:0.5"
    [[weight]]
    name = "down.*"
    format = "dense"
    [[weight_grad]]
    name = "up.*"
    format = "csr:0.75"
    [[interm]]
    name = "norm"
    format = "csr:0.5"
    [[interm_grad]]
    name = "norm"
    format = "same"
"""


def test_the_builder_follows_every_kind_of_rule():
    """Weights, their gradients, intermediates and theirs; the original is untouched."""
    model, x = Small(), torch.ones(2, 8)
    made = recipe(EVERY_KIND).builder(model).get_sparse_model(model)
    made.up(x).sum().backward()

    sparse = [name for name, weight in made.named_parameters() if isinstance(weight, SparseTensor)]

    assert sparse == ["up.weight", "conv.weight"]
    assert made.up.weight.grad.nnz == 32
    assert isinstance(made.norm(x), SparseTensor)
    assert not any(isinstance(weight, SparseTensor) for weight in model.parameters())


def test_one_by_one_is_what_the_builder_makes():
    """`sparseref sparsify` shows its progress and draws the same numbers."""
    torch.manual_seed(0)
    model = Small()
    expected = recipe(EVERY_KIND).builder(model).get_sparse_model(model)
    apply(recipe(EVERY_KIND), model)

    for name in ("up.weight", "conv.weight"):
        assert torch.equal(expected.get_parameter(name).to_dense(), model.get_parameter(name).to_dense())


def test_a_pattern_that_is_chosen_anew_while_the_model_trains():
    """The builder that follows the recipe does it with each optimizer step."""
    model = Small()
    made = recipe(HEAD + '[[weight]]\nname = "up.*"\ninitial = "scalar-fraction:0.75"\n'
                  'format = {inline = "keep-all", temporary = "dense", external = "same-format", final = "csr"}\n'
                  '[[weight_grad]]\nname = "up.*"\nformat = "dense"')
    builder = made.builder(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    builder.sparsify_model_and_optimizer_inplace(model, optimizer)
    before = model.up.weight.pattern
    model.up(torch.randn(4, 8)).square().sum().backward()
    optimizer.step()

    assert model.up.weight.nnz == 32
    assert not torch.equal(before, model.up.weight.pattern)


def test_figures_are_those_of_the_card():
    """Of a weight that csr stores half of: bits of values and indices, the share of the magnitude."""
    torch.manual_seed(0)
    model = Small()
    dense = model.up.weight.detach().numpy().copy()
    figures = apply(recipe(HEAD + '[[weight]]\nname = "up.*"\nformat = "csr:0.5"'), model)
    stored = sr.sparsify(dense, "csr:0.5")
    expected = Figures("up.weight", (16, 8), "float32", "scalar-fraction:0.5", "csr", 128, 64,
                       round(sr.energy(dense, stored), 6), stored.bits, 128 * 32)

    assert figures == [expected]


def test_weights_can_share_one_sparsity():
    """allocation = "global": together they keep half, each as much as it has large entries."""
    torch.manual_seed(0)
    model = Small()
    with torch.no_grad():
        model.down.weight.mul_(1e6)
    figures = apply(recipe(HEAD + '[[weight]]\nmodule = "Linear"\nformat = "csr:0.5"\n[schedule]\nkind = "one-shot"\n'
                           'allocation = "global"'), model)

    assert [one.stored for one in figures] == [0, 128]


def test_pruners_train_by_the_schedule():
    """One for each rule; after the last step the weights are as sparse as the formats say."""
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    made = recipe(HEAD + '[[weight]]\nname = "up.*"\nformat = "csr:0.75"\n[[weight]]\nname = "down.*"\nformat = "nm:1:4"\n'
                  'ladder = ["nm:2:4"]\n[schedule]\nkind = "linear"\nbegin = 0\nend = 4')
    pruners = [pruner.attach(optimizer) for pruner in made.pruners(model)]
    for _ in range(5):
        optimizer.zero_grad()
        model.down(model.up(torch.ones(1, 8))).sum().backward()
        optimizer.step()
    for pruner in pruners:
        pruner.finish()
    expected = ["csr", 0.75, "nm:1:4", 0.75]
    actual = [what for weight in (model.up.weight, model.down.weight) for what in (str(weight.descriptor), weight.sparsity)]

    assert expected == actual


@pytest.mark.parametrize("kind", ["set", "rigl"])
def test_patterns_that_move_while_the_model_trains(kind):
    """As many entries as before, in other places; gradients and intermediates as their rules say."""
    torch.manual_seed(0)
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    made = recipe(HEAD + f'''
        [[weight]]
        module = "Linear"
        format = "csr:0.75"
        [[weight_grad]]
        name = "up.*"
        format = "csr:0.9"
        [[interm]]
        name = "norm"
        format = "csr:0.5"
        [schedule]
        kind = "{kind}"
        every = 2
        stop = 10
        allocation = "uniform"
    ''')
    for pruner in made.pruners(model):
        pruner.attach(optimizer)
    before = model.up.weight.pattern
    for _ in range(4):
        optimizer.zero_grad()
        model.norm(model.down(model.up(torch.randn(4, 8)))).to_dense().square().sum().backward()
        gradient = model.up.weight.grad
        optimizer.step()

    assert (model.up.weight.nnz, gradient.nnz) == (32, 13)
    assert not torch.equal(before, model.up.weight.pattern)


def test_a_rule_on_the_gradient_of_a_dense_weight_is_refused_while_training():             # RECIPE-6
    with pytest.raises(SpecError, match=r"RECIPE-6: my\.toml, weight_grad\[1\]: down\.weight stays dense"):
        recipe(HEAD + '[[weight]]\nname = "up.*"\nformat = "csr:0.75"\n[[weight_grad]]\nname = "down.*"\nformat = "csr:0.9"\n'
               '[schedule]\nkind = "linear"\nbegin = 0\nend = 4').pruners(Small())


@pytest.mark.parametrize("text", ['[schedule]\nkind = "linear"\nbegin = 0\nend = 4', '[schedule]\nkind = "one-shot"\nat = 5',
                                  '[schedule]\nkind = "one-shot"\nlatent = "ste"', '[scores]\nkind = "movement"'])
def test_what_needs_training_is_not_done_without(text):                                    # RECIPE-8
    """And it says who does it."""
    model = Small()
    with pytest.raises(SpecError, match="RECIPE-8") as refused:
        apply(recipe(RULE + text), model)

    assert "sparseref poc" in str(refused.value)
    assert not isinstance(model.up.weight, SparseTensor)


def test_a_weight_that_does_not_fit_its_format_is_named():
    """With the clause of the layout, and the rule."""
    with pytest.raises(SpecError, match=r"NM-C\d: up\.weight, by my\.toml, weight\[1\]"):
        apply(recipe(HEAD + '[[weight]]\nname = "up.*"\nformat = {inline = "keep-all", temporary = "dense", '
                     'external = "scalar-fraction:0.1", final = "nm:2:4"}'), Small())
