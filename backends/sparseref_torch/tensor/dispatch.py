"""From an aten operator to what runs it: a rule, the slots of the operands, or dense with a warning."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from . import opaque, parts, trace
from .operands import all_dense, bits_of, first_sparse, layouts_of
from .sparse_tensor import DISPATCH, SparseTensor

Rule = Callable[..., Any]
"""Takes (func, args, kwargs) and gives the result, or NotImplemented where it does not know the operands."""

RULES: dict[Any, Rule] = {}
"""aten operator -> its rule; a packet stands for all its overloads."""

GENERAL: list[Rule] = []
"""Rules for whole families of operators, tried in order after RULES."""


aten = torch.ops.aten

ASSIGNING = {aten.index_put_, aten._index_put_impl_, aten.scatter_, aten.index_copy_, aten.index_fill_, aten.masked_scatter_,
             aten.put_, aten.fill_diagonal_}
"""In-place operators that set entries to given values, where dropping one of them would be an error."""


def implements(*operators: Any) -> Callable[[Rule], Rule]:
    """Make a function the rule of these aten operators."""
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, rule))
        return rule
    return register


def general(rule: Rule) -> Rule:
    """Make a function a rule for every operator that has none of its own."""
    GENERAL.append(rule)
    return rule


def run(func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """One aten operator with a sparse tensor among its operands."""
    if parts.SparsePart in types:
        return parts.run(func, args, kwargs)
    for candidate in _candidates(func):
        result = candidate(func, args, kwargs)
        if result is not NotImplemented:
            return result
    if parts.is_view(func) and isinstance(args[0], SparseTensor):
        return parts.part_of(func, args, kwargs)
    if "out" in kwargs and _without_out(func) is not None:
        out = kwargs["out"]
        result = _without_out(func)(*args, **{name: value for name, value in kwargs.items() if name != "out"})
        if isinstance(result, Tensor) and out.shape == result.shape:
            return out.copy_(result)
    if func._can_decompose():                                  # in inference mode aten.linear arrives whole
        result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
    return densely(func, args, kwargs, "there is no sparse implementation of it")


@cache
def _candidates(func: Any) -> tuple[Rule, ...]:
    """The rules that may know an operator, its own first; all modules have registered theirs before anything runs."""
    rule = RULES.get(func) or RULES.get(func.overloadpacket)
    return (rule, *GENERAL) if rule else tuple(GENERAL)


def densely(func: Any, args: Any, kwargs: Any, reason: str) -> Any:
    """Decode, run, and bring what was written in place back into its slots (DSP-3).

    Errors: TENSOR-3 for an operator that assigns, where a value would be lost; arithmetic keeps the pattern.
    """
    trace.fell_back(name_of(func), layouts_of((args, kwargs)), reason, bits_of((args, kwargs)))
    plain, named = all_dense((args, kwargs))
    result = func(*plain, **named)
    for given, used in _each(written_to(func, args, kwargs, plain, named)):
        if isinstance(given, SparseTensor):
            given.copy_(used if _assigns(func) else given.like(used))
            result = given if result is used else result
    return result


@cache
def _without_out(func: Any) -> Any:
    """aten.mm.out -> aten.mm.default, which makes its result; None if there is no such overload."""
    wanted = [argument.name for argument in func._schema.arguments if not argument.is_out]
    overloads = [getattr(func.overloadpacket, name) for name in func.overloadpacket.overloads()]
    return next((other for other in overloads if [argument.name for argument in other._schema.arguments] == wanted), None)


def _assigns(func: Any) -> bool:
    return func.overloadpacket in ASSIGNING or func._overloadname.endswith("out")


def written_to(func: Any, args: Any, kwargs: Any, plain: Any, named: Any) -> list[tuple[Any, Any]]:
    """The operands that the operator writes to: (as given, as used)."""
    pairs = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            if place < len(args):
                pairs.append((args[place], plain[place]))
            elif argument.name in kwargs:
                pairs.append((kwargs[argument.name], named[argument.name]))
    return pairs


def _each(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Pairs of tensors and of lists of tensors -> pairs of tensors."""
    return [pair for given, used in pairs
            for pair in (zip(given, used, strict=True) if isinstance(given, list | tuple) else [(given, used)])]


def write(a: SparseTensor, values: Tensor) -> SparseTensor:
    """values [shape of the field `values`] -> written into a's own values."""
    sparse = a.sparse
    sparse.values.copy_(values)
    opaque.written(sparse)
    return a


def name_of(func: Any) -> str:
    """aten.add.Tensor -> add."""
    return func.overloadpacket.__name__


def computed(func: Any, args: Any, kwargs: Any, kernel: str, backend: str = "torch", reason: str = "") -> None:
    """Leave the record of a sparse implementation."""
    if trace.is_recording():
        trace.note(name_of(func), layouts_of((args, kwargs)), "exact", kernel, backend, reason)


def sparse_of(*operands: Any) -> SparseTensor:
    found = first_sparse(operands)
    assert found is not None                                   # dispatch was called because there is one
    return found


DISPATCH.append(run)
