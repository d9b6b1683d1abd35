"""Making sparse tensors from dense ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sparseref as sr
from sparseref import Layout, Sparsifier, SpecError
from sparseref.formats import parse_format
from sparseref.registry import parse_layout
from sparseref.sparsifiers import own_sparsifier

from ..encoding import encode
from ..positions import LAYOUTS
from ..selection import SPARSIFIERS, select
from ..tensors import TorchSparse, to_numpy, to_torch
from .sparse_tensor import SparseTensor

Format = str | tuple[str | Sparsifier, str | Layout]


def parse(form: Format) -> tuple[Sparsifier, Layout]:
    """A format string such as "nmg:2:8:8" or "csr:0.9", or (sparsifier, layout) -> both (FMT-3, FMT-4)."""
    if isinstance(form, tuple):
        return sr.registry.parse_sparsifier(form[0]), parse_layout(form[1])
    sparsifier, layout = parse_format(form)
    return sparsifier or own_sparsifier(layout), layout


@torch.no_grad()
def sparsify(dense: Tensor, form: Format, scores: Tensor | None = None, rng: np.random.Generator | None = None,
             turned: bool = False) -> SparseTensor:
    """dense [shape], scores [shape] or None for |dense| -> SparseTensor [shape]: the sparsifier chooses, the layout places.

    More than two dimensions are stored as the matrix [first, all others]; turned: a matrix is stored as its transpose.
    Errors: those of the sparsifier and the layout; SPF-5 without a generator where chance decides.
    """
    sparsifier, layout = parse(form)
    matrix = as_matrix(dense, turned)
    ranked = None if scores is None else as_matrix(scores, turned)
    return _placed(dense, layout, choose(matrix, sparsifier, ranked, rng), turned)


@torch.no_grad()
def from_pattern(dense: Tensor, layout: str | Layout, pattern: Tensor, turned: bool = False) -> SparseTensor:
    """dense [shape], pattern bool [shape] -> SparseTensor [shape].  Errors: CORE-E1, and the layout's own."""
    if pattern.dtype != torch.bool or pattern.shape != dense.shape:                        # CORE-E1
        raise SpecError("CORE-E1", "the pattern does not fit the tensor.", wanted=f"torch.bool {tuple(dense.shape)}",
                        given=f"{pattern.dtype} {tuple(pattern.shape)}", fix="e.g. pattern = dense != 0")
    return _placed(dense, parse_layout(layout), as_matrix(pattern, turned), turned)


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


def _placed(dense: Tensor, layout: Layout, pattern: Tensor, turned: bool) -> SparseTensor:
    matrix = as_matrix(dense, turned)
    if layout.name in LAYOUTS:
        sparse = encode(matrix, layout, pattern)
    else:                                                      # a layout of the user's own: its encode rule speaks NumPy
        sparse = to_torch(sr.encode(to_numpy(matrix, []), layout, to_numpy(pattern, [])))
    if any(tensor.untyped_storage().data_ptr() == dense.untyped_storage().data_ptr() for tensor in sparse.tensors.values()):
        sparse = TorchSparse(layout, sparse.shape, {name: tensor.clone() for name, tensor in sparse.tensors.items()})
    return SparseTensor(sparse, dense.shape, turned)


def sparse_parameter(sparse: SparseTensor, grad_format: Any = "same") -> SparseTensor:
    """A sparse tensor -> an nn.Parameter whose gradient has the same slots, or the format that is asked for."""
    parameter = torch.nn.Parameter(sparse)
    return parameter.set_grad_format(grad_format)              # type: ignore[attr-defined, no-any-return]
