"""Implementations of one's own: of a sparsifier into a layout, and of an operator for the layouts of its operands.

They are selected by exact match of layouts; where nothing matches, the tensor's own dispatch goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from sparseref import Layout, Sparsifier, SpecError

from ..tensor import make, trace
from ..tensor.operands import layouts_of
from ..tensor.sparse_tensor import IMPLEMENTATIONS
from ..tensors import TorchSparse
from .matching import Match, all_fit, checked, fits, is_sparsifier, names_of, operands_of
from .running import Chosen, run

F = TypeVar("F", bound=Callable[..., Any])

@dataclass(frozen=True)
class Forward:
    function: Callable[..., Any]
    inp: tuple[Match, ...]
    out: tuple[Match, ...]
    backend: str


@dataclass(frozen=True)
class Backward:
    function: Callable[..., Any]
    grad_out: tuple[Match, ...]
    grad_inp: tuple[Match, ...]
    inp: tuple[Match, ...]


FORWARD: dict[Callable[..., Any], list[Forward]] = {}
BACKWARD: dict[Callable[..., Any], list[Backward]] = {}
"""operator -> its implementations, the newest first."""


def register_fwd_op_impl(operator: Callable[..., Any], inp: tuple[Match, ...], out: tuple[Match, ...] = (None,),
                         backend: str | None = None) -> Callable[[F], F]:
    """Decorator: f(ctx, *operands) -> result runs `operator` for these layouts of its operands and of its results.

    ctx is that of a torch.autograd.Function, for what the backward function needs; operands come in the operator's order.
    Without a backward function the gradient is that of the operator on decoded operands, which is exact.
    backend: the name that `explain` shows, default the function's module.  Errors: BUILD-6, REG-2.
    """
    inp, out = checked(inp), checked(out)

    def register(function: F) -> F:
        _add(FORWARD, operator, Forward(function, inp, out, backend or function.__module__))
        return function
    return register


def register_bwd_op_impl(operator: Callable[..., Any], grad_out: tuple[Match, ...], grad_inp: tuple[Match, ...],
                         inp: tuple[Match, ...]) -> Callable[[F], F]:
    """Decorator: f(ctx, *gradients of the results) -> gradients of the operands, for these layouts of all of them.

    Where no forward function is registered for `inp`, the operator itself runs and ctx.saved_tensors are its operands.
    Errors: BUILD-6, REG-2.
    """
    grad_out, grad_inp, inp = checked(grad_out), checked(grad_inp), checked(inp)

    def register(function: F) -> F:
        _add(BACKWARD, operator, Backward(function, grad_out, grad_inp, inp))
        return function
    return register


def register_sparsifier_implementation(sparsifier: str | Sparsifier | type[Sparsifier], inp: Match,
                                       out: Match) -> Callable[[F], F]:
    """Decorator: f(sparsifier, layout, matrix) -> {field: tensor} makes a matrix [R, C] sparse, chosen and placed at once.

    matrix: a Tensor, or a TorchSparse where `inp` is a layout.  Scores that are not the magnitudes take the general way.
    Errors: BUILD-6 for fields that are not the layout's, REG-2.
    """
    inp, out = checked((inp, out))

    def register(function: F) -> F:
        def place(given: Sparsifier, layout: Layout, matrix: Tensor | TorchSparse) -> TorchSparse | None:
            laid = matrix.layout if isinstance(matrix, TorchSparse) else None
            if not (is_sparsifier(given, sparsifier) and fits(laid, inp) and fits(layout, out)):
                return None
            fields, wanted = function(given, layout, matrix), layout.fields(tuple(matrix.shape))
            if set(fields) != set(wanted):                                                 # BUILD-6
                raise SpecError("BUILD-6", f"{function.__name__} gives other fields than {layout} has.",
                                wanted=", ".join(wanted), given=", ".join(fields))
            return TorchSparse(layout, tuple(matrix.shape), fields)

        place.function = function                              # type: ignore[attr-defined]
        make.IMPLEMENTATIONS.insert(0, place)
        return function
    return register


def registered() -> list[Callable[..., Any]]:
    """All functions that are registered here."""
    entries = [entry.function for table in (FORWARD, BACKWARD) for known in table.values() for entry in known]     # type: ignore[attr-defined]
    return [*entries, *(place.function for place in make.IMPLEMENTATIONS if hasattr(place, "function"))]


def unregister(function: Callable[..., Any]) -> None:
    """Forget a function that was registered here."""
    make.IMPLEMENTATIONS[:] = [place for place in make.IMPLEMENTATIONS if getattr(place, "function", None) is not function]
    for table in (FORWARD, BACKWARD):
        for operator, entries in list(table.items()):
            table[operator] = [entry for entry in entries if entry.function is not function]     # type: ignore[attr-defined]
            if not table[operator]:
                del table[operator]
    for alias, known in list(IMPLEMENTATIONS.items()):
        if known.args[0] not in FORWARD and known.args[0] not in BACKWARD:                 # type: ignore[attr-defined]
            del IMPLEMENTATIONS[alias]


def call(operator: Callable[..., Any], args: Any, kwargs: Any, out: tuple[Match, ...]) -> Any:
    """The operator, with results in these layouts if an implementation gives them, else as it is."""
    result = dispatch(operator, operator, args, kwargs, out)
    return operator(*args, **kwargs) if result is NotImplemented else result


def _handle(operator: Callable[..., Any], func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a sparse tensor does with a function that has implementations."""
    result = dispatch(operator, func, args, kwargs)
    if result is not NotImplemented:
        return result
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


@torch.compiler.disable
def dispatch(operator: Callable[..., Any], func: Callable[..., Any], args: Any, kwargs: Any,
             out: tuple[Match, ...] | None = None) -> Any:
    """A call of `func`, which is `operator` by this or another name -> its result, or NotImplemented.

    out: the layouts that are asked for; None: nothing is, and an implementation with dense results goes first.
    """
    operands = operands_of(func, args, kwargs)
    if operands is None:
        return NotImplemented
    fitting = [entry for entry in FORWARD.get(operator, ()) if all_fit(operands, entry.inp)]
    if out is None:
        forward = next((entry for entry in fitting if not any(entry.out)), next(iter(fitting), None))
    else:
        forward = next((entry for entry in fitting if [*entry.out] == [*checked(out)]), None)
    backwards = [entry for entry in BACKWARD.get(operator, ()) if all_fit(operands, entry.inp)]
    if forward is None and (not backwards or out is not None):
        return NotImplemented
    trace.note(func.__name__, layouts_of(operands), "exact", forward.function.__name__ if forward else func.__name__,
               forward.backend if forward else "torch")
    return run(Chosen(func, forward and forward.function, partial(_backward, backwards, operands)), operands,
               None if forward is None else partial(_checked_results, forward))


def _backward(entries: list[Backward], operands: list[Any], grads: tuple[Any, ...]) -> Callable[..., Any] | None:
    """The backward function for these gradients; one that gives them as the operands want them goes first."""
    fitting = [entry for entry in entries if all_fit(grads, entry.grad_out)]
    wanted = [operand if getattr(operand, "grad_format", None) == "same" else None for operand in operands]
    exact = [entry for entry in fitting if all_fit(wanted, entry.grad_inp)]
    return next((entry.function for entry in (*exact, *fitting)), None)


def _checked_results(forward: Forward, result: Any) -> None:
    """Refuse a result in another layout than was registered (BUILD-6)."""
    results = result if isinstance(result, tuple) else (result,)
    if not all_fit(results, forward.out):
        raise SpecError("BUILD-6", f"{forward.function.__name__} gives results in other layouts than it is registered for.",
                        wanted=", ".join(map(str, forward.out)), given=", ".join(layouts_of(results)))


def _add(table: dict[Callable[..., Any], list[Any]], operator: Callable[..., Any], entry: Any) -> None:
    table.setdefault(operator, []).insert(0, entry)
    for name in names_of(operator):
        IMPLEMENTATIONS[name] = partial(_handle, operator)


