"""Floats by their bits: XLA's arithmetic on a CPU reads subnormal numbers as 0, and so do its comparisons and sorts.

Ranking must not (SPF-4): it compares whole numbers that are in the order of the floats.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

_WHOLE = {2: jnp.int16, 4: jnp.int32, 8: jnp.int64}


def bits(x: Array) -> Array:
    """float [...] -> signed integers of the same bits."""
    return lax.bitcast_convert_type(x, _WHOLE[x.dtype.itemsize])


def magnitude(x: Array) -> Array:
    """float64 [...] -> |x|, by its bits: LLVM turns a comparison of the bits of jnp.abs with 0 into one of floats."""
    return lax.bitcast_convert_type(bits(x) & jnp.iinfo(jnp.int64).max, jnp.float64)


def rank_of(x: Array) -> Array:
    """float without NaN [...] -> integers [...] in the same order; -0 and +0 are equal."""
    whole = bits(x)
    least = jnp.iinfo(whole.dtype).min
    return jnp.where(whole >= 0, whole, jnp.where(whole == least, 0, least - whole))


def is_positive(x: Array) -> Array:
    """float or integer [...] -> bool: above 0 or NaN, which relu lets through (RELU-1)."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x > 0
    return (bits(x) > 0) | jnp.isnan(x)


def added(a: Array, b: Array) -> Array:
    """float64 a, b [...] -> a + b but for the sign of a zero, subnormal numbers included.

    Small ones are added where they are normal, 2**600 times as large.
    """
    small = (bits(magnitude(a)) < _SMALL) & (bits(magnitude(b)) < _SMALL)
    total = _raised(a) + _raised(b)
    tiny = jnp.abs(total) < 2.0 ** (600 - 1022)                # a whole multiple of 2**-1074, so that nothing is rounded
    size = lax.bitcast_convert_type((jnp.abs(total) * 2.0 ** (1074 - 600)).astype(jnp.int64) |
                                    jnp.where(total < 0, jnp.iinfo(jnp.int64).min, 0), jnp.float64)
    return jnp.where(small, jnp.where(tiny, size, total * 2.0**-600), a + b)


_SMALL = (1023 - 900) << 52
"""The bits of 2**-900: to a number beyond, nothing that is subnormal makes a difference."""


def _raised(x: Array) -> Array:
    """float64 below 2**-900 -> 2**600 times as large."""
    whole = bits(magnitude(x))
    size = whole.astype(jnp.float64) * 2.0 ** (600 - 1074)
    return jnp.where(whole < 1 << 52, jnp.where(bits(x) < 0, -size, size), x * 2.0**600)


def to_double(x: Array) -> Array:
    """float or integer [...] -> float64, subnormal numbers of narrower floats included; x64 is on."""
    if x.dtype == jnp.bfloat16:
        x = lax.bitcast_convert_type(bits(x).astype(jnp.uint16).astype(jnp.uint32) << 16, jnp.float32)
    if x.dtype != jnp.float32:
        return x.astype(jnp.float64)
    whole = bits(x)
    tiny = (whole & 0x7FFFFFFF) < 0x00800000                   # no hidden one: a whole multiple of 2**-149
    size = (whole & 0x007FFFFF).astype(jnp.float64) * 2.0**-149
    return jnp.where(tiny, jnp.where(whole < 0, -size, size), x.astype(jnp.float64))
