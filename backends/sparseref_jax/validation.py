"""The invariants of every layout, looked at with XLA; where one is broken the reference says which and why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from sparseref import BSR, COO, CSC, CSR, ELL, NM, NMG, VNM, Layout
from sparseref.layouts.blocks import ceil_div

from .arrays import JaxSparse
from .positions import line_of_each_slot


@partial(jax.jit)
def is_valid(a: JaxSparse) -> Array:
    """-> bool: the elements keep the layout's invariants; names, dtypes and shapes of the arrays are checked before."""
    rule = _RULES.get(type(a.layout))                          # dense and masked have none
    return jnp.asarray(True) if rule is None else rule(a, a.layout)


def _between(index: Array, least: int, side: int) -> Array:
    return jnp.all((index >= least) & (index < side))


def _pointers(indptr: Array, slots: int) -> Array:
    return (indptr[0] == 0) & (indptr[-1] == slots) & jnp.all(indptr[1:] >= indptr[:-1])


def _rising(index: Array) -> Array:
    return jnp.all(index[..., 1:] > index[..., :-1])


def _coo(a: JaxSparse, layout: COO) -> Array:
    sides = jnp.asarray(a.shape, a["coords"].dtype)[:, None]
    return jnp.all((a["coords"] >= 0) & (a["coords"] < sides))                                     # COO-C2


def _csr(a: JaxSparse, layout: CSR) -> Array:
    return _pointers(a["indptr"], len(a.values)) & _between(a["indices"], 0, a.shape[1])           # CSR-C2, CSR-C3


def _csc(a: JaxSparse, layout: CSC) -> Array:
    return _pointers(a["indptr"], len(a.values)) & _between(a["indices"], 0, a.shape[0])           # CSC-C2, CSC-C3


def _bsr(a: JaxSparse, layout: BSR) -> Array:
    columns = ceil_div(a.shape[1], layout.c)
    place = line_of_each_slot(a["indptr"], len(a.values)) * columns + a["indices"]
    return (_pointers(a["indptr"], len(a.values)) & _between(a["indices"], 0, columns)             # BSR-C3, BSR-C4
            & _rising(place))                                                                      # BSR-C4


def _ell(a: JaxSparse, layout: ELL) -> Array:
    side = a.shape[1]
    as_last = jnp.where(a["indices"] == -1, side, a["indices"])                            # padding sorts last
    rising = (as_last[:, 1:] > as_last[:, :-1]) | (as_last[:, 1:] == side)
    return _between(a["indices"], -1, side) & jnp.all(rising)                                      # ELL-C3


def _small_index(a: JaxSparse, layout: NM | VNM) -> Array:
    index = a["idx"].astype(jnp.int32)
    return _between(index, 0, layout.m) & _rising(index)                                           # NM-C4, VNM-C4


def _nmg(a: JaxSparse, layout: NMG) -> Array:
    valid = jnp.asarray(True)
    for chunk in layout.chunks(a.shape[layout.group_axis]):                                        # NMG-C5
        owners = jnp.sort(a["idx"][:, :, chunk.fibres].astype(jnp.int32), axis=2)
        valid &= jnp.all(owners == jnp.arange(owners.shape[2]))
    return valid


_RULES: dict[type[Layout], Callable[..., Array]] = {
    COO: _coo, CSR: _csr, CSC: _csc, BSR: _bsr, ELL: _ell, NM: _small_index, NMG: _nmg, VNM: _small_index}
