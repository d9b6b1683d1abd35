"""How the gradient of a sparse parameter is stored: STen's set_weight_grad."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sparseref import SpecError

from ..tensors import TorchSparse
from .make import sparsify
from .sparse_tensor import FIELD, SparseTensor


def set_grad_format(parameter: SparseTensor, form: str | None) -> SparseTensor:
    """parameter [shape], form: "same" slots as the parameter, "dense", a format such as "csr:0.9", None: as it comes.

    Autograd computes the gradient densely; a hook brings it into its form before it is added to `.grad`, so that what is
    kept, clipped and sent to other processes is as small as the form says.
    Errors: TENSOR-4 for an unknown form, CORE-L1 and those of the format.
    """
    if form is not None and not isinstance(form, str):
        raise SpecError("TENSOR-4", "this is no gradient format.", wanted='"same", "dense", a format such as "csr:0.9", None',
                        given=repr(form))
    handle = vars(parameter).pop("grad_hook", None)
    if handle is not None:
        handle.remove()
    parameter.grad_format = form                               # type: ignore[attr-defined]
    if form not in (None, "dense") and parameter.requires_grad:
        held = vars(parameter)                                 # model.half() swaps the dict into the tensor that stays
        parameter.grad_hook = parameter.register_hook(lambda grad: stored_as(held, grad, form))  # type: ignore[attr-defined]
    return parameter


def stored_as(held: dict[str, Any], grad: Tensor, form: str) -> Tensor:
    """What a parameter holds, grad [shape] -> [shape] in the form."""
    dense = grad.to_dense() if isinstance(grad, SparseTensor) else grad
    if form != "same":
        return sparsify(dense, form)
    sparse = TorchSparse(held["descriptor"], held["matrix"], {name: held[FIELD + name] for name in held["fields"]})
    return SparseTensor(sparse, dense.shape, held["turned"]).like(dense)
