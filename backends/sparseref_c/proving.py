"""An instruction set proves itself before it is used: small exact products and gradients, against NumPy."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np

from sparseref import decode, sparsify

from .compiling import NotBuilt
from .library import Library, instruction_sets, load

FORMATS = ("nmg:1:4:2", "nmg:2:4:2", "nmg:3:4:2", "nmg:4:6:1", "csr:0.5")
"""Each n that has a kernel of its own, and rows."""
WIDE = ("nmg:1:8:4", "nmg:1:6:16", "nmg:1:8:16", "nmg:1:10:16")
"""One token looks up 32, 96, 128 and 160 columns; each has a kernel of its own."""
TOKENS = (1, 9, 100)


@cache
def proven(names: tuple[str, ...]) -> str:
    """Names of instruction sets, the best first -> the first that computes rightly; each that does not is warned of."""
    numbers = instruction_sets(load())
    for name in names:
        wrong = failure(Library(load(), name, numbers[name]))
        if wrong is None:
            return name
        warnings.warn(f"sparseref_c: {name} computes {wrong} wrongly on this machine, and is not used", RuntimeWarning,
                      stacklevel=2)
    raise NotBuilt("no instruction set of the C library computes rightly here")


def failure(using: Library) -> str | None:
    """The first product or gradient that goes wrong, or None."""
    from .multiplying import multiply
    from .preparing import prepare
    from .sampling import prepare_pattern, sampled

    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        dense = rng.integers(-8, 9, (22, 37)).astype(dtype)
        bias = rng.integers(-8, 9, 22).astype(dtype)
        for form in FORMATS:
            a = sparsify(dense, form)
            weight, pattern, positions = prepare(a), prepare_pattern(a), a.layout.positions(a)
            kept = np.where(a.pattern, dense, 0)
            for tokens in TOKENS:
                x = rng.integers(-8, 9, (tokens, 37)).astype(dtype)
                y = multiply(weight, x, bias, "relu", at_most=1, using=using)
                if not np.array_equal(np.maximum(x @ kept.T + bias, 0), y):
                    return f"{form} of {tokens} tokens in {np.dtype(dtype).name}"
                by_values = pattern.in_slots(sampled(pattern.in_dtype(x.dtype), y, x, at_most=1, using=using))
                if not np.array_equal(np.append(y.T @ x, np.zeros(1, dtype))[positions], by_values):
                    return f"the gradient of {form} of {tokens} tokens in {np.dtype(dtype).name}"
    for form in WIDE:
        dense, x = (rng.integers(-8, 9, (rows, 160)).astype(np.float32) for rows in (240, 1))
        a = sparsify(dense, form)
        if not np.array_equal(x @ decode(a).T, multiply(prepare(a), x, at_most=1, using=using)):
            return f"{form} of one token"
    return None
