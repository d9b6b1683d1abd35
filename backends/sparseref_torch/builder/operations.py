"""sparsified_op: an operator whose results are stored in formats."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from sparseref import Dense, OutputFormat, SpecError

from .implementations import call
from .store import store


def sparsified_op(operator: Callable[..., Any], out_format: Any, grad_out_format: Any = None,
                  rng: np.random.Generator | None = None) -> Callable[..., Any]:
    """An operator -> the same, its result stored in a format, its result's gradient in another.

    A format is a short string, a pair or an OutputFormat; None: as the operator gives it; for an operator with several
    results a list, one format each.  An implementation that is registered for the operands' layouts and gives the temporary
    layout runs, else the operator itself.  Errors: BUILD-3, those of the formats.
    """
    def asked(form: Any) -> Any:
        temporary = form.temporary if isinstance(form, OutputFormat) else None
        return None if isinstance(temporary, Dense) else temporary

    forms = out_format if isinstance(out_format, list) else [out_format]
    gradients = grad_out_format if isinstance(grad_out_format, list) else [grad_out_format] * len(forms)

    @wraps(operator)
    def run(*args: Any, **kwargs: Any) -> Any:
        result = call(operator, args, kwargs, tuple(map(asked, forms)))
        if not isinstance(out_format, list):
            return _stored(result, out_format, gradients[0])
        count = len(result) if isinstance(result, tuple | list) else 1
        if not count == len(forms) == len(gradients):                                      # BUILD-3
            raise SpecError("BUILD-3", "each result needs a format.", wanted=f"{count} of them",
                            given=f"{len(forms)}, and {len(gradients)} for gradients")
        return type(result)(map(_stored, result, forms, gradients))

    def _stored(item: Any, form: Any, gradient: Any) -> Any:
        return item if form is None and gradient is None else store(item, form, gradient, rng)

    return run
