"""The safetensors container: named plain arrays and a dictionary of strings, as bytes.

    8 bytes: N, little-endian | N bytes: the index, a JSON object, spaces at its end | the elements of each tensor
    index: {"__metadata__": {key: string}, name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [start, stop]}, ...}

Written out here and not left to the package safetensors, which puts metadata in an order that differs from run to run,
while equal arrays are to give equal files; the tests let the package read what is written here and write what is read.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np

from ..dtypes import value_dtype
from ..errors import SpecError

CODES = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16", "bfloat16": "BF16",
         "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64", "float64": "F64"}       # FILE-7
"""NumPy's name of a dtype -> the container's."""

NAMES = {code: name for name, code in CODES.items()}
METADATA = "__metadata__"
LONGEST_INDEX = 100_000_000
"""Bytes; the package safetensors reads no longer one either."""


@dataclass(frozen=True)
class Slot:
    """Where a tensor lies: dtype by the container's name, shape, and the bytes start..stop of the file."""

    code: str
    shape: tuple[int, ...]
    start: int
    stop: int


def code_of(name: str, array: np.ndarray) -> str:
    """An array -> the container's name of its dtype.  Errors: FILE-7."""
    if array.dtype.name not in CODES:                                                      # FILE-7
        raise SpecError("FILE-7", f"{name!r} has a dtype that no file can hold.", wanted=", ".join(CODES),
                        given=array.dtype.name, fix="convert it first, e.g. array.astype(np.float32)")
    return CODES[array.dtype.name]


def dtype_of(code: str) -> np.dtype[Any]:
    """The container's name of a dtype -> the NumPy dtype, little-endian.  Errors: MissingDependency for BF16."""
    name = NAMES[code]
    return value_dtype(name) if name == "bfloat16" else np.dtype(name).newbyteorder("<")


def pieces(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """tensors, metadata -> the bytes of the file, piece by piece; equal arguments give equal bytes.

    The widest elements come first, so that each tensor lies aligned to its elements.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    index: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))}
    stop = 0
    for name in order:
        start, stop = stop, stop + tensors[name].nbytes
        index[name] = {"dtype": code_of(name, tensors[name]), "shape": tensors[name].shape, "data_offsets": [start, stop]}
    text = json.dumps(index, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text))
    yield text
    for name in order:
        yield elements(tensors[name])


def elements(array: np.ndarray) -> memoryview:
    """array [shape] -> its elements in row-major order, little-endian: bytes [nbytes] (FILE-7)."""
    little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return little.reshape(-1).view(np.uint8).data


def read_index(file: BufferedReader) -> tuple[dict[str, str], dict[str, Slot]]:
    """An open file -> its metadata, and where each tensor lies; no element is read.  Errors: FILE-1."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    start = 8 + length
    if size < 8 or length > LONGEST_INDEX or start > size:                                 # FILE-1
        raise damaged("its index is longer than the file", f"8 + {length} bytes in {size}")
    try:
        index = parse_json(file.read(length).decode())
        if not isinstance(index, dict):
            raise ValueError("the index is no JSON object")
        metadata = index.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("the metadata are no strings")
        slots = {name: _slot(name, entry, start) for name, entry in index.items()}
    except ValueError as problem:
        raise damaged(str(problem), f"an index of {length} bytes") from problem
    for slot in sorted(slots.values(), key=lambda slot: (slot.start, slot.stop)):          # FILE-1: without gap or overlap
        if slot.start != start:
            raise damaged("its tensors leave a gap or overlap", f"a tensor that starts at byte {slot.start} instead of {start}")
        start = slot.stop
    if start != size:
        raise damaged("its tensors do not end where it does", f"tensors up to byte {start} of {size}")
    return metadata, slots


def _slot(name: str, entry: Any, origin: int) -> Slot:
    """One entry of the index -> where its tensor lies."""
    try:
        code, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        good = (len(entry) == 3 and code in NAMES and isinstance(shape, list)
                and all(type(number) is int and number >= 0 for number in (*shape, start, stop))
                and stop - start == math.prod(shape) * dtype_of(code).itemsize)
    except (KeyError, TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"the index describes no tensor {name!r}: {str(entry)[:100]}")
    return Slot(code, tuple(shape), origin + start, origin + stop)


def read_tensor(file: BufferedReader, name: str, slot: Slot) -> np.ndarray:
    """An open file, a tensor of it -> a new array [shape] in the machine's byte order.  Errors: FILE-7."""
    raw = np.empty(slot.stop - slot.start, np.uint8)
    file.seek(slot.start)
    file.readinto(raw.data)
    if slot.code == "BOOL" and raw.max(initial=0) > 1:                                     # FILE-7
        raise SpecError("FILE-7", f"{name!r} has an element that is no truth value.", wanted="bytes 0 and 1",
                        given=str(raw.max()), fix=REPAIR)
    dtype = dtype_of(slot.code)
    return raw.view(dtype).reshape(slot.shape).astype(dtype.newbyteorder("="), copy=False)


REPAIR = "the file is damaged or was not written by sparseref: get it again, or save it again"


def damaged(what: str, given: str) -> SpecError:
    """The error for what is no whole safetensors file."""
    return SpecError("FILE-1", f"this is no safetensors file, or it is damaged: {what}.",
                     wanted="a whole file as sparseref.files.save_file writes it", given=given, fix=REPAIR)


def parse_json(text: str) -> Any:
    """JSON -> its value.  A ValueError also for what Python's reader lets pass: a key twice, NaN, and nests without end."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError as problem:
        raise ValueError("JSON that nests too deeply") from problem


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key that stands twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
