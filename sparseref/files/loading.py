"""A file into arrays."""

from __future__ import annotations

from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path

import numpy as np

from ..array import SparseArray
from ..coding import validate
from ..errors import SpecError
from .container import CODES, REPAIR, Slot, damaged, read_index, read_tensor
from .entry import Entry, digest
from .header import Header, parse_header


def load_file(path: str | Path) -> dict[str, SparseArray | np.ndarray]:
    """A file -> its arrays by name, as they were saved, bit for bit (FILE-11); tied names have one array.

    Nothing of the file is run, and nothing is believed: whatever is damaged, missing or too much is refused.
    Errors: FILE-1 to FILE-10 and those of `validate`; OSError where the file cannot be opened.
    """
    return read_file(path)[1]


def read_header(path: str | Path) -> Header:
    """A file -> what its arrays are; no element of them is read, so that it takes as long for any size.

    Errors: FILE-1 to FILE-4, FILE-6, FILE-8 to FILE-10.
    """
    with open(path, "rb") as file:
        return _header(file)[0]


def read_file(path: str | Path) -> tuple[Header, dict[str, SparseArray | np.ndarray]]:
    """A file -> both."""
    with open(path, "rb") as file:
        header, slots = _header(file)
        arrays = {name: _array(file, name, entry, slots) for name, entry in header.arrays.items()}
    return header, arrays | {tie: arrays[name] for tie, name in header.ties.items()}       # FILE-9


def _header(file: BufferedReader) -> tuple[Header, dict[str, Slot]]:
    """An open file -> its header and its tensors, which are those of the header's arrays."""
    metadata, slots = read_index(file)
    header = parse_header(metadata)
    wanted = {tensor for name, entry in header.arrays.items() for tensor in entry.tensors(name).values()}
    if wanted != set(slots):                                                               # FILE-1
        missing, more = sorted(wanted - set(slots)), sorted(set(slots) - wanted)
        raise damaged("its tensors are not those of its header", f"{', '.join(missing[:5]) or 'none'} missing, "
                      f"{', '.join(more[:5]) or 'none'} too many")
    return header, slots


def _array(file: BufferedReader, name: str, entry: Entry, slots: Mapping[str, Slot]) -> SparseArray | np.ndarray:
    """Read one array, and check it against its digest, its entry and its layout."""
    fields = entry.tensors(name)
    tensors = {tensor: read_tensor(file, tensor, slots[tensor]) for tensor in fields.values()}
    found = digest(tensors)
    if found != entry.sha256:                                                              # FILE-5
        raise SpecError("FILE-5", f"{name!r} has changed since it was saved.", wanted=f"SHA-256 {entry.sha256}", given=found,
                        fix=REPAIR)
    if entry.layout is not None:
        array = SparseArray(entry.layout, entry.shape, entry.dtype, {field: tensors[held] for field, held in fields.items()})
        validate(array)                                                                    # FILE-12
        return array
    slot = slots[name]
    if (slot.code, slot.shape) != (CODES[entry.dtype.name], entry.shape):                  # FILE-4
        raise SpecError("FILE-4", f"{name!r} is not what its entry says.", wanted=f"{entry.dtype.name} {entry.shape}",
                        given=f"{slot.code} {slot.shape}", fix=REPAIR)
    return tensors[name]
