"""Which calls an implementation is meant for: the names of its operator, its operands in order, and their layouts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sparseref import Layout, Sparsifier, SpecError
from sparseref.registry import layouts, parse_layout, parse_sparsifier, sparsifiers

from ..tensor.operands import first_sparse
from ..tensor.sparse_tensor import SparseTensor

Match = None | str | Layout | type[Layout]
"""Which layouts fit: a class or a bare name all of its parameters, a descriptor itself alone, None what is not sparse."""


def all_fit(operands: Any, matches: tuple[Match, ...]) -> bool:
    """An operand that no match is named for must not be sparse; one that is not given counts as dense."""
    count = max(len(operands), len(matches))
    given, named = [*operands, *[None] * (count - len(operands))], [*matches, *[None] * (count - len(matches))]
    return all((first_sparse(operand) is None) if match is None else isinstance(operand, SparseTensor)
               and fits(operand.descriptor, match) for operand, match in zip(given, named, strict=True))


def fits(layout: Layout | None, match: Match) -> bool:
    if layout is None or match is None:
        return layout is match
    if isinstance(match, str):
        return layout.name == match
    return isinstance(layout, match) if isinstance(match, type) else layout == match


def is_sparsifier(given: Sparsifier, match: str | Sparsifier | type[Sparsifier]) -> bool:
    if isinstance(match, type):
        return isinstance(given, match)
    if isinstance(match, str) and match in sparsifiers.names():
        return given.name == match
    return given == parse_sparsifier(match)


def checked(matches: Any) -> tuple[Match, ...]:
    """A tuple of matches -> the same with descriptors for strings that have parameters.  Errors: BUILD-6, REG-2."""
    if not isinstance(matches, tuple | list):                                              # BUILD-6
        raise SpecError("BUILD-6", "these are no layouts.", wanted="a tuple, one layout or None for each operand",
                        given=repr(matches), fix='e.g. inp=(None, "csr", None)')
    found: list[Match] = []
    for match in matches:
        if isinstance(match, str):
            found.append(match if match in layouts.names() else parse_layout(match))
        elif match is None or isinstance(match, Layout) or (isinstance(match, type) and issubclass(match, Layout)):
            found.append(match)
        else:                                                                              # BUILD-6
            raise SpecError("BUILD-6", "this is no layout.", wanted="a Layout, its class, its string, or None",
                            given=repr(match))
    return tuple(found)


def names_of(operator: Any) -> set[Any]:
    """All that torch calls an operator: torch.matmul is Tensor.matmul and the @ sign, too."""
    name, homes = operator.__name__, (torch, functional, Tensor)
    names = {getattr(home, word) for home in homes for word in (name, f"__{name}__") if hasattr(home, word)}
    return names if operator in names else {operator}


def operands_of(func: Callable[..., Any], args: Any, kwargs: Any) -> list[Any] | None:
    """The arguments of a call in the operator's order, without trailing ones that are the default; None: not known."""
    parameters = _parameters(func)
    if parameters is None or len(args) > len(parameters) or not set(kwargs) <= set(parameters):
        return None if kwargs else list(args)
    given = dict(zip(parameters, args, strict=False)) | kwargs
    operands = [given.get(name, default) for name, default in parameters.items()]
    defaults = list(parameters.values())
    while operands and (operands[-1] is defaults[len(operands) - 1] or _same(operands[-1], defaults[len(operands) - 1])):
        operands.pop()
    return operands


def _same(operand: Any, default: Any) -> bool:
    return isinstance(operand, bool | int | float | str) and type(operand) is type(default) and operand == default


@cache
def _parameters(func: Callable[..., Any]) -> dict[str, Any] | None:
    """Name -> default of each parameter; torch's own functions in C have their signatures in torch.overrides."""
    from torch.overrides import get_testing_overrides

    try:
        parameters = inspect.signature(get_testing_overrides().get(func, func)).parameters.values()
    except (TypeError, ValueError):
        return None
    plain = all(parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters)
    return {parameter.name: parameter.default for parameter in parameters} if plain else None
