"""How far a computed result may lie from its meaning: derived for every output, no hand-picked tolerance.

The trick: for an operator of sums and products, the operator applied to |operands| gives the sum of the terms'
magnitudes, and applied to ones on the patterns gives k, the number of terms in *that* sum (BOUND-1).
Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 2.2 and 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .dtypes import is_float, largest_finite, round_to, smallest_normal, smallest_subnormal, unit_roundoff, value_dtype
from .operators.base import Operand, Operator, Pair, Result, Rounding, as_pair

GELU_ROUNDINGS = 32
"""gelu and its gradient: 10 operations and 2 elementary functions of at most 4 units each, amplified at most by 1.7
(|x Phi'(x)| <= 0.25, |x sech**2(x)| <= 0.45), in units of u * |x| or u * |grad| (BOUND-3)."""


@dataclass(frozen=True)
class Expected:
    """What a clause says of one output: value float64 [shape], bound float64 [shape] (0: every bit is decided)."""

    value: np.ndarray
    bound: np.ndarray
    dtype: np.dtype[Any]


def gamma(k: np.ndarray, u: float) -> np.ndarray:
    """k roundings of unit u -> k*u / (1 - k*u), the largest relative error they add up to; inf where k*u >= 1."""
    ku = np.asarray(k, np.float64) * u
    with np.errstate(divide="ignore"):
        return np.where(ku < 1, ku / np.maximum(1 - ku, 0), np.inf)


def sum_bound(value: np.ndarray, magnitude: np.ndarray, k: np.ndarray, accumulator: str, out: np.dtype[Any]) -> np.ndarray:
    """|C' - C| <= (gamma_k(u_acc) + gamma_k(u_64)) M (1 + u_out) + u_out |C| + k eta_acc + eta_out (BOUND-1, BOUND-2).

    The second gamma is the reference's own share; eta, half the smallest subnormal, is what underflow may lose.
    """
    acc = value_dtype(accumulator)
    u_out = unit_roundoff(out)
    underflow = np.maximum((k * smallest_subnormal(acc) + smallest_subnormal(out)) / 2,
                           smallest_subnormal(np.dtype(np.float64)))           # BOUND-2 is above 0; float64 has no 2**-1075
    with np.errstate(invalid="ignore", over="ignore"):
        spread = (gamma(k, unit_roundoff(acc)) + gamma(k, unit_roundoff(np.dtype(np.float64)))) * magnitude
        return spread * (1 + u_out) + u_out * np.abs(value) + underflow


def expected_forward(operator: Operator, operands: tuple[Operand, ...], parameters: dict[str, Any], accumulator: str,
                     flushes: bool = False) -> tuple[Expected, np.ndarray]:
    """The meaning of a call -> what its values may be, and its pattern bool [result].

    flushes: the backend declares that its arithmetic reads and gives subnormal numbers as 0 (BOUND-5).
    """
    pairs = _pairs(operands)
    with np.errstate(invalid="ignore", over="ignore"):
        meaning = operator.meaning(*pairs, **parameters)
        dtype = _dtype(operands)
        bound = np.zeros(meaning.shape)
        if operator.rounding is Rounding.SUMS and dtype.kind != "i":
            magnitude = operator.meaning(*map(_magnitudes, pairs), **parameters).value
            k = operator.meaning(*map(_ones, pairs), **parameters).value
            bound = sum_bound(meaning.value, magnitude, k, accumulator, dtype)
            if flushes:
                left = operator.meaning(*(_flushed(pair, accumulator) for pair in pairs), **parameters).value
                bound = bound + _flush_bound(magnitude - left, k, accumulator)
            if operator.result is Result.UNION:                # ADD-1: a value that stands alone is unchanged, bit for bit
                bound = np.where(k < 2, 0.0, bound)
        elif operator.rounding is Rounding.GELU:
            bound = _gelu_bound(meaning.value, np.abs(pairs[0].value), accumulator, dtype, flushes)  # type: ignore[union-attr]  # gelu has no missing operand
    value = meaning.value if is_float(dtype) else round_to(meaning.value, dtype).astype(np.int64)      # OPS-1: modulo 2**bits
    return Expected(value, bound, dtype), meaning.pattern


def expected_gradient(operator: Operator, grad: np.ndarray, operands: tuple[Operand, ...], parameters: dict[str, Any],
                      accumulator: str, flushes: bool = False) -> tuple[Expected | None, ...]:
    """The meaning of a gradient call -> for each operand what its gradient [operand] may be."""
    pairs, dtype, wide = _pairs(operands), _dtype(operands), grad.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        values = operator.gradient(wide, *pairs, **parameters)
        magnitudes = operator.gradient(np.abs(wide), *map(_magnitudes, pairs), **parameters)
        counts = operator.gradient(np.ones(grad.shape), *map(_ones, pairs), **parameters)
        left = magnitudes if not flushes else operator.gradient(
            without_subnormals(np.abs(wide), accumulator), *(_flushed(pair, accumulator) for pair in pairs), **parameters)
        found: list[Expected | None] = []
        for value, magnitude, k, rest in zip(values, magnitudes, counts, left, strict=True):
            if value is None or magnitude is None or k is None or rest is None:
                found.append(None)
                continue
            bound = np.zeros(np.shape(value))
            if operator.rounding is Rounding.SUMS:
                bound = sum_bound(value, magnitude, k, accumulator, dtype)
                if flushes:
                    bound = bound + _flush_bound(magnitude - rest, k, accumulator)
            elif operator.rounding is Rounding.GELU:
                bound = _gelu_bound(value, np.abs(wide), accumulator, dtype, flushes)
            found.append(Expected(np.asarray(value), np.asarray(bound), dtype))
    return tuple(found)


def error_ratio(actual: np.ndarray, expected: Expected, nan_allowed: np.ndarray | None = None) -> np.ndarray:
    """actual [shape] in its dtype -> error / bound [shape]: at most 1 conforms, inf where a bit or a special value differs.

    NaN answers NaN, inf answers the same inf; beyond the largest finite number inf answers where rounding may reach it
    (BOUND-4).  `nan_allowed`: where a densified structural zero may have met a non-finite entry; the sign of a zero is free
    then (CORE-P4).
    """
    got, want = actual.astype(np.float64), expected.value.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):                  # bound 0: any difference is inf
        rounded = want.astype(expected.dtype).astype(np.float64)
        exact = (got == rounded) & ((np.signbit(got) == np.signbit(rounded)) | (expected.bound > 0))
        ratio = np.where(exact, 0.0, np.abs(got - want) / expected.bound)
    special = ~np.isfinite(want) | ~np.isfinite(got)
    same_special = (np.isnan(want) & np.isnan(got)) | (want == got)
    overflowed = np.isinf(got) & (np.sign(got) == np.sign(want)) & (np.abs(want) + expected.bound >= _overflow(expected.dtype))
    ratio = np.where(special, np.where(same_special | overflowed, 0.0, np.inf), ratio)
    ratio = np.where(np.isnan(ratio), np.inf, ratio)                                       # 0 / 0: a bit differs
    if nan_allowed is None:
        return ratio
    return np.where((nan_allowed & np.isnan(got)) | ((got == 0) & (want == 0)), 0.0, ratio)


def _overflow(dtype: np.dtype[Any]) -> float:
    """From here on rounding to nearest may give inf."""
    return largest_finite(dtype) if dtype.kind != "i" else np.inf


def _gelu_bound(value: np.ndarray, scale: np.ndarray, accumulator: str, out: np.dtype[Any], flushes: bool) -> np.ndarray:
    """|y' - y| <= 32 u_acc * scale + u_out |y| + eta (BOUND-3), and 4 lambda where subnormal numbers are flushed (BOUND-5)."""
    acc = value_dtype(accumulator)
    return (GELU_ROUNDINGS * unit_roundoff(acc) * scale + unit_roundoff(out) * np.abs(value) + smallest_subnormal(out)
            + flushes * 4 * smallest_normal(acc))


def _flush_bound(lost: np.ndarray, k: np.ndarray, accumulator: str) -> np.ndarray:
    """2 k lambda, for every product and every sum, and what the magnitude loses with subnormal operands (BOUND-5)."""
    return 2 * k * smallest_normal(value_dtype(accumulator)) + np.where(lost > 0, lost, 0.0)


def without_subnormals(value: np.ndarray, accumulator: str) -> np.ndarray:
    """value float64 [...] -> the same with 0 for what is below the accumulator's smallest normal number (BOUND-5)."""
    return np.where(np.abs(value) < smallest_normal(value_dtype(accumulator)), 0.0, value)


def _flushed(pair: Pair | None, accumulator: str) -> Pair | None:
    """The magnitudes of an operand whose subnormal numbers are read as 0."""
    return None if pair is None else Pair(without_subnormals(np.abs(pair.value), accumulator), pair.pattern)


def _dtype(operands: tuple[Operand, ...]) -> np.dtype[Any]:
    return next(np.dtype(operand.dtype) for operand in operands if operand is not None)


def _pairs(operands: tuple[Operand, ...]) -> list[Pair | None]:
    return [None if operand is None else as_pair(operand) for operand in operands]


def _magnitudes(pair: Pair | None) -> Pair | None:
    return None if pair is None else Pair(np.abs(pair.value), pair.pattern)


def _ones(pair: Pair | None) -> Pair | None:
    return None if pair is None else Pair(pair.pattern.astype(np.float64), pair.pattern)
