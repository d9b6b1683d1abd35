"""Making a format card: a layout is put to weights, and everything it costs and keeps is counted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from ..array import SparseArray
from ..coding import encode
from ..dtypes import bits_of
from ..layouts.base import Layout
from ..render import text
from ..selecting import energy, select
from ..sparsifiers.base import Sparsifier
from .breakeven import break_evens, sparsifier_for, storage_curve
from .result import Card, FieldUse, Measurement
from .rivals import rivals_of
from .weights import Weight

PICTURE_SHAPE = (8, 24)
PICTURE_DENSITY = 0.3

OnWeight = Callable[[Weight, int, int], None]


def make_card(layout: Layout, weights: Iterable[Weight], density: float = 0.25, sparsifier: Sparsifier | None = None,
              on_weight: OnWeight | None = None) -> Card:
    """layout, weights -> its Card.  `density`: of a layout that leaves it free; `sparsifier`: another than that gives.

    `on_weight(weight, done, total)` hears when a weight is done.  Errors: those of the layout for a weight's shape.
    """
    weights = list(weights)
    measurements = []
    for done, weight in enumerate(weights, 1):
        measurements.append(measure(layout, weight, sparsifier or sparsifier_for(layout, density)))
        if on_weight is not None:
            on_weight(weight, done, len(weights))
    parameters = {field.name: getattr(layout, field.name) for field in fields(layout)}  # type: ignore[arg-type]  # a dataclass
    about = inspect.cleandoc(type(layout).__doc__ or "")
    return Card(str(layout), about, parameters, layout.any_pattern, _picture(layout), tuple(measurements))


def measure(layout: Layout, weight: Weight, sparsifier: Sparsifier) -> Measurement:
    """layout, a weight, what chooses -> storage, padding, energy, rivals and break-even."""
    values = weight.values
    a = encode(values, layout, select(values, sparsifier, rng=np.random.default_rng(0)))
    size, stored, positions = max(values.size, 1), a.nnz, layout.positions(a)
    curve = storage_curve(layout, values)
    return Measurement(
        source=weight.source, shape=a.shape, dtype=a.dtype.name, sparsifier=str(sparsifier), density=stored / size, bits=a.bits,
        dense_bits=values.size * bits_of(a.dtype), bits_per_entry=a.bits / size, bits_per_stored=a.bits / max(stored, 1),
        padding_share=float((positions < 0).mean()) if positions.size else 0.0, energy=energy(values, a),
        fields=tuple(_use(name, array) for name, array in a.arrays.items()),
        rivals=rivals_of(layout, values, stored / size), break_even=break_evens(a, curve),
        curve=tuple((density, bits / size) for density, bits in curve))


def _use(name: str, array: np.ndarray) -> FieldUse:
    """One field -> what it takes; for an index, the largest number that its dtype may hold and that it does hold."""
    is_index = name != "values" and array.dtype.kind in "iu"
    limit: Any = int(np.iinfo(array.dtype).max) if is_index else None
    largest = int(array.max(initial=0)) if is_index else None
    return FieldUse(name, array.dtype.name, array.shape, array.size * bits_of(array.dtype), limit, largest)


def _picture(layout: Layout) -> str:
    values = np.random.default_rng(0).normal(size=PICTURE_SHAPE).astype(np.float32)
    a: SparseArray = encode(values, layout, select(values, sparsifier_for(layout, PICTURE_DENSITY)))
    return text(a)
