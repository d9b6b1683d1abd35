"""The value dtypes, the index widths, and what rounding costs in each."""

import math
from typing import Any

import numpy as np

from .errors import MissingDependency, SpecError

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("int8", "int32")
DTYPES = FLOATS + INTEGERS                                                                       # CORE-D1

# name -> (bits of significand with the hidden one, exponent of the smallest subnormal, largest finite number)
_FORMATS = {
    "float16": (11, -24, 65504.0),
    "bfloat16": (8, -133, float.fromhex("0x1.fep+127")),
    "float32": (24, -149, float.fromhex("0x1.fffffep+127")),
    "float64": (53, -1074, float.fromhex("0x1.fffffffffffffp+1023")),
}


def value_dtype(given: Any) -> np.dtype[Any]:
    """A dtype or its name -> the NumPy dtype, if the specification knows it (CORE-D1)."""
    if str(given) == "bfloat16" or getattr(given, "__name__", "") == "bfloat16":
        return _bfloat16()
    try:
        dtype = np.dtype(given)
    except TypeError:
        dtype = None
    if dtype is None or dtype.name not in DTYPES:
        raise SpecError("CORE-D1", f"{given} is not a value dtype.", wanted="one of " + ", ".join(DTYPES), given=given,
                        fix="convert the values first, e.g. dense.astype(np.float32)")
    return dtype


def _bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError as missing:
        raise MissingDependency("ml_dtypes", "bfloat16", "conformance") from missing
    return np.dtype(ml_dtypes.bfloat16)


def is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.name in FLOATS


def wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which the reference computes: float64 for floats, int64 for integers (OPS-1)."""
    return np.dtype(np.float64 if is_float(dtype) else np.int64)


def round_to(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """values [...] wide -> [...] dtype: floats to nearest, ties to even; integers modulo 2**bits (OPS-1)."""
    with np.errstate(over="ignore", invalid="ignore"):          # beyond the largest number is inf, not a warning
        return values.astype(dtype)


def unit_roundoff(dtype: np.dtype[Any]) -> float:
    """u, half the distance from 1 to the next number: 2**-24 for float32."""
    return math.ldexp(1.0, -_FORMATS[dtype.name][0])


def smallest_subnormal(dtype: np.dtype[Any]) -> float:
    return math.ldexp(1.0, _FORMATS[dtype.name][1])


def smallest_normal(dtype: np.dtype[Any]) -> float:
    bits, exponent, _ = _FORMATS[dtype.name]
    return math.ldexp(1.0, exponent + bits - 1)


def largest_finite(dtype: np.dtype[Any]) -> float:
    return _FORMATS[dtype.name][2]


def bits_of(dtype: np.dtype[Any]) -> int:
    return 8 * dtype.itemsize


def coordinate_dtype(shape: tuple[int, ...]) -> np.dtype[Any]:
    """shape -> int32, or int64 for an array of 2**31 entries or more (CORE-I1)."""
    return np.dtype(np.int32 if math.prod(shape) < 2**31 else np.int64)


def slot_index_dtype(count: int) -> np.dtype[Any]:
    """How many things are told apart -> uint8 up to 256, uint16 up to 65,536 (CORE-I2)."""
    return np.dtype(np.uint8 if count <= 256 else np.uint16)
