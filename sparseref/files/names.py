"""Names: of arrays, of the tensors that hold them, and the further names of tied arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import SpecError
from .container import METADATA


def check_names(tensors: Mapping[Any, Iterable[str]], ties: Mapping[Any, Any]) -> None:
    """Refuse names of arrays that are none, or that collide.

    tensors: an array's name -> the tensors that hold it; ties: a further name -> the array's name.  Errors: FILE-6, FILE-9.
    """
    for name in (*tensors, *ties):
        if not is_text(name) or name == METADATA:                                          # FILE-6
            raise SpecError("FILE-6", "this is no name of an array.", wanted=f"text other than {METADATA!r}", given=repr(name))
    owners: dict[str, str] = {}
    for name, held in (*tensors.items(), *((tie, [tie]) for tie in ties)):
        for tensor in held:
            if tensor in owners:                                                           # FILE-6
                raise SpecError("FILE-6", f"{owners[tensor]!r} and {name!r} collide: both need the name {tensor!r}.",
                                wanted="names that no tensor of another array has", given=f"{owners[tensor]!r} and {name!r}",
                                fix=f"rename one of them, for example {name!r} to {name.replace('.', '_')!r}")
            owners[tensor] = name
    for tie, name in ties.items():
        if not isinstance(name, str) or name not in tensors or tie in tensors:             # FILE-9
            raise SpecError("FILE-9", f"{tie!r} is no further name of an array.", wanted="a new name, and that of an array",
                            given=f"{tie!r}: {name!r}", fix="tie it to the name under which the array is stored")


def is_text(text: Any) -> bool:
    """A string that UTF-8 can write, which half of a surrogate pair is not."""
    return isinstance(text, str) and text.encode(errors="replace").decode() == text
