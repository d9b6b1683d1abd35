"""The builder: which tensors of an existing model are stored how, and operators for formats of one's own (STen)."""

from .builder import SparsityBuilder
from .selector import Selector, is_turned

__all__ = ["Selector", "SparsityBuilder", "is_turned"]
