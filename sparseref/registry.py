"""What is known by name: layouts, sparsifiers, operators and backends, built in or from elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from .descriptor import build
from .errors import SpecError
from .layouts.base import Layout
from .sparsifiers.base import Sparsifier

if TYPE_CHECKING:
    from .backend import Backend
    from .operators.base import Operator

T = TypeVar("T")


class Registry:
    """name -> thing: what was registered, then what the entry-point group `sparseref.<group>` offers."""

    def __init__(self, group: str, clause: str) -> None:
        self.group, self.clause = group, clause
        self._things: dict[str, Any] = {}

    def add(self, thing: T) -> T:
        """Register a thing under its `name`; usable as a decorator.  A name that is taken is refused (REG-1)."""
        name = thing.name  # type: ignore[attr-defined]  # every kind of thing here has a name
        if name in self._things and self._things[name] is not thing:
            raise SpecError("REG-1", f"the {self.group} registry has a {name!r} already.", wanted="a new name", given=name)
        self._things[name] = thing
        return thing

    def remove(self, name: str) -> None:
        """Forget a registered thing; what an entry point offers can be found again."""
        self._things.pop(name, None)

    def names(self) -> list[str]:
        """All names, in order of registration, entry points last."""
        return list(dict.fromkeys([*self._things, *(point.name for point in self._entry_points())]))

    def get(self, name: str) -> Any:
        """The thing of that name; an unknown name is refused with the names that are known (REG-2)."""
        if name not in self._things:
            for point in self._entry_points():
                if point.name == name:
                    self._things[name] = point.load()
                    break
            else:
                raise SpecError(self.clause, f"there is no {self.group[:-1]} {name!r}.", wanted=", ".join(self.names()),
                                given=name, fix=f"add it to the entry-point group sparseref.{self.group}, or register it")
        return self._things[name]

    def _entry_points(self) -> Any:
        from importlib.metadata import entry_points  # not at import time: it reads every installed package

        return entry_points(group=f"sparseref.{self.group}")


layouts = Registry("layouts", "REG-2")
sparsifiers = Registry("sparsifiers", "REG-2")
operators = Registry("operators", "REG-2")
backends = Registry("backends", "DSP-6")


def _parse(registry: Registry, kind: type[Any], text: Any) -> Any:
    if isinstance(text, kind):
        return text
    if not isinstance(text, str):
        raise SpecError("CORE-L1", f"this is no {kind.__name__}.", wanted=f"a {kind.__name__} or its short string",
                        given=repr(text))
    return build(registry.get(text.split(":")[0].split(",")[0]), text)


def parse_layout(text: str | Layout) -> Layout:
    """`"nmg:2:8:8"` -> NMG(2, 8, 8); a Layout is given back as it is.  Errors: CORE-L1, REG-2, the layout's own."""
    layout: Layout = _parse(layouts, Layout, text)
    return layout


def parse_sparsifier(text: str | Sparsifier) -> Sparsifier:
    """`"scalar-fraction:0.9"` -> ScalarFraction(0.9); a Sparsifier is given back.  Errors: CORE-L1, REG-2, its own."""
    sparsifier: Sparsifier = _parse(sparsifiers, Sparsifier, text)
    return sparsifier


def get_operator(name: str) -> Operator:
    """`"linear"` -> the Operator.  Errors: REG-2."""
    operator: Operator = operators.get(name)
    return operator


def get_backend(name: str | Backend) -> Backend:
    """`"torch"` -> the Backend, loaded and made on first use; a Backend is given back.  Errors: DSP-6."""
    from .backend import Backend

    if isinstance(name, Backend):
        return name
    if not isinstance(name, str):                                                          # DSP-6
        raise SpecError("DSP-6", "this is no backend.", wanted="a Backend or a name", given=repr(name))
    found = backends.get(name)
    backend: Backend = found() if isinstance(found, type) else found
    return backend


def load_object(address: str) -> Any:
    """`"module:Name"` -> the object.  Errors: REG-3, with what is missing."""
    module_name, _, name = address.partition(":")
    try:
        return getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as problem:
        raise SpecError("REG-3", f"cannot load {address!r}: {problem}.", wanted="module:Name, importable from here",
                        given=repr(address), fix="run from the folder that holds the module, or install it") from problem


