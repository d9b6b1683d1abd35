"""Short strings for descriptors: `nmg:2:8:8,tail=short` <-> NMG(2, 8, 8, tail="short") (CORE-L1)."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from typing import Any, ClassVar, TypeVar

from .errors import SpecError

D = TypeVar("D")


class Descriptor:
    """A frozen dataclass with a name; its parameters without a default are positional in the short string."""

    name: ClassVar[str]
    examples: ClassVar[tuple[str, ...]] = ()     # short strings of small instances: what the conformance kit tries

    def __str__(self) -> str:
        text = self.name
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            if field.default is MISSING:
                text += f":{value}"
            elif value != field.default:
                text += f",{field.name}={value}"
        return text


def build(kind: type[D], text: str) -> D:
    """A class and its short string -> the descriptor; the class checks the parameters themselves."""
    head, *named = text.split(",")
    _, *positional = head.split(":")
    parameters = list(inspect.signature(kind).parameters)
    given: dict[str, Any] = {}
    pairs = [*zip(parameters, positional, strict=False), *(pair.split("=", 1) for pair in named if "=" in pair)]
    for name, value in pairs:
        given[name] = _number(value)
    try:
        if len(positional) > len(parameters) or any("=" not in pair for pair in named) or len(given) < len(pairs):
            raise TypeError                                    # too many, no value, or one parameter named twice
        return kind(**given)
    except TypeError:
        raise SpecError("CORE-L1", f"{text!r} does not fit the parameters of {kind.__name__}.", wanted=_usage(kind), given=text,
                        fix="write parameters without a default after colons, the others as ,name=value") from None


def _usage(kind: type[Any]) -> str:
    """NMG -> `nmg:n:m:g,sparse_axis=0,group_axis=1,tail=pad`."""
    parameters = inspect.signature(kind).parameters.values()
    needed = [f":{parameter.name}" for parameter in parameters if parameter.default is parameter.empty]
    named = [f",{parameter.name}={parameter.default}" for parameter in parameters if parameter.default is not parameter.empty]
    return "".join([kind.name, *needed, *named])


def _number(text: str) -> int | float | str:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return text
