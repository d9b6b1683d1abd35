"""Distillation: the parts of the loss by their definitions, gradients for the student alone, no hook left behind."""

import copy
import math

import pytest
import torch
from sparseref_torch.training import Distiller, Pruner
from sparseref_torch.training.distiller import layer_names, similarity_divergence
from torch import nn
from torch.nn import functional
from training_models import OPTIMIZERS, convnet, images

import sparseref as sr


class Block(nn.Module):
    """[B, T, D] -> ([B, T, D],): as encoder layers of Hugging Face give tuples."""

    def __init__(self, width):
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, x):
        return (x + self.dense(x).tanh(),)


class Encoder(nn.Module):
    """input_ids, attention_mask [B, T] -> {"last_hidden_state": [B, T, D]}."""

    def __init__(self, layers=3, width=8):
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.layer = nn.ModuleList(Block(width) for _ in range(layers))

    def forward(self, input_ids, attention_mask=None):
        x = self.embed(input_ids)
        for layer in self.layer:
            x = layer(x)[0]
        return {"last_hidden_state": x}


def pair(seed=0, **how):
    torch.manual_seed(seed)
    teacher = Encoder(**how)
    student = copy.deepcopy(teacher)
    Pruner(student, "layer.*.weight", "csr:0.5")
    return student, teacher


def batch(padding=0):
    generator = torch.Generator().manual_seed(1)
    ids, mask = torch.randint(20, (4, 6), generator=generator), torch.ones(4, 6, dtype=torch.long)
    mask[0, 3:] = mask[2, 5:] = 0
    ids[mask == 0] = padding
    return {"input_ids": ids, "attention_mask": mask}


def states(model, inputs):
    """The outputs of the layers, and the mean over the tokens that count."""
    found, x = [], model.embed(inputs["input_ids"])
    for layer in model.layer:
        x = layer(x)[0]
        found.append(x)
    return found, torch.stack([row[keep.bool()].mean(0) for row, keep in zip(x, inputs["attention_mask"], strict=True)])


def close(expected, actual):
    """Sums of about a hundred float32 numbers in two orders: within 200 roundings of each other."""
    torch.testing.assert_close(actual, expected, rtol=200 * torch.finfo(torch.float32).eps, atol=1e-9)


def hook_count(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hidden_states_and_embeddings_by_their_definitions():
    """The mean over all layers of the squared error at tokens that count, and 1 - cosine of the mean embeddings."""
    student, teacher = pair()
    inputs = batch()
    distiller = Distiller(student, teacher, hidden="all encoder layers", losses={"hidden": 2.0, "embedding": 3.0})
    actual = distiller(inputs)
    (ours, our_mean), (theirs, their_mean) = states(student, inputs), states(teacher, inputs)
    keep = inputs["attention_mask"].bool()
    hidden = torch.stack([((a - b)[keep] ** 2).mean() for a, b in zip(ours, theirs, strict=True)]).mean()
    embedding = (1 - functional.cosine_similarity(our_mean, their_mean)).mean()
    expected = 2 * hidden + 3 * embedding

    close(expected.detach(), actual.detach())
    assert set(distiller.parts) == {"hidden", "embedding"}


def test_relative_errors_are_over_the_teachers_variance():
    student, teacher = pair()
    inputs = batch()
    actual = Distiller(student, teacher, hidden={"layer.1": "layer.1"}, relative=True)(inputs)
    keep = inputs["attention_mask"].bool()
    ours, theirs = states(student, inputs)[0][1][keep], states(teacher, inputs)[0][1][keep]
    expected = ((ours - theirs) ** 2).mean() / theirs.var()

    close(expected.detach(), actual.detach())


def test_padding_does_not_count():
    """Other tokens where the mask is 0 change nothing."""
    student, teacher = pair()
    distiller = Distiller(student, teacher, hidden="all encoder layers", losses={"hidden": 1, "embedding": 1})
    expected = distiller(batch(padding=0)).detach()
    actual = distiller(batch(padding=7)).detach()

    assert torch.equal(expected, actual)


def test_similarity_by_its_definition():
    """Two queries, three texts: each query's distribution over texts and each text's over queries."""
    generator = torch.Generator().manual_seed(3)
    q, n = ([torch.randn(rows, 4, generator=generator, dtype=torch.float64) for _ in range(2)] for rows in (2, 3))
    cosine = [[[float(functional.cosine_similarity(a, b, dim=0)) / 0.5 for b in n[k]] for a in q[k]] for k in (0, 1)]

    def divergence(student, teacher):
        ours, theirs = ([math.exp(v) / sum(map(math.exp, row)) for v in row] for row in (student, teacher))
        return sum(t * math.log(t / o) ** 2 for o, t in zip(ours, theirs, strict=True)) / 2

    by_query = sum(map(divergence, *cosine)) / 2
    by_text = sum(map(divergence, *(list(zip(*rows, strict=True)) for rows in cosine))) / 3
    actual = similarity_divergence((q[0], q[1]), (n[0], n[1]), 0.5)

    torch.testing.assert_close(actual, torch.tensor(by_query + by_text, dtype=torch.float64))


def test_equal_similarities_have_no_gradient_at_all():
    """Not even rounding, of which Adam would make whole steps."""
    q, n = torch.randn(8, 5, requires_grad=True), torch.randn(9, 5)
    similarity_divergence((q, q.detach()), (n, n), 0.05).backward()

    assert torch.equal(torch.zeros(8, 5), q.grad)


def test_embeddings_are_kept_with_their_gradient():
    student, teacher = pair()
    distiller = Distiller(student, teacher, losses={"embedding": 1.0})
    distiller(batch())
    mine, theirs = distiller.embeddings
    expected = [states(model, batch())[1] for model in (student, teacher)]

    assert torch.equal(expected[0], mine)
    assert torch.equal(expected[1], theirs)
    assert (mine.requires_grad, theirs.requires_grad) == (True, False)


def test_logits_by_hand():
    """KL of softened predictions times the temperature squared (Hinton et al. 2015)."""
    student, teacher, (x, _) = convnet(1), convnet(0), images()
    actual = Distiller(student, teacher, temperature=4.0)(x)
    ours, theirs = student(x) / 4, teacher(x) / 4
    expected = 16 * (theirs.softmax(1) * (theirs.log_softmax(1) - ours.log_softmax(1))).sum(1).mean()

    close(expected.detach(), actual.detach())


@pytest.mark.parametrize("shape", [lambda x: x, lambda x: (x,), lambda x: [x]])
def test_a_batch_is_what_the_model_takes(shape):
    student, teacher, (x, _) = convnet(1), convnet(0), images()
    expected = Distiller(student, teacher)(x)
    actual = Distiller(student, teacher)(shape(x))

    assert torch.equal(expected, actual)


def test_the_same_weights_have_no_loss():
    teacher = Encoder()
    student = copy.deepcopy(teacher)
    loss = Distiller(student, teacher, hidden="all encoder layers")(batch())

    assert float(loss.detach()) == 0


def test_the_teacher_learns_nothing_and_stands_still():
    """No gradient, eval mode even after somebody called train(), and no hook on either model."""
    student, teacher = pair()
    distiller = Distiller(student, teacher, hidden="all encoder layers", losses={"hidden": 1, "embedding": 1})
    teacher.train()
    distiller(batch()).backward()

    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert student.layer[0].dense.weight.grad is not None
    assert not teacher.training
    assert student.training
    assert hook_count(student) == hook_count(teacher) == 0


def test_hooks_go_even_when_the_model_fails():
    student, teacher = pair()
    distiller = Distiller(student, teacher, hidden="all encoder layers")
    with pytest.raises(IndexError):
        distiller({"input_ids": torch.full((1, 2), 99)})

    assert hook_count(student) == hook_count(teacher) == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_distillation_brings_the_student_closer(optimizer):
    student, teacher = pair()
    optimizer = OPTIMIZERS[optimizer](student.parameters())
    distiller, losses = Distiller(student, teacher, hidden="all encoder layers", losses={"hidden": 1, "embedding": 1}), []
    for _ in range(10):
        optimizer.zero_grad()
        loss = distiller(batch())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.8 * losses[0]


def test_hugging_face_outputs_are_understood():
    """Logits, hidden states, the model's own loss: a tiny random BERT."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager")
    teacher = BertForSequenceClassification(config)
    student = copy.deepcopy(teacher)
    Pruner(student, "bert.encoder.*.dense.weight", "csr:0.5")
    inputs = {**batch(), "labels": torch.tensor([0, 1, 0, 1])}
    distiller = Distiller(student, teacher, hidden="all encoder layers", losses={"logits": 1, "hidden": 1, "task": 0.5})
    loss = distiller(inputs)
    expected = student(**inputs).loss
    actual = distiller.parts["task"]

    close(expected.detach(), torch.tensor(actual))
    assert list(distiller.hidden) == ["bert.encoder.layer.0", "bert.encoder.layer.1"]
    assert set(distiller.parts) == {"logits", "hidden", "task"}
    loss.backward()


def test_the_layers_of_an_encoder_are_the_longest_list_of_one_class():
    expected = ["layer.0", "layer.1", "layer.2"]
    actual = layer_names(Encoder(layers=3))

    assert expected == actual
    assert layer_names(nn.Linear(2, 2)) == []


def shared():
    model = Encoder()
    return Distiller(model, model)


@pytest.mark.parametrize("make", [
    shared,
    lambda: Distiller(*pair(), losses={"hiden": 1}), lambda: Distiller(*pair(), losses={}),
    lambda: Distiller(*pair(), temperature=0),
    lambda: Distiller(*pair(), losses={"hidden": 1}), lambda: Distiller(*pair(), hidden={"layer.9": "layer.1"}),
    lambda: Distiller(*pair(), hidden={}), lambda: Distiller(*pair(), hidden={"layer.0": "layers.0"}),
    lambda: Distiller(Encoder(layers=2), Encoder(layers=3), hidden="all encoder layers"),
    lambda: Distiller(Encoder(width=4), Encoder(width=8), hidden="all encoder layers")(batch()),
    lambda: Distiller(*pair())(batch()), lambda: Distiller(*pair(), losses={"task": 1})(batch()),
    lambda: Distiller(nn.Linear(2, 3), nn.Linear(2, 4))(torch.ones(1, 2)),
    lambda: Distiller(*pair(), losses={"embedding": 1}, embed=None).embed({"logits": 1}, None)])
def test_what_cannot_be_compared_is_refused(make):     # TRAIN-11
    with pytest.raises(sr.SpecError) as refused:
        make()

    assert refused.value.clause == "TRAIN-11"
