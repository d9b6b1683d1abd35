"""How the operands of one operator are brought together: in the slots of one of them, or densely."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from sparseref import SpecError

from . import opaque, slots
from .sparse_tensor import SparseTensor


def dense(a: Any) -> Any:
    """Any operand -> the same, decoded if it is sparse: [shape]."""
    return a.shaped(opaque.to_dense(a.sparse)) if isinstance(a, SparseTensor) else a


def kept(a: SparseTensor) -> Tensor:
    """a -> dense [shape], decoded once for as long as its values stay what they are; not to be written to."""
    return a.shaped(slots.decoded(a.sparse, keep=True))


def all_dense(operands: Any) -> Any:
    """A nest of operands -> the same with every sparse tensor decoded."""
    return tree_map_only(SparseTensor, dense, operands)


def in_slots(a: SparseTensor, other: Any) -> Any:
    """Another operand of an elementwise operator -> what combines with a's values one by one: a number, or [values]."""
    if not isinstance(other, Tensor):
        return other
    if isinstance(other, SparseTensor):
        if share_slots(a, other):
            return other.sparse.values
        other = dense(other)
    if other.dim() == 0:
        return other
    return opaque.gather(a.sparse, a.flat(other.expand(a.shape)))


def share_slots(a: SparseTensor, b: SparseTensor) -> bool:
    """True where two sparse tensors of one shape hold the same entries in the same slots."""
    if a.shape != b.shape or a.turned != b.turned:
        return False
    one, two = a.sparse, b.sparse
    if opaque.tracing(one.values, two.values):                 # a traced graph knows the tensors, not what they hold
        return one.layout == two.layout and all(one[name] is two[name] for name in one.tensors if name != "values")
    return slots.same_slots(one, two)


def check_divisor(a: Any, divisor: Any) -> None:
    """Refuse to divide what is stored by what is not (TENSOR-5): an optimizer would make NaN of it."""
    if isinstance(a, SparseTensor) and isinstance(divisor, SparseTensor) and not share_slots(a, divisor):
        raise SpecError("TENSOR-5", "the divisor has other slots than the tensor that it divides.",
                        wanted=f"the slots of {a!r}", given=repr(divisor), fix=FOLLOW)


FOLLOW = "after a pattern changed, the state must follow: state.set_sparse_(parameter.detach().like(state.to_dense()))"


def first_sparse(operands: Any) -> SparseTensor | None:
    """The first sparse tensor of a nest of operands."""
    found: list[SparseTensor] = []
    tree_map_only(SparseTensor, found.append, operands)
    return found[0] if found else None


def layouts_of(operands: Any) -> tuple[str, ...]:
    """The layouts of the tensors among operands, "array" for dense ones."""
    names: list[str] = []
    tree_map_only(Tensor, lambda t: names.append(str(t.descriptor) if isinstance(t, SparseTensor) else "array"), operands)
    return tuple(names)


def bits_of(operands: Any) -> int:
    """The bits read and written when every sparse operand is decoded (DSP-5)."""
    moved: list[int] = []
    tree_map_only(SparseTensor, lambda t: moved.append(t.bits + t.numel() * 8 * torch.empty((), dtype=t.dtype).element_size()),
                  operands)
    return sum(moved)
