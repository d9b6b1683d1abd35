"""The C library as Python sees it: its structures, its functions, and the instruction set in use."""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from sparseref import SpecError

from .compiling import NotBuilt, built_file, bundled_file, library_file

ISA, THREADS = "SPARSEREF_C_ISA", "SPARSEREF_NUM_THREADS"
"""Environment: the instruction set to use, how many threads."""
MOST_THREADS = 2**15
"""More than any machine has; C counts them in an int."""

RUN = np.dtype([("count", "u4"), ("row", "u4", 4)])
SEGMENT = np.dtype([("first_run", "u8"), ("runs", "u8"), ("first_column", "u8"), ("first_value", "u8"),
                    ("n", "u4"), ("abreast", "u2"), ("serves", "u2"), ("first_x", "u4"), ("x_columns", "u4")])
"""Run and Segment of src/runs.h."""
ONE_TOKEN, FEW_TOKENS, MANY_TOKENS = 1, 2, 4
ANY = ONE_TOKEN | FEW_TOKENS | MANY_TOKENS
ACTIVATIONS = {None: 0, "relu": 1, "gelu": 2, "gelu_tanh": 3}


def _integers(*names: str) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_int64) for name in names]


def _pointers(*names: str) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_void_p) for name in names]


class CRuns(ctypes.Structure):
    """Runs of src/runs.h."""

    _fields_ = [*_integers("rows", "columns", "group_rows", "groups", "widest_run", "block_rows"),
                *_pointers("segment_of", "segments", "runs", "column", "value", "one_token")]


class CSizes(ctypes.Structure):
    """Sizes of src/sparseref.h."""

    _fields_ = _integers("groups", "segments", "runs", "columns", "values")


def address(array: np.ndarray) -> int:
    """Where its first element is.  A buffer that may be written to answers in a third of the microsecond of `array.ctypes`."""
    if array.flags.c_contiguous and array.size:
        try:
            return ctypes.addressof(ctypes.c_char.from_buffer(array))
        except (TypeError, ValueError):                        # to be read only
            pass
    return int(array.ctypes.data)


class CMatrix(ctypes.Structure):
    """Matrix of src/runs.h."""

    _fields_ = [("first", ctypes.c_void_p), ("outer", ctypes.c_int64), ("inner", ctypes.c_int64)]


Where: TypeAlias = tuple[int, int, int]
"""Address, and the strides of both sides in elements: a CMatrix."""
NOWHERE: Where = (0, 0, 0)


def where(array: np.ndarray | None) -> Where:
    """An array [M, N] of any strides, or none."""
    if array is None:
        return NOWHERE
    (outer, inner), size = array.strides, array.itemsize
    return address(array), outer // size, inner // size


class CPatches(ctypes.Structure):
    """Patches of src/runs.h."""

    _fields_ = [*_pointers("image"),
                *_integers("channels", "height", "width", "channel_stride", "row_stride", "column_stride",
                           "kernel_height", "kernel_width", "stride_height", "stride_width", "pad_height", "pad_width",
                           "dilation_height", "dilation_width", "out_height", "out_width")]


class CProduct(ctypes.Structure):
    """Product of src/runs.h."""


CProduct._fields_ = [("weight", ctypes.POINTER(CRuns)), ("x", CMatrix), ("y", CMatrix), ("added", CMatrix),
                     ("bias", ctypes.c_void_p), ("tokens", ctypes.c_int64), ("activation", ctypes.c_int32),
                     ("added_first", ctypes.c_int32), ("patches", ctypes.POINTER(CPatches)),
                     *((name, ctypes.POINTER(CProduct)) for name in ("then", "beside"))]
PRODUCT = struct.Struct("PPqqPqqPqqPqiiPPP")
"""The bytes of a CProduct: packed at once they take a third of the time of as many fields."""


class CSampled(ctypes.Structure):
    """Sampled of src/runs.h."""

    _fields_ = [("weight", ctypes.POINTER(CRuns)), ("grad", CMatrix), ("x", CMatrix), ("gradient", ctypes.c_void_p),
                ("tokens", ctypes.c_int64), ("patches", ctypes.POINTER(CPatches))]


class CChoice(ctypes.Structure):
    """Choice of src/sparseref.h."""

    _fields_ = [*_pointers("scores"),
                *_integers("block_rows", "block_stride", "row_stride", "n", "m", "patterns", "g", "fibres",
                           "real_fibres"),
                *_pointers("places", "owner")]


class CCoding(ctypes.Structure):
    """Coding of src/sparseref.h."""

    _fields_ = [*_integers("block_rows", "slots", "first", "n", "m", "patterns", "g", "fibres"),
                *_pointers("places", "binomial", "pattern_of_rank", "blocks", "values", "idx", "owner"),
                ("item_bytes", ctypes.c_int32), ("index_bytes", ctypes.c_int32)]


@dataclass(frozen=True)
class Library:
    """The loaded library and the instruction set that is used; `name` and `number` are the set's."""

    functions: Any
    name: str
    number: int


def instruction_sets(functions: Any) -> dict[str, int]:
    """Those of the library that this machine has, by name, from the plainest to the best."""
    return {functions.sparseref_set_name(number).decode(): number for number in range(functions.sparseref_sets())
            if functions.sparseref_set_runs_here(number)}


@cache
def load(path: Path | None = None) -> Any:
    """-> the functions of the library at this path, by default the one made of these sources.  Errors: NotBuilt."""
    functions = _opened(path or library_file())
    functions.sparseref_set_name.restype = ctypes.c_char_p
    functions.sparseref_check.argtypes = [ctypes.POINTER(CRuns), ctypes.POINTER(CSizes)]
    functions.sparseref_linear.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    functions.sparseref_sampled.argtypes = [ctypes.POINTER(CSampled), ctypes.c_int, ctypes.c_int, ctypes.c_int]
    functions.sparseref_activate.argtypes = [ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_int] * 4]
    functions.sparseref_borrow_threads.argtypes = [ctypes.c_void_p]
    functions.sparseref_borrow_threads.restype = None
    functions.sparseref_spin.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int]
    functions.sparseref_spin.restype = ctypes.c_int64
    functions.sparseref_nmg_choose.argtypes = [ctypes.POINTER(CChoice), ctypes.c_int, ctypes.c_int]
    for step in ("owners", "place", "check", "scatter"):
        getattr(functions, f"sparseref_nmg_{step}").argtypes = [ctypes.POINTER(CCoding), ctypes.c_int]
    return functions


def _opened(path: Path) -> Any:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        if path != bundled_file():
            raise NotBuilt(f"{path} cannot be loaded ({error}): delete it, and it is built anew") from error
        try:                                                   # a wheel that was made for another machine or libc
            return _opened(built_file())
        except NotBuilt as reason:
            raise NotBuilt(f"{path}, which came with the wheel, cannot be loaded ({error}), and: {reason}") from error


def likely_set() -> str:
    """The name of the set that will be used unless it computes wrongly; for what is prepared before it has proven itself."""
    return os.environ.get(ISA) or _best()


@cache
def _best() -> str:
    return list(instruction_sets(load()))[-1]


def library() -> Library:
    """With the instruction set that SPARSEREF_C_ISA names, else the best that proves itself.  Errors: NotBuilt, CLIB-1."""
    return _library(os.environ.get(ISA) or None)


@cache
def _library(forced: str | None) -> Library:
    from .proving import proven  # it computes with what is loaded here

    functions = load()
    here = instruction_sets(functions)
    if forced is not None and forced not in here:                                          # CLIB-1
        raise SpecError("CLIB-1", f"{ISA} names no instruction set of this machine.", wanted=", ".join(here), given=forced,
                        fix=f"unset {ISA} for the best of them")
    name = forced if forced is not None else proven(tuple(reversed(here)))
    return Library(functions, name, here[name])


def threads() -> int:
    """How many: SPARSEREF_NUM_THREADS, else OMP_NUM_THREADS, else all cores that this process may use.  Errors: CLIB-2."""
    told = threads_told(THREADS, "OMP_NUM_THREADS")
    if told is not None:
        return told
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_told(*names: str) -> int | None:
    """What the first of these variables says that is set, or None.  Errors: CLIB-2."""
    for name in names:
        told = os.environ.get(name, "").split(",")[0].strip()
        if told:
            return counted(int(told) if told.isdecimal() and len(told) < 10 else told, name)
    return None


def counted(given: Any, name: str) -> int:
    """A number of threads, if it is one.  Errors: CLIB-2."""
    if not isinstance(given, Integral) or not 1 <= given <= MOST_THREADS:                  # CLIB-2
        raise SpecError("CLIB-2", f"{name} is no number of threads.", wanted=f"a whole number from 1 to {MOST_THREADS:,}",
                        given=str(given))
    return int(given)
