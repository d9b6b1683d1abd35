"""A user's Python file as a module."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from sparseref import SpecError


def module_at(path: str, clause: str, thing: str, known: Collection[str]) -> ModuleType:
    """The path of a Python file -> what it defines.  clause: refuses what is no such file, nor a name that is known."""
    if not Path(path).is_file():
        raise SpecError(clause, f"there is no {thing} {path!r}.", wanted=f"{', '.join(known)}, or the path of a Python file",
                        given=path)
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise SpecError(clause, f"{path} is no Python file.", wanted="a file that ends in .py", given=path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_defined(module: ModuleType, names: Collection[str], clause: str, path: str, fix: str) -> None:
    """Refuse a module without one of these functions."""
    missing = [name for name in names if not callable(getattr(module, name, None))]
    if missing:
        raise SpecError(clause, f"{path} does not define {', '.join(missing)}.", wanted="the functions " + ", ".join(names),
                        given=", ".join(name for name in vars(module) if not name.startswith("_")) or "nothing", fix=fix)
