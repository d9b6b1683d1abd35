"""Real judgements: 50 short news texts and how alike people found each two of them, as the test data of the package gensim.

Source: Lee, Pincombe and Welsh 2005, An empirical evaluation of models of text document similarity.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sparseref.errors import MissingDependency


def load_lee() -> tuple[list[str], np.ndarray]:
    """-> 50 texts, and their similarity [50, 50] from 0 to 1, the mean of about 10 people.  Errors: MissingDependency."""
    spec = find_spec("gensim")                                 # found and not imported: its test data is all that is needed
    if spec is None or spec.origin is None:
        raise MissingDependency("gensim", "the Lee texts", "models")
    folder = Path(spec.origin).parent / "test" / "test_data"
    texts = (folder / "lee.cor").read_text("latin-1").splitlines()
    return texts, np.loadtxt(folder / "similarities0-1.txt")


def agreement(cosines: np.ndarray, judged: np.ndarray) -> float:
    """Two similarities [N, N] -> Pearson's correlation over the pairs of different texts, each counted once."""
    pairs = np.triu_indices(len(judged), 1)
    return float(np.corrcoef(cosines[pairs], judged[pairs])[0, 1])
