"""How the gradient of a sparse parameter is stored: STen's set_weight_grad."""

from __future__ import annotations

from torch import Tensor

from sparseref import SpecError

from .make import sparsify
from .sparse_tensor import SparseTensor


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
        parameter.grad_hook = parameter.register_hook(lambda grad: stored_as(parameter, grad, form))  # type: ignore[attr-defined]
    return parameter


def stored_as(parameter: SparseTensor, grad: Tensor, form: str) -> Tensor:
    """grad [shape] -> [shape] in the form."""
    if form == "same":
        return parameter.detach().like(grad.to_dense() if isinstance(grad, SparseTensor) else grad)
    return sparsify(grad.to_dense() if isinstance(grad, SparseTensor) else grad, form)
