"""The laws of a layout alone: what must hold before any backend implements it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..array import SparseArray, same_array, same_bits
from ..backend import Cell
from ..coding import decode, encode, validate
from ..descriptor import build
from ..errors import SpecError
from ..layouts.base import Layout
from ..render import difference
from ..selecting import select
from ..sparsifiers import own_sparsifier
from .coding_cases import corruptions, damaged
from .inputs import Shape, describes, poisoned, shapes, values
from .outcome import Outcome, Verdict

DTYPES = tuple(np.dtype(name) for name in ("float32", "float16", "int8"))
MORE_SHAPES: tuple[Shape, ...] = ((0, 4), (4, 0), (0, 0), (5,), (2, 5, 7), (3, 0, 4))


@dataclass(frozen=True)
class Sample:
    """A layout, a dense array [shape], a pattern that the layout's own sparsifier chose, and what encode made of them."""

    layout: Layout
    dense: np.ndarray
    pattern: np.ndarray
    encoded: SparseArray


Law = Callable[[Sample], str]
"""A law answers "" where it holds, else what is wrong."""

LAWS: list[tuple[str, Law]] = []


def law(clause: str) -> Callable[[Law], Law]:
    """Enter a law under the clause that it is a case of."""
    def enter(function: Law) -> Law:
        LAWS.append((clause, function))
        return function
    return enter


@law("CORE-V1")
def decode_inverts_encode(s: Sample) -> str:
    """Decoding what was encoded gives the entries of the pattern, and +0 elsewhere."""
    expected, actual = np.where(s.pattern, s.dense, np.zeros((), s.dense.dtype)), decode(s.encoded)
    hint = "decode(encode(x)) is not x on its pattern; encode must refuse what it cannot hold, sparsifier() name what it can"
    return "" if same_bits(expected, actual) else f"{hint}\n{difference(expected, actual)}"


@law("CORE-C1")
def pattern_is_the_one_encoded(s: Sample) -> str:
    """Exactly the pattern that was given is stored."""
    actual = s.encoded.pattern
    return "" if np.array_equal(actual, s.pattern) else f"another pattern is stored\n{difference(s.pattern, actual)}"


@law("CORE-C1")
def canonical_form_is_a_fixed_point(s: Sample) -> str:
    """Encoding what was decoded gives the same arrays again."""
    again = encode(decode(s.encoded), s.layout, s.encoded.pattern)
    return "" if same_array(again, s.encoded) else "encode(decode(a)) is not a"


@law("CORE-B1")
def bits_by_formula(s: Sample) -> str:
    """The storage that the fields' shapes foresee is the storage that the arrays take."""
    sizes = {side: have for name, field in s.layout.fields(s.dense.shape).items()
             for side, have in zip(field.shape, s.encoded[name].shape, strict=True) if isinstance(side, str)}
    expected, actual = s.layout.bits(s.dense.shape, s.dense.dtype, **sizes), s.encoded.bits
    return "" if expected == actual else f"bits(shape) foresees {expected}, the arrays take {actual}"


@law("CORE-A2")
def own_arrays_are_valid(s: Sample) -> str:
    """What encode gives, validate accepts."""
    validate(s.encoded)
    return ""


@law("CORE-A1")
def damage_is_refused(s: Sample) -> str:
    """A missing or foreign field, a wrong dtype or a wrong number of axes is refused."""
    for name in corruptions(s.layout, s.dense.shape):
        if name.startswith(("extra", "missing", "wrong-dtype", "one-axis")):
            try:
                validate(damaged(s.encoded, name))
            except SpecError:
                continue
            return f"validate accepts the damage {name!r}"
    return ""


@law("CORE-P5")
def padding_is_not_read(s: Sample) -> str:
    """Padding slots hold +0, and whatever they hold does not change what is decoded."""
    padding = s.encoded.layout.positions(s.encoded) < 0
    held = s.encoded.values[padding]
    if not same_bits(held, np.zeros_like(held)):
        return "a padding slot does not hold +0"
    return "" if same_bits(decode(s.encoded), decode(poisoned(s.encoded))) else "what lies in padding shows in decode"


@law("CORE-M1")
def inputs_stay_as_they_are(s: Sample) -> str:
    """encode modifies neither the values nor the pattern, and keeps no view of the values."""
    dense, pattern = s.dense.copy(), s.pattern.copy()
    encoded = encode(dense, s.layout, pattern)
    if not same_bits(dense, s.dense) or not np.array_equal(pattern, s.pattern):
        return "encode changed its input"
    return "encode keeps a view of the values" if np.may_share_memory(encoded.values, dense) else ""


@law("CORE-M2")
def strides_do_not_matter(s: Sample) -> str:
    """A view in Fortran order or running backwards is encoded as its copy."""
    views = (np.asfortranarray(s.dense), np.flip(np.flip(s.dense).copy()))
    same = all(same_array(encode(view, s.layout, s.pattern), s.encoded) for view in views)
    return "" if same else "the result depends on the strides of the input"


@law("CORE-L1")
def short_string_builds_it_again(s: Sample) -> str:
    """The short string gives an equal layout, with the same hash."""
    again = build(type(s.layout), str(s.layout))
    return "" if again == s.layout and hash(again) == hash(s.layout) else f"{str(s.layout)!r} builds {again!r}"


@law("TRANSPOSE-1")
def transposed_layout_holds_the_transpose(s: Sample) -> str:
    """Where a layout names its transpose, that one takes the transposed matrix, and its own transpose is the layout."""
    turned = s.layout.transposed() if s.dense.ndim == 2 else None
    if turned is None:
        return ""
    expected, actual = decode(s.encoded).T, decode(encode(s.dense.T, turned, s.pattern.T))
    return "" if same_bits(expected, actual) else f"{turned} does not hold the transpose"


def run_laws(layout: Layout) -> list[Outcome]:
    """A layout -> one outcome a law, shape and dtype.  Exceptions of the layout's own are errors, not crashes of the kit."""
    tried = [shape for shape in (*shapes(layout), *MORE_SHAPES) if describes(layout, shape)]
    outcomes = []
    for shape in tried:
        for dtype in DTYPES:
            outcomes += _run_sample(layout, shape, dtype)
    if not tried:
        cell = Cell("law", (layout.name,), "float32")
        reason = f"{layout} describes none of the shapes that were tried"
        outcomes.append(Outcome("L0/law/shapes", "L0", cell, ("CORE-S1",), Verdict.FAIL, reason=reason))
    return outcomes


def _run_sample(layout: Layout, shape: Shape, dtype: np.dtype[Any]) -> list[Outcome]:
    cell = Cell("law", (layout.name,), dtype.name)
    name = f"{layout}/{'x'.join(map(str, shape))}"
    rng = np.random.default_rng(zlib.crc32(f"{name}{dtype}".encode()))
    dense = values("normal", shape, dtype, rng)
    try:
        pattern = select(dense, own_sparsifier(layout), scores=rng.normal(size=shape))
        sample = Sample(layout, dense, pattern, encode(dense, layout, pattern))
    except Exception as accident:  # a third party's layout may raise anything
        return [Outcome(f"L0/{cell}/{name}/encode", "L0", cell, ("SPF-10",), Verdict.ERROR,
                        reason=f"its own sparsifier and encode do not get along: {type(accident).__name__}: {accident}")]
    return [_run_law(clause, function, sample, f"L0/{cell}/{name}", cell) for clause, function in LAWS]


def _run_law(clause: str, function: Law, sample: Sample, where: str, cell: Cell) -> Outcome:
    case = f"{where}/{function.__name__.replace('_', '-')}"
    try:
        wrong, verdict = function(sample), Verdict.FAIL
    except Exception as accident:  # a third party's layout may raise anything
        wrong, verdict = f"{type(accident).__name__}: {accident}", Verdict.ERROR
    if not wrong:
        return Outcome(case, "L0", cell, (clause,), Verdict.PASS)
    what, _, picture = wrong.partition("\n")
    return Outcome(case, "L0", cell, (clause,), verdict, reason=what, counterexample=picture or
                   f"layout {sample.layout}, shape {sample.dense.shape}, {math.prod(sample.dense.shape)} entries")
