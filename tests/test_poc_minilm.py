"""The task minilm-bbc: texts that are held out are never trained on, and the tiny encoder here goes through all of it."""

import copy
from itertools import islice

import numpy as np
import pytest
import torch
from sparseref_torch import SparseTensor, sparsify
from sparseref_torch.builder.selector import Selector
from sparseref_torch.poc.data import bbc, lee
from sparseref_torch.poc.report import ONE_SHOT, TRAINED
from sparseref_torch.poc.run import Run
from sparseref_torch.poc.task import load_task
from sparseref_torch.poc.tasks import minilm_bbc
from sparseref_torch.poc.training import train
from torch import nn
from transformers import BertConfig, BertModel

from sparseref.demo.data import load_articles
from sparseref.demo.model import Encoder, embed, load_encoder


@pytest.fixture(scope="module")
def real():
    return load_encoder()


@pytest.fixture
def tiny(real, monkeypatch):
    """Two layers of 32, which read with the real vocabulary, on 40 articles of which 16 are held out."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertModel(BertConfig(vocab_size=real.model.config.vocab_size, **size)).eval()
    articles = load_articles(40)
    parts = [bbc.Texts.of(part, real.tokenizer, 24) for part in (articles[16:], articles[:16])]
    monkeypatch.setattr(minilm_bbc, "_encoder", lambda: Encoder(model, real.tokenizer))
    monkeypatch.setattr(minilm_bbc, "_texts", lambda: parts)
    return minilm_bbc.load_model()


def test_no_article_is_on_both_sides():
    """Neither its headline nor its body; and 600 are held out."""
    train, held_out = bbc.split(minilm_bbc.HELD_OUT, minilm_bbc.SPLIT)

    assert (len(train), len(held_out)) == (1461, 600)
    assert not {article.headline for article in train} & {article.headline for article in held_out}
    assert not {article.body for article in train} & {article.body for article in held_out}


def test_a_seed_decides_the_batches(tiny):
    """Every article once before any comes again, some from the beginning; windows and headlines are of the same articles."""
    train = minilm_bbc._texts()[0]
    one, same, other = (list(islice(train.draws(8, seed), 6)) for seed in (3, 3, 4))
    first_round = [tuple(row[row > 0].tolist()) for _, headlines in one[:3] for row in headlines["input_ids"]]
    leads = {tuple(ids) for ids in train.leads(range(24))}
    begun = [tuple(row[row > 0].tolist()) in leads for windows, _ in one for row in windows["input_ids"]]

    assert all(torch.equal(a[i]["input_ids"], b[i]["input_ids"]) for a, b in zip(one, same, strict=True) for i in (0, 1))
    assert not all(torch.equal(a[1]["input_ids"][:, :4], b[1]["input_ids"][:, :4]) for a, b in zip(one, other, strict=True))
    assert sorted(first_round) == sorted(map(tuple, train.headlines))
    assert 0.3 < np.mean(begun) < 0.8


def test_a_window_is_a_text_of_its_own(tiny):
    """It begins and ends as one, is no longer than asked for, and lies anywhere in the body."""
    train = minilm_bbc._texts()[0]
    window = train.window(0, 5)

    assert window == [101, *train.bodies[0][5:27], 102]
    assert train.window(0, len(train.bodies[0]) - 2) == [101, *train.bodies[0][-2:], 102]


def test_vectors_are_those_of_the_demo(tiny, real):
    """Whatever the batches; the demo's own embedding is the oracle."""
    articles = load_articles(9)
    texts = [article.headline for article in articles] + [article.body for article in articles]
    expected = embed(Encoder(tiny, real.tokenizer), texts, 24, lambda count: None)
    actual = minilm_bbc.vectors(tiny, real.tokenizer(texts, truncation=True, max_length=24)["input_ids"])

    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_the_teacher_itself_has_nothing_to_learn(tiny):
    """Training dense the same way changes no bit of it; a sparse student gets gradients, the teacher none."""
    batch = next(minilm_bbc.train_batches(0))
    teacher, student = copy.deepcopy(tiny), copy.deepcopy(tiny)
    linear = student.encoder.layer[0].output.dense
    linear.weight = nn.Parameter(sparsify(linear.weight, "csr:0.9"))
    same = copy.deepcopy(tiny)
    train(same, teacher, load_task("minilm-bbc"), 3, 0, lambda step: None)
    apart = minilm_bbc.loss(student.train(), teacher, batch)
    apart.backward()

    assert all(torch.equal(one, two) for one, two in zip(same.parameters(), tiny.parameters(), strict=True))
    assert apart.item() > 0
    assert student.encoder.layer[0].attention.self.query.weight.grad is not None
    assert student.embeddings.word_embeddings.weight.grad is None
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_it_is_pruned_by_data_of_the_training_articles(tiny):
    """All 12 Linears in the encoder, none elsewhere; a seed decides the texts."""
    models = [minilm_bbc.prepare(copy.deepcopy(tiny), "nmg:2:8:2", seed, lambda done, total: None) for seed in (0, 0, 1)]
    weights = [model.encoder.layer[1].output.dense.weight.to_dense() for model in models]
    sparse = {name for name, parameter in models[0].named_parameters() if isinstance(parameter, SparseTensor)}

    assert sparse == set(Selector(minilm_bbc.PRUNE).parameters(tiny))
    assert len(sparse) == 12
    assert torch.equal(weights[0], weights[1])


def test_the_runner_runs_it(tiny, tmp_path):
    """Pruned, trained and measured."""
    study = Run(load_task("minilm-bbc"), ["nmg:2:8:2"], seeds=1, steps=3, quick=True, work=tmp_path).study()
    trained = next(one for one in study.variants if one.stage == TRAINED)

    assert study.metric == "recall@1"
    assert {one.stage for one in study.variants} >= {ONE_SHOT, TRAINED}
    assert (trained.sparsity, len(trained.scores), trained.p50 > 0) == (0.75, 1, True)


def test_people_agree_with_themselves_and_not_with_chance():
    """50 texts, each wholly like itself; and numbers at random do not correlate."""
    texts, judged = lee.load_lee()
    chance = np.random.default_rng(0).random(judged.shape)

    assert len(texts) == len(judged) == 50
    assert (judged.diagonal() == 1).all()
    assert lee.agreement(judged, judged) == pytest.approx(1)
    assert abs(lee.agreement(chance, judged)) < 4 / np.sqrt(50 * 49 / 2)                  # 4 standard errors


@pytest.mark.slow
def test_the_real_model_keeps_more_than_by_magnitude():
    """From 60 articles, without training: far more headlines find their article than after pruning by magnitude."""
    dense = minilm_bbc.load_model()
    magnitude, prepared = copy.deepcopy(dense), copy.deepcopy(dense)
    for name in Selector(minilm_bbc.PRUNE).parameters(dense):
        path, _, attribute = name.rpartition(".")
        setattr(magnitude.get_submodule(path), attribute, nn.Parameter(sparsify(dense.get_parameter(name), "nmg:2:8:8")))
    minilm_bbc.prepare(prepared, "nmg:2:8:8", 0, lambda done, total: None, quick=True)
    score, error = minilm_bbc.evaluate(dense)
    kept = minilm_bbc.evaluate(prepared)[0] / score

    assert score > 0.8
    assert error == pytest.approx(np.sqrt(score * (1 - score) / 600))
    assert kept > minilm_bbc.evaluate(magnitude)[0] / score + 0.1
    assert minilm_bbc.also(dense)["Lee correlation"] > 0.6
