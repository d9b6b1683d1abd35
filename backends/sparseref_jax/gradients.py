"""The gradient of every operator: JAX's derivative of what the operator means."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from sparseref import SpecError

from .arrays import JaxSparse, Operand
from .operators import dense_forward


def gradient(name: str, grad: Array, *operands: Operand, **parameters: Any) -> tuple[Operand, ...]:
    """grad [result] and the operands, checked before -> for each operand its gradient: dense for a dense one, in the
    operand's own slots for a sparse one (GRAD-1, GRAD-2), None for a missing one.  Errors: GRAD-3."""
    given = tuple(sorted(parameters.items()))
    result = jax.eval_shape(partial(dense_forward, name, **parameters), *operands)
    if grad.shape != result.shape or grad.dtype != result.dtype or not jnp.issubdtype(grad.dtype, jnp.floating):       # GRAD-3
        raise SpecError("GRAD-3", f"the gradient does not fit the result of {name}.",
                        wanted=f"{result.dtype} {result.shape}, a float dtype", given=f"{grad.dtype} {grad.shape}")
    found = iter(_gradient(name, grad, operands, given))
    return tuple(None if operand is None
                 else operand.with_values(next(found)) if isinstance(operand, JaxSparse) else next(found)
                 for operand in operands)


@partial(jax.jit, static_argnames=("name", "parameters"))
def _gradient(name: str, grad: Array, operands: tuple[Operand, ...],
              parameters: tuple[tuple[str, Any], ...]) -> tuple[Array, ...]:
    """-> the gradient by the values of every operand that there is."""
    there = [operand for operand in operands if operand is not None]

    def of_values(*values: Array) -> Array:
        given = iter(operand.with_values(new) if isinstance(operand, JaxSparse) else new
                     for operand, new in zip(there, values, strict=True))
        return dense_forward(name, *(None if operand is None else next(given) for operand in operands), **dict(parameters))

    values = [operand.values if isinstance(operand, JaxSparse) else operand for operand in there]
    return jax.vjp(of_values, *values)[1](grad)
