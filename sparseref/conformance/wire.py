"""Calls and results as JSON: one format for frozen vectors, for workers in any language, and for counterexamples.

An array is {"dtype", "shape", "data"}: row-major, floats as C99 hex strings ("0x1.8p+1", "nan", "-inf"), so that no bit
is lost and strtod reads them; integers as numbers, bools as true and false.  A sparse array is {"layout", "shape", "dtype",
"arrays"}; layouts and sparsifiers are their short strings.  Schema: spec/protocol.schema.json.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..array import SparseArray, checked_shape, same_bits
from ..dtypes import FLOATS, value_dtype
from ..errors import SpecError
from ..layouts.base import Layout
from ..registry import parse_layout, sparsifiers
from ..sparsifiers import SameFormat, SamePattern
from ..sparsifiers.base import Sparsifier

_HEX_FLOAT = re.compile(r"-?(0x(?P<whole>[0-9a-f])(\.(?P<fraction>[0-9a-f]+))?p(?P<exponent>[+-][0-9]+)|inf)|nan")


@dataclass(frozen=True)
class Call:
    """One operation with its operands and parameters, as `Backend.call` takes them."""

    operation: str
    operands: tuple[Any, ...]
    parameters: dict[str, Any] = field(default_factory=dict)


def to_json(value: Any) -> Any:
    """Any operand, parameter or result -> what json.dump takes."""
    if isinstance(value, Call):
        return {"operation": value.operation, "operands": [to_json(operand) for operand in value.operands],
                "parameters": {name: to_json(parameter) for name, parameter in value.parameters.items()}}
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "shape": list(value.shape), "data": [_element(x) for x in value.reshape(-1)]}
    if isinstance(value, SparseArray):
        return {"layout": str(value.layout), "shape": list(value.shape), "dtype": value.dtype.name,
                "arrays": {name: to_json(array) for name, array in sorted(value.arrays.items())}}
    if isinstance(value, SamePattern | SameFormat):
        return {"sparsifier": value.name, "like": to_json(value.like)}
    if isinstance(value, Layout | Sparsifier):
        return str(value)
    if isinstance(value, np.generic):
        return to_json(np.asarray(value))
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, float):
        return {"float": value.hex()}
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"no JSON form for {type(value).__name__}")


def from_json(value: Any) -> Any:
    """What `to_json` wrote -> the operand, parameter or result; lists come back as tuples, short strings as strings.

    Errors: WIRE-1, where the JSON is none of the forms above.
    """
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    try:
        if "operation" in value:
            return Call(value["operation"], from_json(value["operands"]),
                        {name: from_json(parameter) for name, parameter in value["parameters"].items()})
        if "data" in value:
            return _array(value)
        if "layout" in value:
            return SparseArray(parse_layout(value["layout"]), tuple(value["shape"]), value_dtype(value["dtype"]),
                               {name: _array(array) for name, array in value["arrays"].items()})
        if "sparsifier" in value:
            return sparsifiers.get(value["sparsifier"])(from_json(value["like"]))
        return _float(value["float"])
    except SpecError:
        raise
    except (KeyError, OverflowError, TypeError, ValueError) as problem:
        raise SpecError("WIRE-1", f"this JSON is no operand: {problem}.", wanted="an array, a sparse array, a call or a float",
                        given=str(value)[:200]) from problem


def _element(x: Any) -> Any:
    """One element of an array -> hex string, number or bool."""
    if isinstance(x, np.bool_):
        return bool(x)
    if isinstance(x, np.integer):
        return int(x)
    return float(x).hex()


def _float(text: str) -> float:
    """A hexadecimal string -> float64; `float.fromhex` alone takes "10" for 16, and rounds what needs more bits (WIRE-1)."""
    form = _HEX_FLOAT.fullmatch(text)
    if form is None:
        raise ValueError(f"{text!r} is no hexadecimal float")
    number = float.fromhex(text)
    if form["exponent"] and text != number.hex():              # written otherwise than Python would: as C may, or too long
        fraction, exponent = form["fraction"] or "", int(form["exponent"])
        numerator, denominator = abs(number).as_integer_ratio()
        significand, shift = int(form["whole"] + fraction, 16), exponent - 4 * len(fraction)
        lost = significand != 0 if number == 0 else (
            significand * denominator << max(shift, 0) != numerator << max(-shift, 0))
        if lost:
            raise ValueError(f"{text!r} is no float64")
    return number


def _array(value: dict[str, Any]) -> np.ndarray:
    """Refuses what the dtype does not have: to round it here would hide a wrong number."""
    name, data, shape = value["dtype"], value["data"], checked_shape(value["shape"])
    if name in FLOATS:
        wide = np.array([_float(x) for x in data], np.float64)
        with np.errstate(over="ignore"):
            array = wide.astype(value_dtype(name))
        if not same_bits(array.astype(np.float64), wide):
            raise ValueError(f"an element is no {name}")
        return array.reshape(shape)
    dtype = np.dtype(name)
    if any(type(x) is not (bool if dtype.kind == "b" else int) for x in data):
        raise ValueError(f"an element is no {name}")
    return np.array(data, dtype).reshape(shape)
