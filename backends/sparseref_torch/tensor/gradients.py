"""How the gradient of a sparse parameter is stored: STen's set_weight_grad."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparseref import Layout, OutputFormat, SpecError
from sparseref.registry import parse_layout, parse_sparsifier

from ..tensors import TorchSparse
from . import opaque
from .dispatch import computed, implements
from .make import parse, sparsify
from .operands import share_slots
from .sparse_tensor import FIELD, SparseTensor

aten = torch.ops.aten


def set_grad_format(parameter: SparseTensor, form: Any) -> SparseTensor:
    """parameter [shape], form: "same" slots as the parameter, "dense", any format (four parts too), None: as it comes.

    Autograd computes the gradient densely; a hook brings it into its form before it is added to `.grad`, so that what is
    kept, clipped and sent to other processes is as small as the form says.  The sum of several, until `.grad` is cleared, is
    brought into the form again.
    Errors: TENSOR-4 for an unknown form, CORE-L1 and those of the format.
    """
    plain = as_plain(form)
    handle = vars(parameter).pop("grad_hook", None)
    if handle is not None:
        handle.remove()
        if handle.hooks_dict_ref() is not parameter._backward_hooks:   # model.to(...) swapped all but this dict, and
            parameter._backward_hooks = None                   # autograd calls no hook that is added to it from then on
    parameter.grad_format = plain
    if plain not in (None, "dense") and parameter.requires_grad:
        held = vars(parameter)                                 # model.half() swaps the dict into the tensor that stays
        parameter.grad_hook = parameter.register_hook(lambda grad: stored_as(held, grad, plain))  # type: ignore[attr-defined]
    return parameter


def as_plain(form: Any) -> Any:
    """A form -> the same in strings where strings say all of it, so that weights_only loading takes it.

    Errors: TENSOR-4, CORE-L1, those of the format.
    """
    if form in (None, "same", "dense"):
        return form
    if isinstance(form, str):
        parse(form)
        return form
    if isinstance(form, tuple) and len(form) == 4:             # as this function wrote it
        form = as_format(form)
    if isinstance(form, OutputFormat):
        parts: tuple[Any, ...] = (form.inline, form.temporary, form.external, form.final)
    elif isinstance(form, tuple) and len(form) == 2:
        parts = parse(form)
    else:                                                                                  # TENSOR-4
        raise SpecError("TENSOR-4", "this is no gradient format.", given=repr(form),
                        wanted='"same", "dense", a format such as "csr:0.9", a pair, an OutputFormat, None')
    return tuple(map(str, parts)) if all(map(_is_said_by_its_string, parts)) else form


def as_format(plain: Any) -> Any:
    """What `as_plain` gave -> a format that `sparsify` takes."""
    if isinstance(plain, tuple) and len(plain) == 4:
        inline, temporary, external, final = plain
        return OutputFormat(parse_sparsifier(inline), parse_layout(temporary), parse_sparsifier(external), parse_layout(final))
    return plain


def _is_said_by_its_string(part: Any) -> bool:
    """False for what is not registered, or holds an array, as same-pattern does."""
    try:
        return part == (parse_layout if isinstance(part, Layout) else parse_sparsifier)(str(part))
    except SpecError:
        return False


def stored_as(held: dict[str, Any], grad: Tensor, form: Any) -> Tensor:
    """What a parameter holds, grad [shape] -> [shape] in the form.  Errors: TENSOR-4 for a torch.sparse gradient."""
    if grad.is_sparse:                                                                     # TENSOR-4
        raise SpecError("TENSOR-4", f"the gradient is a {grad.layout} tensor, which no hook may bring into another form.",
                        wanted=f"a dense gradient to be stored as {form!r}", given="nn.Embedding(sparse=True), as it seems",
                        fix="sparse=False, or set_grad_format(None)")
    if form != "same":
        stored = sparsify(_dense(grad), as_format(form), turned=held["turned"])
        stored.sum_format = form
        return stored
    sparse = TorchSparse(held["descriptor"], held["matrix"], {name: held[FIELD + name] for name in held["fields"]})
    slots = SparseTensor(sparse, grad.shape, held["turned"])
    if isinstance(grad, SparseTensor) and share_slots(slots, grad):    # a registered backward, or a kernel, gave it so
        return grad
    return slots.like(_dense(grad))


def _dense(grad: Tensor) -> Tensor:
    return grad.to_dense() if isinstance(grad, SparseTensor) else grad


@implements(aten.add_.Tensor)
def accumulate(func: Any, args: Any, kwargs: Any) -> Any:
    """A gradient in a format and another one -> their sum in that format, chosen anew, so that no large entry is lost.

    Only where nothing is traced and neither has the slots of the other; a gradient in the slots of its parameter keeps them.
    """
    grad, other = args
    form = getattr(grad, "sum_format", None)
    if form is None or not isinstance(other, SparseTensor) or opaque.tracing(grad.sparse.values) or share_slots(grad, other):
        return NotImplemented
    total = grad.to_dense().add_(other.to_dense(), **kwargs)
    computed(func, args, kwargs, "decode")
    grad._hold(sparsify(total, as_format(form), turned=grad.turned).sparse)
    return grad
