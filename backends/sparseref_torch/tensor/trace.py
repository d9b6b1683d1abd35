"""What ran: one record for each operator that met a sparse tensor, and the warning where it ran densely."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sparseref import FallbackWarning, SpecError

OWN = str(Path(__file__).parent.parent)
TORCH = str(Path(torch.__file__).parent)


@dataclass(frozen=True)
class Record:
    """One call: kind is "exact" (a sparse implementation), "converted" or "dense"; cost_bits what the conversion moved.

    module: the name of the module that made the call, "" outside of one; site: file:line of the caller.
    """

    module: str
    operation: str
    layouts: tuple[str, ...]
    kind: str
    kernel: str
    backend: str
    reason: str
    cost_bits: int
    site: str

    def __str__(self) -> str:
        where = f"{self.module}: " if self.module else ""
        cost = f", {self.cost_bits:,} bits moved" if self.cost_bits else ""
        why = f"\n  because {self.reason}" if self.reason else ""
        return f"{where}{self.operation}[{' x '.join(self.layouts)}] {self.kind} on {self.backend} ({self.kernel}){cost}{why}"


@dataclass
class Recording:
    """The records so far, and the modules that are running now, outermost first."""

    records: list[Record] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)


_RECORDING: ContextVar[Recording | None] = ContextVar("recording", default=None)
_STRICT: ContextVar[bool] = ContextVar("strict", default=False)
_WARNED: set[tuple[str, str]] = set()


@contextmanager
def strict(on: bool = True) -> Iterator[None]:
    """Inside, what would fall back to dense raises SpecError DSP-4 instead."""
    token = _STRICT.set(on)
    try:
        yield
    finally:
        _STRICT.reset(token)


@contextmanager
def recording() -> Iterator[Recording]:
    """Inside, every operator that meets a sparse tensor leaves a record."""
    kept = Recording()
    token = _RECORDING.set(kept)
    try:
        yield kept
    finally:
        _RECORDING.reset(token)


def note(operation: str, layouts: tuple[str, ...], kind: str, kernel: str, backend: str = "torch", reason: str = "",
         cost_bits: int = 0) -> None:
    """Leave a record, if someone is recording."""
    kept = _RECORDING.get()
    if kept is not None:
        module = kept.modules[-1] if kept.modules else ""
        kept.records.append(Record(module, operation, layouts, kind, kernel, backend, reason, cost_bits, call_site()))


def is_recording() -> bool:
    return _RECORDING.get() is not None


def fell_back(operation: str, layouts: tuple[str, ...], reason: str, cost_bits: int) -> None:
    """Refuse where strict, else warn once for each call site and leave a record (DSP-3, DSP-4)."""
    if _STRICT.get():                                                                      # DSP-4
        raise SpecError("DSP-4", f"{operation} has no sparse implementation.", wanted="one, because strict is on",
                        given=f"{operation}[{' x '.join(layouts)}]: {reason}",
                        fix="register_fwd_op_impl, or leave `strict()`, or keep this tensor dense")
    site = call_site()
    if (site, operation) not in _WARNED:                                                   # DSP-3: once for each call site
        _WARNED.add((site, operation))
        file, _, line = site.rpartition(":")
        warnings.warn_explicit(f"{operation} fell back to dense: {reason} (at {site})", FallbackWarning, file or "?",
                               int(line or 0))
    note(operation, layouts, "dense", "decoded", reason=reason, cost_bits=cost_bits)


def call_site() -> str:
    """`file:line` of the innermost frame that belongs neither to torch nor to this package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((OWN, TORCH)) and not file.startswith("<"):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "?:0"
