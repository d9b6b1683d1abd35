"""Making sparse tensors from dense ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sparseref as sr
from sparseref import Dense, KeepAll, Layout, Masked, OutputFormat, Sparsifier, SpecError
from sparseref.formats import parse_format
from sparseref.registry import parse_layout
from sparseref.sparsifiers import own_sparsifier

from ..encoding import encode
from ..positions import LAYOUTS
from ..selection import SPARSIFIERS, select
from ..tensors import TorchSparse, to_numpy, to_torch
from . import kernels, slots
from .sparse_tensor import SparseTensor, value_bits

Format = str | tuple[str | Sparsifier, str | Layout] | OutputFormat
"""A short string, (sparsifier, layout), or STen's four parts."""

IMPLEMENTATIONS: list[Callable[[Sparsifier, Layout, Tensor | TorchSparse], TorchSparse | None]] = []
"""What may place a matrix instead of the general rules; filled by register_sparsifier_implementation."""


def parse(form: Format) -> tuple[Sparsifier, Layout]:
    """A format string such as "nmg:2:8:8" or "csr:0.9", or (sparsifier, layout) -> both (FMT-3, FMT-4)."""
    if isinstance(form, tuple) and len(form) == 2:
        return sr.registry.parse_sparsifier(form[0]), parse_layout(form[1])
    sparsifier, layout = parse_format(form)                    # type: ignore[arg-type]  # it says what is no format
    return sparsifier or own_sparsifier(layout), layout


@torch.no_grad()
def sparsify(dense: Tensor, form: Format, scores: Tensor | None = None, rng: np.random.Generator | None = None,
             turned: bool = False) -> SparseTensor:
    """dense [shape], scores [shape] or None for |dense| -> SparseTensor [shape]: the sparsifier chooses, the layout places.

    More than two dimensions are stored as the matrix [first, all others]; turned: a matrix is stored as its transpose.
    Of a sparse tensor an unstructured sparsifier keeps only what is stored (SPF-6).
    Errors: CORE-D1, those of the sparsifier and the layout; SPF-5 without a generator where chance decides.
    """
    value_bits(dense.dtype)
    given = _given(dense, turned)
    ranked = None if scores is None else as_matrix(scores, turned)
    if isinstance(form, OutputFormat):
        given, sparsifier, layout = _temporary(given, form, ranked, rng), form.external, form.final        # FMT-1
    else:
        sparsifier, layout = parse(form)
    for implementation in IMPLEMENTATIONS if ranked is None else ():
        placed = implementation(sparsifier, layout, given)
        if placed is not None:
            return _apart(placed, dense, turned)
    for kernel in kernels.preferred():
        placed = kernel.place(sparsifier, layout, given, ranked)
        if placed is not None:
            return _apart(placed, dense, turned)
    matrix, chosen = _chosen(given, sparsifier, ranked, rng)
    return _apart(_encoded(matrix, layout, chosen), dense, turned)


def _given(dense: Tensor, turned: bool) -> Tensor | TorchSparse:
    """dense or sparse [shape] -> its matrix [R, C], sparse where it is."""
    if not isinstance(dense, SparseTensor):
        return as_matrix(dense, turned)
    values, pattern = as_matrix(dense.detach().to_dense(), turned), as_matrix(dense.pattern, turned)
    return dense.sparse if dense.matrix == values.shape and dense.turned == turned else encode(values, Masked(), pattern)


def _temporary(given: Tensor | TorchSparse, form: OutputFormat, scores: Tensor | None,
               rng: np.random.Generator | None) -> Tensor | TorchSparse:
    """A matrix [R, C] -> what the external sparsifier sees of it: all entries, or those that the inline one wrote (FMT-1)."""
    if isinstance(form.inline, KeepAll) and isinstance(form.temporary, Dense):             # a dense temporary stores zeros
        return slots.decoded(given) if isinstance(given, TorchSparse) else given
    matrix, chosen = _chosen(given, form.inline, scores, rng)
    return matrix.where(chosen, 0) if isinstance(form.temporary, Dense) else _encoded(matrix, form.temporary, chosen)


def _chosen(given: Tensor | TorchSparse, sparsifier: Sparsifier, scores: Tensor | None,
            rng: np.random.Generator | None) -> tuple[Tensor, Tensor]:
    """A matrix -> dense [R, C], pattern [R, C]; an unstructured sparsifier keeps only what is stored (SPF-6)."""
    if not isinstance(given, TorchSparse):
        return given, choose(given, sparsifier, scores, rng)
    matrix = slots.decoded(given)
    chosen = choose(matrix, sparsifier, scores, rng)
    return matrix, chosen if sparsifier.structured else chosen & slots.pattern(given)


@torch.no_grad()
def from_pattern(dense: Tensor, layout: str | Layout, pattern: Tensor, turned: bool = False) -> SparseTensor:
    """dense [shape], pattern bool [shape] -> SparseTensor [shape].  Errors: CORE-D1, CORE-E1, and the layout's own."""
    if pattern.dtype != torch.bool or pattern.shape != dense.shape:                        # CORE-E1
        raise SpecError("CORE-E1", "the pattern does not fit the tensor.", wanted=f"torch.bool {tuple(dense.shape)}",
                        given=f"{pattern.dtype} {tuple(pattern.shape)}", fix="e.g. pattern = dense != 0")
    value_bits(dense.dtype)
    sparse = _encoded(as_matrix(dense, turned), parse_layout(layout), as_matrix(pattern, turned))
    return _apart(sparse, dense, turned)


def choose(matrix: Tensor, sparsifier: Sparsifier, scores: Tensor | None = None,
           rng: np.random.Generator | None = None) -> Tensor:
    """matrix, scores [R, C] -> pattern bool [R, C], bit for bit the reference's."""
    if sparsifier.name not in SPARSIFIERS:                     # one of the user's own: it speaks NumPy
        ranked = None if scores is None else to_numpy(scores, [])
        return to_torch(sr.select(to_numpy(matrix, []), sparsifier, ranked, rng)).to(matrix.device)
    draws = None
    if sparsifier.needs_draws:
        if not isinstance(rng, np.random.Generator):                                       # SPF-5
            raise SpecError("SPF-5", f"{sparsifier} leaves the choice to chance.", wanted="a numpy.random.Generator",
                            given=repr(rng), fix="pass rng=np.random.default_rng(0)")
        draws = torch.from_numpy(rng.random(tuple(matrix.shape))).to(matrix.device)
    return select(matrix, sparsifier, scores, draws)


def as_matrix(dense: Tensor, turned: bool = False) -> Tensor:
    """dense [shape] -> what is stored: [first, all others], a transpose, or itself where it has two dimensions or fewer."""
    if turned:
        return dense.T.contiguous()
    return dense.reshape(dense.shape[0], math.prod(dense.shape[1:])) if dense.dim() > 2 else dense.contiguous()


def _apart(sparse: TorchSparse, dense: Tensor, turned: bool) -> SparseTensor:
    """A matrix made of dense [shape] -> SparseTensor [shape] that shares no memory with it."""
    parts = dense.sparse.tensors.values() if isinstance(dense, SparseTensor) else (dense,)
    taken = {part.untyped_storage().data_ptr() for part in parts}
    if any(tensor.untyped_storage().data_ptr() in taken for tensor in sparse.tensors.values()):
        sparse = TorchSparse(sparse.layout, sparse.shape, {name: tensor.clone() for name, tensor in sparse.tensors.items()})
    return SparseTensor(sparse, dense.shape, turned)


def _encoded(matrix: Tensor, layout: Layout, pattern: Tensor) -> TorchSparse:
    if layout.name in LAYOUTS:
        return encode(matrix, layout, pattern)
    sparse = to_torch(sr.encode(to_numpy(matrix, []), layout, to_numpy(pattern, [])))      # one of the user's own: NumPy
    return TorchSparse(layout, sparse.shape, {name: tensor.to(matrix.device) for name, tensor in sparse.tensors.items()})


def sparse_parameter(sparse: SparseTensor, grad_format: Any = "same") -> SparseTensor:
    """A sparse tensor -> an nn.Parameter whose gradient has the same slots, or the format that is asked for."""
    parameter = torch.nn.Parameter(sparse)
    return parameter.set_grad_format(grad_format)              # type: ignore[attr-defined, no-any-return]
