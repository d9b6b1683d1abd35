"""What `sparseref conform` runs: one backend, or all of them, with what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from ..backend import ARRAY, CODING, Backend
from ..conformance.outcome import RunResult
from ..conformance.report import Matrix, print_matrix, write_html, write_matrix
from ..dtypes import value_dtype
from ..registry import backends, get_operator, layouts
from .common import WRONG, progress_bar, say_where

if TYPE_CHECKING:
    from ..conformance.worker import WorkerBackend


@dataclass(frozen=True)
class Request:
    """Which cases, and by how many processes.  Unknown names are refused (REG-2, CORE-D1), and a choice that no case fits."""

    profile: str
    levels: list[str]
    operations: list[str] | None
    layouts: list[str] | None
    jobs: int = 1
    dtypes: list[str] | None = None

    def __post_init__(self) -> None:
        for name in self.operations or ():
            if name not in (*CODING, "select"):
                get_operator(name)
        for name in self.layouts or ():
            if name != ARRAY:
                layouts.get(name)
        for name in self.dtypes or ():
            value_dtype(name)

    def run(self, backend: str | Backend, known_failures: Path | None = None) -> RunResult:
        """One backend behind a progress bar."""
        from ..conformance.runner import run_conformance

        name = backend if isinstance(backend, str) else backend.name
        with progress_bar() as step:
            result = run_conformance(backend, self.profile, self.levels, self.operations, self.layouts, known_failures,
                                     lambda outcome, done, total: step(f"{name}: {outcome.case}", done, total), self.jobs,
                                     self.dtypes)
        if not result.outcomes:
            raise typer.BadParameter("no case fits all of --level, --operation, --layout and --dtype; widen one of them")
        return result


def run_matrix(request: Request, every: bool, backend: str | None, command: str | None, json_file: Path | None,
               html: Path | None, console: Console) -> bool:
    """Every backend side by side if `every`, then each other's arrays, and the reports -> whether all of that conforms."""
    from ..conformance.differential import check_names, run_differential
    from ..conformance.subjects import backend_at, installed

    with ExitStack() as stack:
        found, missing = installed()
        subjects: dict[str | Backend, Backend] = dict(found.items())    # as a new process finds it -> the backend
        if backend is not None or command is not None:
            subject = stack.enter_context(chosen(backend, command))
            subjects[subject] = backend_at(subject) if isinstance(subject, str) else subject
        check_names([one.name for one in subjects.values()])   # before the work, not after it
        results = [request.run(subject) for subject in subjects] if every else []
        with progress_bar() as step:
            together = run_differential(list(subjects.values()), request.profile, request.levels, request.operations,
                                        request.layouts, lambda outcome, done, total: step(outcome.case, done, total),
                                        request.dtypes)
    matrix = Matrix(results, together if together.outcomes else None, missing)
    if not matrix.every:
        raise typer.BadParameter("no array goes from one backend to another in what --level, --operation, --layout and --dtype "
                                 "leave")
    print_matrix(matrix, console)
    if not together.outcomes:
        console.print("no array goes from one backend to another in these cases, so nothing was done with each other's")
    if json_file is not None:
        write_matrix(matrix, json_file)
        say_where(json_file, console)
    if html is not None:
        write_html(matrix.every, html, missing)
        say_where(html, console)
    return matrix.conforms


@contextmanager
def chosen(name: str | None, command: str | None) -> Iterator[str | Backend]:
    """The backend that one of the two options asks for, a worker to be stopped in the end."""
    if (name is None) == (command is None):
        raise typer.BadParameter(f"give one of the two: --backend NAME (installed: {', '.join(backends.names())}), or "
                                 "--cmd COMMAND; or --all", param_hint="--backend / --cmd")
    if name is not None:
        yield name
        return
    with _started(command or "") as worker:
        yield worker


def _started(command: str) -> WorkerBackend:
    """A worker that has said what it is; one whose first reply is missing or wrong does not conform (WIRE-2)."""
    from ..conformance.worker import WorkerBackend, WorkerCrash, WorkerError, WorkerTimeout

    try:
        return WorkerBackend(command)
    except (WorkerCrash, WorkerError, WorkerTimeout) as fault:
        Console(stderr=True).print(f"{command}: no conforming first reply (WIRE-2)\n{fault}", style="red", markup=False,
                                   highlight=False, soft_wrap=True)
        raise typer.Exit(WRONG) from None
