"""What the header says of one array: layout, shape, dtype, digest, and the tensor that it stands for."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..array import checked_shape
from ..dtypes import value_dtype
from ..errors import SpecError
from ..layouts.base import Layout
from ..registry import parse_layout
from .container import CODES, REPAIR, code_of, elements

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class View:
    """The tensor that an array stands for: the array, transposed if `transposed`, in another shape (FILE-8).

    A convolution's weight [O, C, kh, kw] is stored as its matrix [O, C*kh*kw]; a weight [K, O] as its transpose [O, K].
    """

    shape: tuple[int, ...]
    transposed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape(self.shape))

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Refuse an array [shape] that cannot stand for this tensor."""
        if math.prod(shape) != math.prod(self.shape) or (self.transposed and len(shape) != 2):      # FILE-8
            raise SpecError("FILE-8", f"{name!r} does not stand for a tensor of shape {self.shape}.",
                            wanted="an array of as many entries, and a matrix if `transposed`", given=f"shape {shape}, {self}",
                            fix="give View the shape of the tensor that was stored")


@dataclass(frozen=True)
class Entry:
    """One array of a file; layout None: a plain one."""

    layout: Layout | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sha256: str
    view: View | None = None

    def tensors(self, name: str) -> dict[str, str]:
        """The array's name -> {field: the tensor that holds it}; of a plain array {"": its name} (FILE-1)."""
        return tensors_of(name, self.layout, self.shape)

    def to_json(self) -> dict[str, Any]:
        """What `parse_entry` reads (FILE-4)."""
        found: dict[str, Any] = {"shape": self.shape, "dtype": self.dtype.name, "sha256": self.sha256}
        if self.layout is not None:
            found["layout"] = str(self.layout)
        if self.view is not None:
            found["view"] = {"shape": self.view.shape, "transposed": self.view.transposed}
        return found


def tensors_of(name: str, layout: Layout | None, shape: tuple[int, ...]) -> dict[str, str]:
    """An array's name and layout -> {field: the tensor that holds it}, in alphabetical order (FILE-1)."""
    return {"": name} if layout is None else {field: f"{name}.{field}" for field in sorted(layout.fields(shape))}


def digest(tensors: Mapping[str, np.ndarray]) -> str:
    """The tensors of one array -> SHA-256 of a line about each, "F32 2,3 w.values", and of its elements (FILE-5)."""
    found = hashlib.sha256()
    for name, array in sorted(tensors.items()):
        line = f"{code_of(name, array)} {','.join(map(str, array.shape))} {name}\n"
        found.update(line.encode(errors="surrogatepass"))      # a name that is no text is refused later, by FILE-6
        found.update(elements(array))
    return found.hexdigest()


def parse_entry(name: str, entry: Any) -> Entry:
    """What the header has for one array -> the same, every part checked.

    Errors: FILE-4, FILE-8, CORE-D1, CORE-L1, CORE-S1, REG-2, and the layout's own for a shape that it does not describe.
    """
    if not (isinstance(entry, dict) and {"shape", "dtype", "sha256"} <= set(entry) <= set(_PARTS)
            and all(_PARTS[part](value) for part, value in entry.items()) and ("layout" in entry or "view" not in entry)):
        raise SpecError("FILE-4", f"the header describes no array {name!r}.", wanted="shape, dtype and sha256, of a sparse one "
                        "layout too, and view where it stands for another shape", given=str(entry)[:200], fix=REPAIR)  # FILE-4
    shape = checked_shape(entry["shape"])
    if "layout" not in entry:
        dtype = value_dtype("bfloat16") if entry["dtype"] == "bfloat16" else np.dtype(entry["dtype"])
        return Entry(None, shape, dtype, entry["sha256"])
    layout = parse_layout(entry["layout"])
    layout.check(shape)
    view = View(**entry["view"]) if "view" in entry else None
    if view is not None:
        view.check(name, shape)
    return Entry(layout, shape, value_dtype(entry["dtype"]), entry["sha256"], view)


def _is_shape(sides: Any) -> bool:
    return isinstance(sides, list) and all(type(side) is int for side in sides)


def _is_view(view: Any) -> bool:
    return (isinstance(view, dict) and set(view) == {"shape", "transposed"} and _is_shape(view["shape"])
            and isinstance(view["transposed"], bool))


_PARTS: dict[str, Callable[[Any], bool]] = {
    "shape": _is_shape, "dtype": lambda name: isinstance(name, str) and name in CODES,
    "sha256": lambda text: isinstance(text, str) and bool(_SHA256.fullmatch(text)),
    "layout": lambda text: isinstance(text, str), "view": _is_view}
"""Part of an entry -> whether a value is one."""
