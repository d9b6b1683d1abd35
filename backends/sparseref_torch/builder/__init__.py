"""The builder: which tensors of an existing model are stored how, and operators for formats of one's own (STen)."""

from .builder import SparsityBuilder
from .implementations import register_bwd_op_impl, register_fwd_op_impl, register_sparsifier_implementation, unregister
from .operations import sparsified_op
from .selector import Selector, is_turned

__all__ = [
    "Selector",
    "SparsityBuilder",
    "is_turned",
    "register_bwd_op_impl",
    "register_fwd_op_impl",
    "register_sparsifier_implementation",
    "sparsified_op",
    "unregister",
]
