"""Making sparse tensors from dense ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sparseref as sr
from sparseref import Dense, KeepAll, Layout, OutputFormat, Sparsifier, SpecError
from sparseref.formats import parse_format
from sparseref.registry import parse_layout
from sparseref.sparsifiers import own_sparsifier

from ..decoding import pair_of
from ..encoding import encode
from ..positions import LAYOUTS
from ..selection import SPARSIFIERS, select
from ..tensors import TorchSparse, to_numpy, to_torch
from .sparse_tensor import SparseTensor

Format = str | tuple[str | Sparsifier, str | Layout] | OutputFormat
"""A short string, (sparsifier, layout), or STen's four parts."""

IMPLEMENTATIONS: list[Callable[[Sparsifier, Layout, Tensor], TorchSparse | None]] = []
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
    Errors: those of the sparsifier and the layout; SPF-5 without a generator where chance decides.
    """
    pattern = None
    if isinstance(dense, SparseTensor):
        pattern, dense = as_matrix(dense.pattern, turned), dense.detach().to_dense()
    matrix = as_matrix(dense, turned)
    ranked = None if scores is None else as_matrix(scores, turned)
    if isinstance(form, OutputFormat):
        matrix, pattern = _temporary(matrix, pattern, form, ranked, rng)                   # FMT-1
        sparsifier, layout = form.external, form.final
    else:
        sparsifier, layout = parse(form)
    if ranked is None and pattern is None:
        for implementation in IMPLEMENTATIONS:
            placed = implementation(sparsifier, layout, matrix)
            if placed is not None:
                return SparseTensor(placed, dense.shape, turned)
    chosen = _among(pattern, choose(matrix, sparsifier, ranked, rng), sparsifier)
    return _placed(dense, matrix, layout, chosen, turned)


def _temporary(matrix: Tensor, pattern: Tensor | None, form: OutputFormat, scores: Tensor | None,
               rng: np.random.Generator | None) -> tuple[Tensor, Tensor | None]:
    """matrix [R, C], pattern bool [R, C] or None: all -> what the external sparsifier sees of the temporary (FMT-1)."""
    if isinstance(form.inline, KeepAll) and isinstance(form.temporary, Dense):             # a dense temporary stores zeros
        return matrix, None
    chosen = _among(pattern, choose(matrix, form.inline, scores, rng), form.inline)
    if isinstance(form.temporary, Dense):
        return matrix.where(chosen, 0), None
    written = pair_of(_encoded(matrix, form.temporary, chosen))
    return written.value, written.stored


def _among(pattern: Tensor | None, chosen: Tensor, sparsifier: Sparsifier) -> Tensor:
    """What an unstructured sparsifier chose of a sparse matrix is stored in it (SPF-6)."""
    return chosen if pattern is None or sparsifier.structured else chosen & pattern


@torch.no_grad()
def from_pattern(dense: Tensor, layout: str | Layout, pattern: Tensor, turned: bool = False) -> SparseTensor:
    """dense [shape], pattern bool [shape] -> SparseTensor [shape].  Errors: CORE-E1, and the layout's own."""
    if pattern.dtype != torch.bool or pattern.shape != dense.shape:                        # CORE-E1
        raise SpecError("CORE-E1", "the pattern does not fit the tensor.", wanted=f"torch.bool {tuple(dense.shape)}",
                        given=f"{pattern.dtype} {tuple(pattern.shape)}", fix="e.g. pattern = dense != 0")
    return _placed(dense, as_matrix(dense, turned), parse_layout(layout), as_matrix(pattern, turned), turned)


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


def _placed(dense: Tensor, matrix: Tensor, layout: Layout, pattern: Tensor, turned: bool) -> SparseTensor:
    sparse = _encoded(matrix, layout, pattern)
    if any(tensor.untyped_storage().data_ptr() == dense.untyped_storage().data_ptr() for tensor in sparse.tensors.values()):
        sparse = TorchSparse(layout, sparse.shape, {name: tensor.clone() for name, tensor in sparse.tensors.items()})
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
