"""What the commands share: exit codes, clean errors, shapes, and one progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..bench.machine import cores
from ..dtypes import value_dtype
from ..errors import MissingDependency, SpecError

WRONG, REFUSED, INTERRUPTED = 1, 2, 130
"""Exit codes: nonconforming or failed; bad input or a missing package; Ctrl-C."""

Step = Callable[[str, int, int], None]


@contextmanager
def clean_exit(interrupted: str = "no report was written") -> Iterator[None]:
    """A refusal is a message and exit code 2, an interrupt is 130; any other exception is a bug and keeps its traceback.

    interrupted: what a user who has interrupted is told.
    Modules are found from the folder in which the command is run, as Python's own -m finds them.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        yield
    except (SpecError, MissingDependency) as refused:
        Console(stderr=True).print(str(refused), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None
    except KeyboardInterrupt:
        Console(stderr=True).print(f"interrupted; {interrupted}", style="yellow")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress_bar() -> Iterator[Step]:
    """A bar on stderr, so that stdout can be piped; the step says what is done, how many are, and of how many."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)

        def step(what: str, done: int, total: int) -> None:
            shown.update(task, description=what[:60], completed=done, total=total)

        yield step


def file_option(help: str, *names: str) -> Any:  # noqa: A002 - typer's word
    """An option that names a file to write."""
    return typer.Option(*names, metavar="FILE", callback=_writable, help=help)


def _writable(path: Path | None) -> Path | None:
    """A file that cannot be written is refused before the work, not after it."""
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise typer.BadParameter(f"{path} cannot be written: {problem.strerror}") from None
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise typer.BadParameter(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'no permission'}")
    return path


def parse_shape(text: str) -> tuple[int, ...]:
    """`"768x3072"` -> (768, 3072)."""
    try:
        shape = tuple(int(side) for side in text.lower().split("x"))
    except ValueError:
        shape = (-1,)
    if min(shape) < 0:
        raise typer.BadParameter(f"{text!r} is no shape; write rows x columns, e.g. 768x3072")
    return shape


def parse_dtype(text: str) -> np.dtype[Any]:
    """`"float32"` -> its dtype, if the specification knows it (CORE-D1)."""
    return value_dtype(text)


def checked_threads(threads: int) -> None:
    """Refuse more threads than this process may use cores: what is timed would wait for itself."""
    if threads > cores():
        raise typer.BadParameter(f"{threads} threads were asked for, and this process may use {cores()} cores",
                                 param_hint="--threads")


def say_where(path: Path, console: Console) -> None:
    console.print(f"written: {path}", soft_wrap=True, markup=False, highlight=False)
