"""Embeddings: rows are looked up in the stored entries, so that a vocabulary is never decoded for a few words of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import opaque, slots
from .dispatch import computed, implements
from .operands import dense
from .slots import Lines
from .sparse_tensor import SparseTensor

aten = torch.ops.aten


@implements(aten.embedding.default)
def embedding(func: Any, args: Any, kwargs: Any) -> Any:
    """w [N, D] sparse, indices [shape] -> its rows [shape, D], dense; a tied output layer shares the weight."""
    w, indices = args[:2]
    if not isinstance(w, SparseTensor) or tuple(w.shape) != (w.matrix[::-1] if w.turned else w.matrix):
        return NotImplemented
    if opaque.tracing(indices, w.sparse.values):               # how many entries the rows have depends on data
        return func(dense(w), *args[1:], **kwargs)
    computed(func, args, kwargs, "lines")
    rows = _rows(slots.lines_of(w.sparse, w.turned), w.sparse.values.reshape(-1), indices.reshape(-1), w.shape[1])
    return rows.reshape(*indices.shape, w.shape[1])


def _rows(lines: Lines, values: Tensor, wanted: Tensor, width: int) -> Tensor:
    """values [slots], wanted int [M] -> those lines [M, D], zeros where nothing is stored."""
    first = lines.offsets[:-1].index_select(0, wanted).long()                              # [M]; a row that is none is refused
    counts = lines.offsets[1:].index_select(0, wanted) - first
    row = torch.arange(len(wanted), device=wanted.device).repeat_interleave(counts)        # [P] for P entries in these rows
    entry = torch.arange(len(row), device=wanted.device) + (first - (counts.cumsum(0) - counts))[row]
    out = values.new_zeros(len(wanted), width)
    slot = entry if lines.slots is None else lines.slots[entry].long()
    out.view(-1).index_copy_(0, row * width + lines.across[entry], values[slot])
    return out
