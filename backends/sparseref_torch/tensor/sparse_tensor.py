"""SparseTensor: to torch an ordinary tensor with its true shape; inside, the arrays of a layout and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sparseref import Layout, SpecError
from sparseref.dtypes import bits_of, value_dtype

from ..tensors import TorchSparse
from . import opaque, slots

FIELD = "field_"
"""The attribute that holds a field is its name with this before it: `values` alone is a method of every tensor."""


class SparseTensor(Tensor):
    """A sparse array as a torch.Tensor: shape, strides, dtype and device of the dense tensor, storage of the layout.

    sparse: TorchSparse of a matrix (or any shape the layout takes); shape: what the tensor looks like, with as many
    entries in the same order, e.g. [O, C, kh, kw] over the matrix [O, C*kh*kw]; turned: the tensor [C, R] is the transpose
    of the stored matrix [R, C].
    Errors: TENSOR-1 (shape and matrix do not belong together), TENSOR-2 (an entry is stored twice).
    Source: STen, arXiv 2304.07613, which makes sparse tensors first-class in PyTorch.
    """

    descriptor: Layout
    matrix: tuple[int, ...]
    turned: bool
    grad_format: Any
    sum_format: Any

    @staticmethod
    def __new__(cls, sparse: TorchSparse, shape: Any = None, turned: bool = False, requires_grad: bool = False) -> SparseTensor:
        matrix = tuple(sparse.shape)
        shape = matrix[::-1] if shape is None and turned else tuple(matrix if shape is None else shape)
        fits = shape == (matrix[::-1] if turned else matrix) or (
            _sides(shape) == _sides(matrix[::-1]) if turned else math.prod(shape) == math.prod(matrix))
        if not fits:                                                                           # TENSOR-1
            raise SpecError("TENSOR-1", "the shape does not fit the stored matrix.", wanted=f"as many entries as {matrix}"
                            + (f", reversed: {matrix[::-1]}" if turned else ""), given=shape)
        return Tensor._make_wrapper_subclass(cls, shape, strides=_strides(shape, turned), dtype=sparse.dtype,
                                             device=sparse.values.device, requires_grad=requires_grad)

    def __init__(self, sparse: TorchSparse, shape: Any = None, turned: bool = False, requires_grad: bool = False) -> None:
        self.turned = turned
        self._hold(sparse)

    def _hold(self, sparse: TorchSparse) -> None:
        for name in getattr(self, "fields", ()):
            delattr(self, FIELD + name)
        self.descriptor, self.matrix, self.fields = sparse.layout, tuple(sparse.shape), tuple(sparse.tensors)
        for name, tensor in sparse.tensors.items():
            setattr(self, FIELD + name, tensor)

    @property
    def sparse(self) -> TorchSparse:
        """The stored matrix: layout, matrix shape, and the tensor of each field."""
        return TorchSparse(self.descriptor, self.matrix, {name: getattr(self, FIELD + name) for name in self.fields})

    @property
    def pattern(self) -> Tensor:
        """bool [shape]: where an entry is stored."""
        return self.shaped(slots.pattern(self.sparse))

    @property
    def nnz(self) -> int:
        """How many entries are stored, explicit zeros too, padding not."""
        return slots.slots_of(self.sparse).nnz

    @property
    def sparsity(self) -> float:
        """The share of entries that are not stored."""
        return 1 - slots.slots_of(self.sparse).density

    @property
    def bits(self) -> int:
        """Storage in bits, indices and padding included (CORE-B1)."""
        return sum(tensor.numel() * 8 * tensor.element_size() for tensor in self.sparse.tensors.values())

    def to_dense(self, dtype: torch.dtype | None = None, *, masked_grad: bool | None = None) -> Tensor:
        """-> dense [shape], differentiable, as torch.Tensor.to_dense."""
        dense = _ToDense.apply(self)
        return dense if dtype is None else dense.to(dtype)

    def like(self, dense: Tensor) -> SparseTensor:
        """dense [shape] -> a tensor with the same slots that holds its values there; differentiable."""
        return _Like.apply(dense, self)

    def with_values(self, values: Tensor) -> SparseTensor:
        """values [shape of the field `values`] -> the same entries with these values; index tensors are shared."""
        return SparseTensor(self.sparse.with_values(values), self.shape, self.turned)

    def flat(self, dense: Tensor) -> Tensor:
        """dense [shape] -> [matrix]: as the matrix is stored."""
        return dense.reshape(self.matrix[::-1]).T if self.turned else dense.reshape(self.matrix)

    def shaped(self, dense: Tensor) -> Tensor:
        """dense [matrix] -> [shape]: as the tensor looks."""
        return dense.T.reshape(self.shape) if self.turned else dense.reshape(self.shape)

    @torch.no_grad()
    def set_sparse_(self, other: SparseTensor) -> SparseTensor:
        """Take other's pattern and values, of the same shape; whoever holds this tensor sees them.  Errors: TENSOR-1."""
        if other.shape != self.shape or other.dtype != self.dtype or other.turned != self.turned:
            raise SpecError("TENSOR-1", "the tensors differ in shape or dtype.", wanted=f"{self.dtype} {tuple(self.shape)}",
                            given=f"{other.dtype} {tuple(other.shape)}")
        sparse = other.sparse
        self._hold(sparse.with_values(sparse.values.clone()))
        torch.autograd.graph.increment_version(self)
        return self

    def set_grad_format(self, form: Any) -> SparseTensor:
        """How gradients are stored that arrive here: "same" slots as this tensor, "dense", or any format (STen)."""
        from .gradients import set_grad_format  # it knows formats, which know this class

        return set_grad_format(self, form)

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """As torch.Tensor's; a copy that model.to(...) makes of a parameter takes up the parameter's gradient format here."""
        super().requires_grad_(requires_grad)
        waiting = requires_grad and "grad_hook" not in vars(self) and getattr(self, "grad_format", None) is not None
        return self.set_grad_format(self.grad_format) if waiting else self

    def alike(self, other: SparseTensor) -> SparseTensor:
        """-> self, with the formats of `other`, of which it is a view or a copy."""
        for name in ("grad_format", "sum_format"):
            if getattr(other, name, None) is not None:
                setattr(self, name, getattr(other, name))
        return self

    def __tensor_flatten__(self) -> tuple[list[str], Any]:
        return [FIELD + name for name in self.fields], (self.descriptor, self.matrix, self.fields, self.turned)

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], context: Any, shape: Any, stride: Any) -> SparseTensor:
        layout, matrix, fields, turned = context
        sparse = TorchSparse(layout, matrix, {name: inner[FIELD + name] for name in fields})
        return SparseTensor(sparse, tuple(shape), turned)

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in IMPLEMENTATIONS:                            # register_fwd_op_impl
            return IMPLEMENTATIONS[func](func, args, kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            if func is LINEAR and not kwargs and _is_plain(*args):
                result = DISPATCH[2 if torch.is_grad_enabled() else 1](*args)
                if result is not NotImplemented:
                    return result
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return DISPATCH[0](func, types, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:                       # type: ignore[override]
        grad = f", grad_fn={self.grad_fn}" if self.grad_fn else ", requires_grad=True" if self.requires_grad else ""
        stored = "no data" if opaque.tracing(self.sparse.values) else f"stored={self.nnz} ({1 - self.sparsity:.1%})"
        return f"SparseTensor({self.descriptor}, shape={tuple(self.shape)}, dtype={self.dtype}, {stored}{grad})"

    def __deepcopy__(self, memo: dict[int, Any]) -> SparseTensor:
        from .copying import deepcopy  # it makes tensors of this class

        return deepcopy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        from .copying import reduce

        return reduce(self)

    @property
    def data(self) -> SparseTensor:                            # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, other: Tensor) -> None:
        """Become what a sparse tensor is, or take over the values of a dense one.  Errors: TENSOR-3."""
        with torch.no_grad():
            if isinstance(other, SparseTensor):
                Tensor.data.__set__(self, other)               # shape, dtype and device are torch's to set
                self.turned = other.turned
                self._hold(other.sparse)
            else:
                self.copy_(other)

    def share_memory_(self) -> SparseTensor:
        """Move every field to shared memory, so that other processes see what is written."""
        for tensor in self.sparse.tensors.values():
            tensor.share_memory_()
        slots.forget(self.sparse)
        return self

    def is_shared(self) -> bool:
        return all(tensor.is_shared() for tensor in self.sparse.tensors.values())


class _Like(torch.autograd.Function):
    """Taking the values of slots; its gradient is the gradient of the sparse tensor, zero where it stores nothing (GRAD-2)."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, a: SparseTensor) -> SparseTensor:
        ctx.slots = a.detach()
        return a.with_values(opaque.gather(a.sparse, a.flat(dense)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return (grad if isinstance(grad, SparseTensor) else ctx.slots.like(grad)).to_dense(), None


class _ToDense(torch.autograd.Function):
    """Decoding; its gradient is the gradient of the dense tensor."""

    @staticmethod
    def forward(ctx: Any, a: SparseTensor) -> Tensor:
        return a.shaped(opaque.to_dense(a.sparse)).detach()          # not a view: it may be written to

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def _sides(shape: tuple[int, ...]) -> list[int]:
    """The sides that are not 1, which a view can add and take away."""
    return [side for side in shape if side != 1]


def _strides(shape: tuple[int, ...], turned: bool) -> list[int]:
    if len(shape) == 2:                                        # the common case comes first
        return [1, shape[0]] if turned and 1 not in shape else [shape[1], 1]
    strides = [math.prod(shape[axis + 1:]) for axis in range(len(shape))]
    if turned and len(_sides(shape)) == 2:
        first, last = (axis for axis, side in enumerate(shape) if side != 1)
        strides[first], strides[last] = 1, shape[first]
    return strides


def value_bits(dtype: torch.dtype) -> int:
    """Bits of one value.  Errors: CORE-D1."""
    return bits_of(value_dtype(str(dtype).removeprefix("torch.")))


IMPLEMENTATIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""torch function -> what runs instead of it; filled by register_fwd_op_impl."""

DISPATCH: list[Callable[..., Any]] = []
"""What runs an aten operator, linear without gradients, linear with them; their modules put them here: no circle of imports."""

LINEAR = torch._C._nn.linear


def _is_plain(x: Any, w: Any, bias: Any = None) -> bool:
    """True where linear can be computed at once: nothing between here and the kernel would have a part in the call.

    The way through torch's dispatcher, twice, takes longer than a small product.
    """
    return (type(x) is Tensor and type(w) is SparseTensor and type(bias) in (Tensor, torch.nn.Parameter, type(None))
            and not x.is_meta and not torch.is_autocast_enabled(x.device.type) and not torch.compiler.is_compiling()
            and not opaque.tracing(x, w.sparse.values) and torch._C._functorch.peek_interpreter_stack() is None)
