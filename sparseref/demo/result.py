"""What a run of the demo says, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .layers import LayerResult
from .measures import DENSE_BITS, Measures, together
from .retrieval import Quality


@dataclass(frozen=True)
class Settings:
    """What was asked for; `format` as it was written, `version` the backend's, `tokens` where texts are cut."""

    format: str
    sparsifier: str
    layout: str
    backend: str
    version: str
    articles: int
    tokens: int
    seed: int


@dataclass(frozen=True)
class Question:
    """A headline that only the dense model answers: the rank of its article in the sparse one, and what came first there."""

    headline: str
    rank: int
    answer: str


@dataclass(frozen=True)
class Corner:
    """The top left corner of a weight before and after, both [rows, columns]."""

    name: str
    dense: np.ndarray
    sparse: np.ndarray


@dataclass(frozen=True)
class DemoResult:
    """All layers, the retrieval quality, and what else the report shows.

    model_entries: how many numbers the model's file holds; seconds: {stage: time}; versions: {package: version}.
    """

    settings: Settings
    layers: tuple[LayerResult, ...]
    quality: Quality
    questions: tuple[Question, ...]
    corner: Corner
    model_entries: int
    seconds: dict[str, float]
    versions: dict[str, str]

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(layer, what the verification found wrong with it)."""
        return [(layer.name, problem) for layer in self.layers for problem in layer.problems]

    @property
    def verified(self) -> bool:
        return not self.problems

    @cached_property
    def total(self) -> Measures:
        return together([layer.measures for layer in self.layers])

    @property
    def routes(self) -> str:
        """The routes that dispatch took, each once."""
        return ", ".join(sorted({layer.route for layer in self.layers}))

    @property
    def model_bits(self) -> tuple[int, int]:
        """The whole model dense, and with its Linears sparse; embeddings, norms, biases and pooler stay as they are."""
        dense = self.model_entries * DENSE_BITS
        return dense, dense - self.total.entries * DENSE_BITS + self.total.storage.bits
