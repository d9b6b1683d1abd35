"""The formulas of the layout files (spec/README.md), evaluated: for tests that hold them against the reference's arrays."""

import math
from dataclasses import fields

import numpy as np

from sparseref import spec
from sparseref.dtypes import bits_of


def names(layout, shape, dtype):
    """What a formula may use: the layout's parameters and symbols, the shape, the functions, dtypes and their bits."""
    wide = math.prod(shape) >= 2**31
    known = {field.name: getattr(layout, field.name) for field in fields(layout)}
    known |= {"shape": shape, "len": len, "min": min, "prod": math.prod, "comb": math.comb, "ceil_div": _ceil_div,
              "others": _others, "value": dtype, "value_bits": bits_of(dtype), "bool": np.dtype(bool),
              "coordinate": np.dtype(np.int64 if wide else np.int32), "coordinate_bits": 64 if wide else 32,
              "slot_index": lambda count: np.dtype(np.uint8 if count <= 256 else np.uint16),
              "slot_index_bits": lambda count: 8 if count <= 256 else 16}
    for symbol, entry in spec.layout_descriptions()[layout.name].get("symbols", {}).items():
        known[symbol] = value(entry["is"], known)
    return known


def names_of(a):
    """The names for a sparse array; a free size, such as nnz, is read off the first field that has it."""
    known = names(a.layout, a.shape, a.dtype)
    for field in spec.layout_descriptions()[a.layout.name]["field"]:
        for side, formula in zip(a[field["name"]].shape, field["shape"], strict=False):
            if formula.isidentifier():
                known.setdefault(formula, side)
    return known


def value(formula, known):
    """What a formula comes to."""
    return eval(formula, {"__builtins__": {}}, known)


def _ceil_div(a, b):
    return -(-a // b)


def _others(shape, *axes):
    """The product of all sides but those of the axes named."""
    return math.prod(side for axis, side in enumerate(shape) if axis not in [named % len(shape) for named in axes])
