"""Cases of L0: encode, decode and validate, for every layout, the third party's too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from ..array import SparseArray
from ..backend import Cell
from ..dtypes import DTYPES, value_dtype
from ..layouts.base import Layout
from ..registry import layouts, parse_layout
from ..selecting import select
from ..sparsifiers import own_sparsifier
from .case import Ask, Build, Case
from .forms import FORMS
from .inputs import (
    Shape,
    describes,
    disordered,
    has_padding,
    instances,
    poisoned,
    shapes,
    sparse,
    values,
    with_stored_zeros,
)
from .wire import Call


def coding_cases(profile: str) -> Iterator[Case]:
    """Every layout x dtype: quick, one shape a case in turn for dtypes other than float32; full, every shape."""
    for name, dtype in product(layouts.names(), DTYPES):
        for layout in map(parse_layout, instances(layouts.get(name))):
            yield from layout_cases(layout, dtype, every=profile == "full" or dtype == "float32")
    yield from far_cases()


def layout_cases(layout: Layout, dtype: str, every: bool) -> Iterator[Case]:
    """All L0 cases of one layout and dtype."""
    odd = [shape for shape in ((0, 5), (5, 0), (0, 0), (2, 5, 7), (2, 0, 4)) if describes(layout, shape)]
    matrices = shapes(layout) or odd[-1:]                      # a third party's layout may take no matrices
    chosen = matrices if every else matrices[-1:]
    cell = {what: Cell(what, (layout.name,), dtype) for what in ("encode", "decode", "validate")}
    law, placed = layout_clauses(layout.name), canonical_clauses(layout.name)
    floating = value_dtype(dtype).kind != "i"
    for shape in (*chosen, *odd):
        yield _case("encode", cell, layout, "normal", ("CORE-C1", *placed, *law), _encode(layout, dtype, "normal"), shape)
        yield _case("encode", cell, layout, "spoiled-pattern", law, _encode_spoiled(layout, dtype), shape, Ask.SAME_VERDICT)
        yield _case("decode", cell, layout, "normal", ("CORE-V1", *law), _decode(layout, dtype, "normal"), shape)
        yield _case("validate", cell, layout, "good", law, _validate(layout, dtype, ""), shape, Ask.SAME_VERDICT)
        if _takes_poison(layout, shape):
            poison = _decode(layout, dtype, "poisoned")
            yield _case("decode", cell, layout, "poisoned-padding", ("CORE-P5", *law), poison, shape)
        if layout.name in ("coo", "csr", "csc"):
            mixed, checked = _decode(layout, dtype, "disordered"), _validate(layout, dtype, "disordered")
            yield _case("decode", cell, layout, "disordered", ("CORE-V2", *disorder_clauses(layout.name), *law), mixed, shape)
            yield _case("validate", cell, layout, "disordered", ("CORE-C2", *law), checked, shape, Ask.SAME_VERDICT)
        for name in corruptions(layout, shape):
            harmed = _validate(layout, dtype, name)
            yield _case("validate", cell, layout, name, ("ERR-1", *law), harmed, shape, Ask.SAME_VERDICT)
    shape = matrices[-1]
    if floating:
        yield _case("encode", cell, layout, "special", ("CORE-V1", *law), _encode(layout, dtype, "special"), shape)
        yield _case("decode", cell, layout, "special", ("CORE-V1", *law), _decode(layout, dtype, "special"), shape)
    yield _case("validate", cell, layout, "stored-zeros", ("CORE-P1", *law), _validate(layout, dtype, "zeros"), shape,
                Ask.SAME_VERDICT)
    yield _case("decode", cell, layout, "stored-zeros", ("CORE-P1", *law), _decode(layout, dtype, "zeros"), shape)
    for form in FORMS[1:]:
        yield _case("encode", cell, layout, form, ("CORE-M2", *law), _encode(layout, dtype, "normal"), shape, form=form)
        yield _case("decode", cell, layout, form, ("CORE-M2", *law), _decode(layout, dtype, "normal"), shape, form=form)


FAR = (("dense", (24, 40)), ("masked", (24, 40)), ("coo", (24, 40)), ("csr", (24, 40)), ("csc", (24, 40)), ("ell", (24, 40)),
       ("bsr:2:3", (24, 40)), ("nm:3:16", (5, 70)), ("nm:2:2", (5, 7)), ("vnm:2:2:2", (5, 7)), ("vnm:8:3:20", (19, 50)),
       ("nmg:2:2:3", (5, 7)), ("nmg:2:3:1", (7, 8)), ("nmg:2:4:43", (9, 300)), ("nmg:1:3:90,tail=short", (7, 400)))
"""Layouts and shapes where other code runs than at the small sizes: more slots than a byte counts, indices that need uint16,
n = m, g = 1, m beyond 8."""


def far_cases() -> Iterator[Case]:
    """encode and decode in float32 of every entry of FAR."""
    for text, shape in FAR:
        layout = parse_layout(text)
        clauses = (*canonical_clauses(layout.name), *layout_clauses(layout.name))
        for what, build in (("encode", _encode(layout, "float32", "normal")), ("decode", _decode(layout, "float32", "normal"))):
            yield Case("L0", Cell(what, (layout.name,), "float32"), f"{layout}/far", ("CORE-V1", *clauses), build, shape)


def layout_clauses(name: str) -> tuple[str, ...]:
    """The clauses that say how a layout of the specification lies; a third party's layout has the laws alone."""
    known = {"dense": "DENSE-C1", "masked": "MASKED-C1", "coo": "COO-C1", "csr": "CSR-C4", "csc": "CSC-C4", "bsr": "BSR-C6",
             "ell": "ELL-C2", "nm": "NM-C3", "nmg": "NMG-C4", "vnm": "VNM-C3"}
    return (known[name],) if name in known else ()


def canonical_clauses(name: str) -> tuple[str, ...]:
    """The clauses of a layout's canonical form and of the width of its indices."""
    coordinates, slots = ("CORE-I1",), ("CORE-I2",)
    known = {"masked": ("MASKED-C2",), "coo": ("COO-C5", *coordinates), "csr": ("CSR-C5", *coordinates),
             "csc": ("CSC-C5", *coordinates), "bsr": ("BSR-C7", *coordinates), "ell": ("ELL-C4", *coordinates),
             "nm": ("NM-C6", *slots), "nmg": ("NMG-C10", "NMG-C8", "NMG-C9", *slots), "vnm": ("VNM-C6", *slots)}
    return known.get(name, ())


def disorder_clauses(name: str) -> tuple[str, ...]:
    """The clauses by which a layout takes its entries in any order, some of them twice."""
    known = {"coo": "COO-C4", "csr": "CSR-C6", "csc": "CSC-C6"}
    return (known[name],) if name in known else ()


def _case(operation: str, cells: dict[str, Cell], layout: Layout, name: str, clauses: tuple[str, ...], build: Build,
          shape: Shape, ask: Ask = Ask.ANSWER, form: str = "contiguous") -> Case:
    return Case("L0", cells[operation], f"{layout}/{name}", clauses, build, shape, ask, form)


def _pattern(layout: Layout, dense: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return select(dense, own_sparsifier(layout), scores=rng.normal(size=dense.shape))


def _encode(layout: Layout, dtype: str, channel: str) -> Build:
    def build(shape: Shape, rng: np.random.Generator) -> Call:
        dense = values(channel, shape, value_dtype(dtype), rng)
        return Call("encode", (dense, _pattern(layout, dense, rng)), {"layout": str(layout)})
    return build


def _encode_spoiled(layout: Layout, dtype: str) -> Build:
    """A pattern with one entry turned: a layout of fixed form must refuse it, and by the right clause."""
    def build(shape: Shape, rng: np.random.Generator) -> Call:
        dense = values("normal", shape, value_dtype(dtype), rng)
        pattern = _pattern(layout, dense, rng)
        if pattern.size:
            place = rng.integers(pattern.size)
            pattern.reshape(-1)[place] ^= True
        return Call("encode", (dense, pattern), {"layout": str(layout)})
    return build


TWISTS = {"poisoned": lambda a, rng: poisoned(a), "disordered": disordered, "zeros": with_stored_zeros}


def _decode(layout: Layout, dtype: str, how: str) -> Build:
    def build(shape: Shape, rng: np.random.Generator) -> Call:
        a = sparse(layout, values("special" if how == "special" else "exact", shape, value_dtype(dtype), rng), rng)
        return Call("decode", (TWISTS[how](a, rng) if how in TWISTS else a,))
    return build


def _validate(layout: Layout, dtype: str, damage: str) -> Build:
    """A good array, or one with the damage of that name."""
    def build(shape: Shape, rng: np.random.Generator) -> Call:
        a = sparse(layout, values("exact", shape, value_dtype(dtype), rng), rng)
        if damage in TWISTS:
            return Call("validate", (TWISTS[damage](a, rng),))
        if damage:
            a = damaged(a, damage)
        return Call("validate", (a,))
    return build


def _takes_poison(layout: Layout, shape: Shape) -> bool:
    return has_padding(sparse(layout, np.zeros(shape, np.float32), np.random.default_rng(0)))


def corruptions(layout: Layout, shape: Shape) -> Iterator[str]:
    """The name of every way to damage an array of the layout."""
    yield "extra-field"
    for name, field in layout.fields(shape).items():
        for damage in ("missing", "wrong-dtype", "one-short", "one-axis-more"):
            yield f"{damage}-{name}"
        if field.dtype is not None and field.dtype.kind in "iu":
            for damage in ("lower", "raise", "swap", "repeat"):
                yield f"{damage}-{name}"


def damaged(a: SparseArray, damage: str) -> SparseArray:
    """An array and the name of a damage -> the damaged array; the damage may happen to do no harm."""
    arrays = dict(a.arrays)
    if damage == "extra-field":
        return replace(a, arrays={**arrays, "more": np.zeros(1, np.int8)})
    kind, field = damage.rsplit("-", 1)
    array = arrays[field].copy()
    if kind == "missing":
        del arrays[field]
        return replace(a, arrays=arrays)
    if kind == "wrong-dtype":
        array = array.astype(np.float32 if array.dtype != np.float32 else np.float64)
    elif kind == "one-short":
        array = array[..., :-1] if array.size else np.zeros((*array.shape, 1), array.dtype)
    elif kind == "one-axis-more":
        array = array[None]
    elif array.size:
        _spoil(array.reshape(-1), kind)
    return replace(a, arrays={**arrays, field: array})


def _spoil(flat: np.ndarray, kind: str) -> None:
    """Damage one or two elements in place, in the middle of the array."""
    at = len(flat) // 2
    if kind == "lower":
        flat[at] = 255 if flat.dtype.kind == "u" else -2       # an unsigned index has no -2; 255 leaves every small block
    elif kind == "raise":
        flat[at] = np.iinfo(flat.dtype).max
    elif at > 0:
        flat[at], flat[at - 1] = flat[at - 1], flat[at] if kind == "swap" else flat[at - 1]
