"""What a frozen vector may call about files; a file is a string of hexadecimal digits there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from ..array import SparseArray
from ..errors import SpecError
from ..files import read_file, read_header, save_file
from .vector_calls import reference_call, with_file


@reference_call
def load_file(file: str) -> tuple[Any, ...]:
    """(name, array) of each array."""
    return tuple(with_file(bytes.fromhex(file), read_file)[1].items())


@reference_call
def file_header(file: str) -> tuple[Any, ...]:
    """(name, layout, shape, dtype, view) of each array, then the ties and the metadata as pairs."""
    header = with_file(bytes.fromhex(file), read_header)
    arrays = tuple((name, entry.layout and str(entry.layout), entry.shape, entry.dtype.name,
                    entry.view and (entry.view.shape, entry.view.transposed)) for name, entry in header.arrays.items())
    return arrays, tuple(header.ties.items()), tuple(header.metadata.items())


@reference_call
def distinct_arrays(file: str) -> tuple[int, int]:
    """How many names a file has, and how many arrays."""
    arrays = with_file(bytes.fromhex(file), read_file)[1]
    return len(arrays), len(set(map(id, arrays.values())))


@reference_call
def refusal_of_file(file: str) -> str:
    """The clause that refuses a file, "" if none does."""
    try:
        load_file(file)
    except SpecError as refusal:
        return refusal.clause
    return ""


@reference_call
def save_and_load(names: tuple[str, ...], *arrays: Any) -> tuple[Any, ...]:
    """Arrays under these names -> what a file of them holds, (name, array) each."""
    with TemporaryDirectory() as place:
        path = save_file(dict(zip(names, arrays, strict=True)), Path(place) / "file")
        return tuple(read_file(path)[1].items())


@reference_call
def interrupted_save(a: SparseArray) -> tuple[bool, int]:
    """Whether a save that fails half-way leaves the old file as it was, and how many files there are then."""
    def fails(*anything: Any) -> Iterator[bytes]:
        yield b"the first half"
        raise OSError("no space left")

    with TemporaryDirectory() as place:
        path = save_file({"old": a}, Path(place) / "file")
        before = path.read_bytes()
        with patch("sparseref.files.saving.pieces", fails), suppress(OSError):
            save_file({"new": a}, path)
        return path.read_bytes() == before, len(list(path.parent.iterdir()))
