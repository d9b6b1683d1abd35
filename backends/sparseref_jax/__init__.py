"""Sparse arrays for JAX: every layout a pytree, every operator and sparsifier compiled by XLA."""

from .arrays import JaxSparse, to_jax, to_numpy
from .decoding import decode, pattern_of
from .encoding import encode
from .functions import convert, linear, matmul, run, sparsify
from .gradients import gradient
from .selection import select
from .trees import values_of, with_values

__all__ = ["JaxSparse", "convert", "decode", "encode", "gradient", "linear", "matmul", "pattern_of", "run", "select",
           "sparsify", "to_jax", "to_numpy", "values_of", "with_values"]
