"""BERT's encoder in plain JAX: a function of its parameters, dense or sparse, named as in its safetensors file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..functions import linear

Parameters = Mapping[str, Any]
"""name -> array, or JaxSparse for the weight of a Linear."""


def encode(parameters: Parameters, ids: Array, mask: Array, heads: int, epsilon: float = 1e-12) -> Array:
    """ids, mask int [B, T] -> hidden states [B, T, D]; mask is 0 where nothing is to be read.

    Source: Devlin et al. 2019 (BERT), in the order of operations of Hugging Face's BertModel, without dropout.
    """
    p = parameters
    x = (p["embeddings.word_embeddings.weight"][ids] + p["embeddings.token_type_embeddings.weight"][0]
         + p["embeddings.position_embeddings.weight"][:ids.shape[1]])
    x = _normalized(p, "embeddings.LayerNorm", x, epsilon)
    layers = sum(name.endswith("intermediate.dense.weight") for name in p)
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        x = _normalized(p, f"{at}.attention.output.LayerNorm", x + _attention(p, f"{at}.attention", x, mask, heads), epsilon)
        inner = jax.nn.gelu(_linear(p, f"{at}.intermediate.dense", x), approximate=False)
        x = _normalized(p, f"{at}.output.LayerNorm", x + _linear(p, f"{at}.output.dense", inner), epsilon)
    return x


def _attention(p: Parameters, at: str, x: Array, mask: Array, heads: int) -> Array:
    b, t, d = x.shape
    q, k, v = (_linear(p, f"{at}.self.{name}", x).reshape(b, t, heads, d // heads) for name in ("query", "key", "value"))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(d // heads)
    scores = jnp.where(mask[:, None, None, :] != 0, scores, jnp.finfo(scores.dtype).min)
    read = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
    return _linear(p, f"{at}.output.dense", read.reshape(b, t, d))


def _linear(p: Parameters, at: str, x: Array) -> Array:
    return linear(x, p[f"{at}.weight"], p[f"{at}.bias"])


def _normalized(p: Parameters, at: str, x: Array, epsilon: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + epsilon) * p[f"{at}.weight"] + p[f"{at}.bias"]
