"""Arrays into a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..array import SparseArray
from ..atomic import write_bytes
from ..coding import validate
from ..errors import SpecError
from .container import pieces
from .entry import Entry, View, digest, tensors_of
from .header import Header


def save_file(arrays: Mapping[str, SparseArray | np.ndarray], path: str | Path, metadata: Mapping[str, str] | None = None,
              views: Mapping[str, View] | None = None) -> Path:
    """Sparse and plain arrays by name -> one safetensors file, which replaces the one at `path` as a whole (FILE-13).

    metadata: strings to keep beside them; views: name -> the tensor that a sparse array stands for.  An array that stands
    under several names is stored once and read back as one (FILE-9).  Equal arguments give equal bytes.
    Errors: FILE-6, FILE-7, FILE-8, FILE-10, and those of `validate`.
    """
    views = views or {}
    stored, ties = _once_each(arrays)
    tensors: dict[str, np.ndarray] = {}
    entries: dict[str, Entry] = {}
    for name, array in stored.items():
        held = tensors_in(name, array)
        view = views.get(name)
        layout = array.layout if isinstance(array, SparseArray) else None
        entries[name] = Entry(layout, array.shape, array.dtype, digest(held), view)
        tensors |= held
    for name, view in views.items():
        if name not in entries or entries[name].layout is None or not isinstance(view, View):      # FILE-8
            raise SpecError("FILE-8", f"{name!r} has no use for a view.", wanted="the name of a sparse array, and its View",
                            given=f"{name!r}: {view!r}", fix="plain arrays have none, tied ones that of the first name")
        view.check(name, entries[name].shape)
    return write_bytes(path, pieces(tensors, Header(entries, ties, metadata or {}).to_metadata()))


def _once_each(arrays: Mapping[str, SparseArray | np.ndarray]) -> tuple[dict[str, SparseArray | np.ndarray], dict[str, str]]:
    """-> the arrays under the first of their names, and each further name with that one (FILE-9)."""
    if not isinstance(arrays, Mapping):                                                    # FILE-6
        raise SpecError("FILE-6", "the arrays have no names.", wanted="a mapping of names to arrays",
                        given=type(arrays).__name__, fix='save_file({"weight": array}, path)')
    arrays, firsts = dict(arrays), dict[int, str]()
    ties = {name: firsts[id(array)] for name, array in arrays.items() if firsts.setdefault(id(array), name) != name}
    return {name: array for name, array in arrays.items() if name not in ties}, ties


def tensors_in(name: str, array: SparseArray | np.ndarray) -> dict[str, np.ndarray]:
    """An array -> the tensors that hold it, by their names (FILE-1).  Errors: FILE-7, and those of `validate`."""
    if isinstance(array, SparseArray):
        validate(array)                                                                    # FILE-12
        return {tensor: array[field] for field, tensor in tensors_of(name, array.layout, array.shape).items()}
    if not isinstance(array, np.ndarray):                                                  # FILE-7
        raise SpecError("FILE-7", f"{name!r} is no array.", wanted="a SparseArray or a NumPy array", given=type(array).__name__,
                        fix="np.asarray(...) makes one; a torch model is saved by sparseref_torch.save_model")
    return {name: array}
