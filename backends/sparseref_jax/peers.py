"""What `sparseref bench` times of JAX: its dense product, its BCSR, and our own linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import sparse

from sparseref.backend import cell_of
from sparseref.bench.contender import Contender, Problem

from . import interop
from .arrays import to_jax
from .backend import JaxBackend
from .functions import linear


def dense(problem: Problem) -> Callable[[], Any]:
    return _jitted(lambda x, w, bias: x @ w.T + bias, problem, jnp.asarray(problem.dense))


def bcsr(problem: Problem) -> Callable[[], Any]:
    def product(x: Any, w: Any, bias: Any) -> Any:
        return sparse.bcsr_dot_general(w, x, dimension_numbers=(((1,), (1,)), ((), ()))).T + bias
    return _jitted(product, problem, interop.to_bcsr(to_jax(problem.a)))


def ours(problem: Problem) -> Callable[[], Any]:
    reason = JaxBackend().declines(cell_of("linear", (problem.x, problem.a, problem.bias), {}))
    if reason is not None:                                     # a layout from elsewhere, which has no rules here
        raise NotImplementedError(reason)
    return _jitted(linear, problem, to_jax(problem.a))


def _jitted(product: Callable[..., Any], problem: Problem, weight: Any) -> Callable[[], Any]:
    """Weight and bias are arguments, so that XLA computes nothing of them beforehand."""
    x, bias, compiled = jnp.asarray(problem.x), jnp.asarray(problem.bias), jax.jit(product)
    return lambda: compiled(x, weight, bias).block_until_ready()


CONTENDERS = (Contender("jax dense", dense, ("jax",), dense=True), Contender("jax BCSR", bcsr, ("jax",)),
              Contender("sparseref_jax", ours, ours=True))
