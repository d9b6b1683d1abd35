"""Short words for writing vectors down: arrays, patterns, sparse arrays, and the three ways to state what a call gives."""

import numpy as np

import sparseref as sr
from sparseref.conformance.vectors import Vector, evaluate
from sparseref.conformance.wire import Call
from sparseref.dtypes import value_dtype

NAN, INF = float("nan"), float("inf")


def array(dtype, data):
    """Nested lists -> array; bfloat16 by its name."""
    return np.array(data, np.float64).astype(value_dtype(dtype)) if dtype == "bfloat16" else np.array(data, dtype)


def f32(data):
    return array("float32", data)


def f64(data):
    return array("float64", data)


def f16(data):
    return array("float16", data)


def i32(data):
    return array("int32", data)


def u8(data):
    return array("uint8", data)


def kept(rows):
    """"10 01" -> bool [[True, False], [False, True]]: one word a row."""
    return np.array([[place == "1" for place in row] for row in rows.split()])


def line(places):
    """"101" -> bool [True, False, True]."""
    return np.array([place == "1" for place in places])


def sparse(layout, shape, **arrays):
    """Fields written out -> SparseArray of the values' dtype; nothing is checked."""
    return sr.SparseArray(sr.parse_layout(layout), shape, arrays["values"].dtype, arrays)


def some(shape, seed=0, dtype="float32"):
    """Small whole numbers and halves [shape], in no order, none of them lost in any dtype."""
    numbers = np.random.Generator(np.random.PCG64(seed)).integers(-6, 7, shape)
    return array(dtype, numbers if dtype.startswith("int") else numbers / 2)


def stored(layout, shape, seed=0, dtype="float32", rows=None):
    """`some` values in a layout, its own sparsifier choosing; `rows` gives the pattern instead, as `kept` reads it."""
    dense = some(shape, seed, dtype)
    if rows is not None:
        return sr.encode(dense, layout, kept(rows))
    return sr.sparsify(dense, sr.parse_layout(layout))


def call(operation, *operands, **parameters):
    return Call(operation, operands, parameters)


def by_hand(name, clauses, note, the_call, expect):
    """The expectation is written out, and `note` says how it follows from the clauses."""
    return Vector(name, tuple(clauses.split()), "positive", True, note, the_call, expect)


def generated(name, clauses, note, the_call):
    """The expectation is what the reference gives."""
    return Vector(name, tuple(clauses.split()), "positive", False, note, the_call, evaluate(the_call))


def refused(name, clause, note, the_call):
    """The call is refused by the clause: an expectation that is always written by hand."""
    return Vector(name, (clause,), "negative", True, note, the_call, {"error": clause})
