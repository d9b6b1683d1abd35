"""Layouts by name: one of the registry's short strings, or the address of a class in any module."""

from __future__ import annotations

from dataclasses import is_dataclass
from inspect import isabstract

from ..descriptor import build
from ..errors import SpecError
from ..formats import parse_format
from ..layouts.base import Layout
from ..registry import layouts, load_object, parse_layout
from ..sparsifiers.base import Sparsifier


def layouts_at(text: str) -> tuple[Layout, ...]:
    """`"nmg:2:8:8"`, `"my_module:MyLayout:4,axis=1"` -> that layout; without parameters, the class's own examples.

    The address of a class is module:Class, and what follows is written as after a layout's name.  A class from elsewhere is
    registered under its name, so that cases and counterexamples can name it.  Errors: CORE-L1, REG-1, REG-2, REG-3.
    """
    head, *named = text.split(",")
    module, *parts = head.split(":")
    if module in layouts.names() or not (parts and parts[0].isidentifier()):
        kind = layouts.get(module)
        return tuple(map(parse_layout, kind.examples)) if text == module and kind.examples else (parse_layout(text),)
    kind = load_object(f"{module}:{parts[0]}")
    if not (isinstance(kind, type) and issubclass(kind, Layout)):
        raise SpecError("CORE-L1", f"{module}:{parts[0]} is no layout.", wanted="a subclass of sparseref.Layout",
                        given=type(kind).__name__, fix="give the address of the class, e.g. my_module:MyLayout")
    if not is_dataclass(kind) or isabstract(kind):                                         # CORE-L1
        missing = ", ".join(f"`{name}`" for name in sorted(getattr(kind, "__abstractmethods__", ())))
        raise SpecError("CORE-L1", f"{module}:{parts[0]} is not whole.",
                        given=f"a class without {missing}" if missing else "a class that is no dataclass",
                        wanted="a frozen dataclass with `name`, `fields`, `positions` and `encode`",
                        fix="put @dataclass(frozen=True) above the class; spec/CHECKLIST-new-layout.md shows one")
    layouts.add(kind)
    if named or parts[1:]:
        return (build(kind, ",".join([":".join([kind.name, *parts[1:]]), *named])),)
    return tuple(build(kind, example) for example in kind.examples or (kind.name,))


def format_at(text: str) -> tuple[Sparsifier | None, Layout]:
    """`"csr:0.9"`, or what `layouts_at` takes -> the sparsifier that the text names (None: no fraction), the layout (FMT-4)."""
    head = text.split(",")[0].split(":")
    if head[0] in layouts.names() and "." in head[-1]:
        return parse_format(text)
    return None, layouts_at(text)[0]
