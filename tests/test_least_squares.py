"""Pruning by least squares: moments and values by their definitions, the order of the layers, and what is refused."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch import SparseTensor, sparsify
from sparseref_torch.builder.selector import Selector
from sparseref_torch.least_squares import prune_by_least_squares
from sparseref_torch.least_squares.blocks import blocks_of
from sparseref_torch.least_squares.moments import Gatherer
from sparseref_torch.least_squares.pruning import counted
from sparseref_torch.least_squares.solving import best_dense, best_sparse, on_the_way
from sparseref_torch.least_squares.tapping import call_of, tapped, where_added
from sparseref_torch.selection import select
from sparseref_torch.training.targets import targets_of
from torch import nn

import sparseref as sr
from sparseref import SpecError


class Block(nn.Module):
    """x [B, T, D] -> [B, T, D]: two Linears that read x, one behind them that is added to it, and one that is added to that."""

    def __init__(self, width):
        super().__init__()
        self.left, self.right, self.out, self.up = (nn.Linear(width, width) for _ in range(4))
        self.down = nn.Linear(width, width, bias=False)
        self.norm, self.act = nn.LayerNorm(width), nn.GELU()

    def forward(self, x, scale=1.0):
        x = self.norm(x + self.out(self.left(x).tanh() * self.right(x) * scale))
        return x + self.down(self.act(self.up(x)))


class Model(nn.Module):
    """input_ids, attention_mask [B, T] -> [B, T, D]."""

    def __init__(self, width=16, layers=2):
        super().__init__()
        self.embed = nn.Embedding(30, width)
        self.layer = nn.ModuleList(Block(width) for _ in range(layers))
        self.head = nn.Linear(width, width)

    def forward(self, input_ids, attention_mask=None):
        x = self.embed(input_ids)
        for layer in self.layer:
            x = layer(x, scale=0.5)
        return self.head(x)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return Model().eval()


def batches(count=6, padded=False):
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        ids, mask = torch.randint(30, (8, 10), generator=generator), torch.ones(8, 10, dtype=torch.int64)
        if padded:
            mask[:, 7:] = 0
        found.append({"input_ids": ids, "attention_mask": mask})
    return found


def distance(student, teacher, held_out=99):
    ids = torch.randint(30, (32, 10), generator=torch.Generator().manual_seed(held_out))
    with torch.no_grad():
        return float((student(ids) - teacher(ids)).square().mean())


def by_magnitude(teacher, which, form):
    student = copy.deepcopy(teacher)
    for target in targets_of(student, which):
        target.put(nn.Parameter(sparsify(target.values, form)))
    return student


@given(st.integers(0, 2**32 - 1), st.booleans(), st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_moments_are_those_of_all_rows_together(seed, centred, sizes):
    """However they come in batches; float64, whole numbers, so that only the means are rounded."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randint(-9, 9, (sum(sizes), width), generator=generator).double() for width in (4, 3))
    gatherer = Gatherer()
    for part in zip(x.split(sizes), y.split(sizes), strict=True):
        gatherer.add(*part)
    moments = gatherer.moments(centred)
    off_x, off_y = (x - x.mean(0), y - y.mean(0)) if centred else (x, y)

    torch.testing.assert_close(moments.xx, off_x.T @ off_x / len(x), rtol=0, atol=1e-12)   # 81 * 36 rows * 2**-53, and a little
    torch.testing.assert_close(moments.yx, off_y.T @ off_x / len(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(moments.bias(torch.zeros(3, 4).double()), y.mean(0), rtol=0, atol=1e-12)


def test_without_pruning_the_best_weight_is_the_one_that_made_the_outputs():
    """And the more it is pulled, the nearer it stays to the trained one."""
    torch.manual_seed(0)
    x, true, trained = torch.randn(100, 6).double(), torch.randn(4, 6).double(), torch.randn(4, 6).double()
    gatherer = Gatherer()
    gatherer.add(x, x @ true.T + 5)
    moments = gatherer.moments(centred=True)
    found = [best_dense(moments, trained, shrink) for shrink in (0.0, 0.1, 1e9)]
    away = [float((weight - trained).norm()) for weight in found]

    torch.testing.assert_close(found[0], true, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[2], trained, rtol=1e-6, atol=1e-6)
    assert away[0] > away[1] > away[2]


@pytest.mark.parametrize("form", ["nmg:2:8:1", "nm:2:8", "csr:0.75", "bsr:2:2:0.75"])
def test_a_chosen_pattern_is_the_sparsifiers_and_loses_less_than_magnitude(form):
    """The error (W - target) xx (W - target)T of correlated inputs, against the largest entries as they are."""
    torch.manual_seed(0)
    mixed = torch.randn(500, 16) @ torch.randn(16, 16)
    xx, target = mixed.T @ mixed / 500, torch.randn(32, 16)
    sparsifier, layout = sr.parse_format(form)
    sparsifier = sparsifier or sr.registry.parse_sparsifier(str(layout))
    plain = sparsify(target, form)
    weight, pattern = best_sparse(target, xx, sparsifier, lambda scores, rule: select(target, rule, scores))

    def error(of):
        return float((((of - target) @ xx) * (of - target)).sum())

    assert int(pattern.sum()) == plain.nnz
    assert not weight[~pattern].any()
    assert error(weight) < 0.7 * error(plain.to_dense())


def test_on_the_way_fewer_entries_are_dropped():
    """From all to what the sparsifier keeps."""
    rule = sr.registry.parse_sparsifier("nmg:2:8:4")
    expected = [7, 5, 3, 2, 2]
    actual = [on_the_way(rule, share).n for share in (0.05, 0.2, 0.4, 0.8, 1.0)]

    assert expected == actual
    assert on_the_way(rule, 1.0) is rule
    assert on_the_way(sr.ScalarFraction(0.8), 0.5).fraction == pytest.approx(0.7)
    assert on_the_way(sr.ScalarThreshold(1.0), 0.5) == sr.ScalarThreshold(1.0)


@pytest.mark.parametrize("form", ["nmg:2:8:1", "csr:0.75"])
@pytest.mark.parametrize("padded", [False, True])
def test_the_model_reads_nearer_to_the_dense_one(teacher, form, padded):
    """Than one that was pruned by magnitude, on inputs that were not seen; every weight is in the format, biases are dense."""
    which = "layer.*.weight"
    student = prune_by_least_squares(copy.deepcopy(teacher), teacher, batches(padded=padded), which, form)
    sparse = {name for name, parameter in student.named_parameters() if isinstance(parameter, SparseTensor)}

    assert sparse == set(Selector(which).parameters(teacher))
    assert all(student.get_parameter(name).sparsity == 0.75 for name in sparse)
    assert distance(student, teacher) < 0.6 * distance(by_magnitude(teacher, which, form), teacher)
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_weights_anywhere_are_reached_through_the_whole_model(teacher):
    """A Linear outside the layers: the model is one block."""
    which = ["layer.*.weight", "head.weight"]
    student = prune_by_least_squares(copy.deepcopy(teacher), teacher, batches(), which, "csr:0.75")

    assert isinstance(student.head.weight, SparseTensor)
    assert distance(student, teacher) < 0.6 * distance(by_magnitude(teacher, which, "csr:0.75"), teacher)


def test_layer_by_layer_is_the_whole_model_in_less_time(teacher, monkeypatch):
    """The same weights, whether blocks run alone or the model runs anew for each stage."""
    apart = prune_by_least_squares(copy.deepcopy(teacher), teacher, batches(), "layer.*.weight", "nmg:2:8:1")
    monkeypatch.setattr("sparseref_torch.least_squares.blocks._is_chain", lambda *_: False)
    whole = prune_by_least_squares(copy.deepcopy(teacher), teacher, batches(), "layer.*.weight", "nmg:2:8:1")

    assert all(torch.equal(one.to_dense(), two.to_dense()) if isinstance(one, SparseTensor) else torch.equal(one, two)
               for one, two in zip(apart.parameters(), whole.parameters(), strict=True))


def test_the_sum_behind_a_linear_is_found(teacher):
    """The norm that gets it with the residual; the block, whose output it is; nothing for those that are read by a function."""
    block, x = teacher.layer[0], torch.randn(2, 3, 16)
    expected = [None, None, block.norm, None, block]
    linears = block.left, block.right, block.out, block.up, block.down
    actual = [where_added(lambda: block(x), block, linear) for linear in linears]

    assert expected == actual
    assert not block._forward_hooks
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in block.modules())


def test_layers_that_follow_each_other_are_blocks(teacher):
    """And not where a target lies outside, or something happens in between."""
    calls = [call_of(batch) for batch in batches(2)]
    inside, outside = (targets_of(teacher, which) for which in ("layer.*.weight", "head.weight"))
    chain = blocks_of(teacher, inside, calls)

    assert [block.name for block in chain] == ["layer.0", "layer.1"]
    assert [block.follows for block in chain] == [False, True]
    assert [call.kwargs for block in chain for call in block.calls] == [{"scale": 0.5}] * 4
    assert [block.name for block in blocks_of(teacher, outside, calls)] == [""]


def test_only_what_is_wanted_runs(teacher):
    """The forward pass is left where all has been seen, and no hook stays."""
    (got,), (gave,) = tapped(lambda: teacher(batches(1)[0]["input_ids"]), [teacher.layer[0].left], [teacher.layer[0].out])
    ran = []
    handle = teacher.head.register_forward_hook(lambda *_: ran.append(1))
    tapped(lambda: teacher(batches(1)[0]["input_ids"]), [teacher.layer[1].left])
    handle.remove()

    assert (got.shape, gave.shape, ran) == ((8, 10, 16), (8, 10, 16), [])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.modules())


def test_padding_does_not_count():
    """Tokens by the mask; images, which have none, all."""
    tensor, mask = torch.arange(12.0).reshape(2, 3, 2), torch.tensor([[1, 0, 0], [1, 1, 0]])

    assert counted(tensor, mask).tolist() == [[0, 1], [6, 7], [8, 9]]
    assert counted(tensor, None).shape == counted(tensor, torch.ones(2)).shape == (6, 2)


def tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize(("model", "which", "data", "clause"), [
    (nn.Sequential(nn.Conv1d(4, 4, 1)), "0.weight", [torch.ones(2, 4, 3)], "LSQ-1"),
    (nn.Sequential(nn.Linear(4, 4)), "0.weight", [], "LSQ-1"),
    (nn.Sequential(*[nn.Linear(4, 4)] * 2), "0.weight", [torch.ones(2, 4)], "LSQ-2"),
    (tied(), "0.weight", [torch.ones(2, 4)], "LSQ-2"),
])
def test_what_cannot_be_solved_for_is_refused(model, which, data, clause):
    """No Linear; no data; one that runs twice; a weight that two of them have."""
    with pytest.raises(SpecError) as refused:
        prune_by_least_squares(model, copy.deepcopy(model), data, which, "csr:0.5")

    assert refused.value.clause == clause
