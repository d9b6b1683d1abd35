"""Parameters of a model, some of them sparse: what an optimizer trains of them."""

from __future__ import annotations

from typing import Any

import jax

from .arrays import JaxSparse


def values_of(parameters: Any) -> Any:
    """A pytree -> the same with the values of every JaxSparse in its place: what has a gradient, for jax.grad and optax."""
    return jax.tree.map(lambda leaf: leaf.values if _is_sparse(leaf) else leaf, parameters, is_leaf=_is_sparse)


def with_values(parameters: Any, values: Any) -> Any:
    """A pytree, and what `values_of` makes of one -> the same entries with these values."""
    return jax.tree.map(lambda leaf, new: leaf.with_values(new) if _is_sparse(leaf) else new, parameters, values,
                        is_leaf=_is_sparse)


def _is_sparse(leaf: Any) -> bool:
    return isinstance(leaf, JaxSparse)
