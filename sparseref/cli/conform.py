"""`sparseref conform`: the kit against a backend, or against its own mutants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..atomic import write_text
from ..backend import ARRAY, CODING, Backend
from ..conformance.outcome import LEVELS, RunResult
from ..conformance.report import print_mutants, print_result, write_html, write_json, write_junit
from ..errors import SpecError
from ..registry import backends, get_backend, get_operator, layouts, load_object
from .common import WRONG, clean_exit, file_option, progress_bar, say_where

if TYPE_CHECKING:
    from ..conformance.worker import WorkerBackend


class Profile(StrEnum):
    QUICK = "quick"
    FULL = "full"


class Level(StrEnum):
    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


def conform(
    backend: Annotated[str | None, typer.Option(metavar="NAME", help=(
        "An installed backend: reference, torch, or any of the entry-point group sparseref.backends; or the address of a class "
        "or object, my_module:MyBackend."))] = None,
    cmd: Annotated[str | None, typer.Option(metavar="COMMAND", help=(
        "A worker in any language: a program that reads JSON lines and answers them (spec/protocol.md)."))] = None,
    profile: Annotated[Profile, typer.Option(help="quick takes minutes, full the long way round.")] = Profile.QUICK,
    level: Annotated[list[Level] | None, typer.Option(help=(
        "Only this level; may be given several times. L0 layouts, L1 exact integers, L2 floating point and special values, "
        "L3 selection, determinism, gradients."))] = None,
    operation: Annotated[list[str] | None, typer.Option(metavar="NAME", help=(
        "Only this operation (encode, select, linear ...), its gradient too; may be given several times."))] = None,
    layout: Annotated[list[str] | None, typer.Option(metavar="NAME", help=(
        "Only cells with an operand in this layout (nmg, csr ...); may be given several times."))] = None,
    known_failures: Annotated[Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help=(
        "TOML list of cases that may fail, each with its reason; a listed case that passes fails the run."))] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help=(
        "Test the kit instead: run its catalogue of backend bugs, and see which clause kills each."))] = False,
    json_file: Annotated[Path | None, file_option("Write every outcome as data.", "--json")] = None,
    junit: Annotated[Path | None, file_option("Write JUnit XML, for a CI server.")] = None,
    html: Annotated[Path | None, file_option("Write a page: operator x layout x dtype x level.")] = None,
) -> None:
    """Verify a backend against the specification.

    Every case has a verdict: pass, fail, unsupported (the backend says so itself), error, crash, timeout. A failure names the
    clause and shows the smallest counterexample found: a picture, and a call to paste. Errors are judged by bounds derived
    for each output, not by a tolerance. Exit code: 0 it conforms, 1 it does not, 2 the request was refused.

    Examples:

    \b
      sparseref conform --backend torch
      sparseref conform --cmd "./worker" --level L0 --level L1     start with layouts and exact integers
      sparseref conform --backend torch --operation linear --layout nmg
      sparseref conform --backend torch --profile full --junit report.xml --html report.html
      sparseref conform --mutants                                  how good is the kit?
    """
    console = Console()
    with clean_exit():
        if mutants:
            if backend or cmd or junit or html:
                raise typer.BadParameter("the mutants are made from the kit's own backend, and reported on the terminal and as "
                                         "--json; leave out --backend, --cmd, --junit and --html", param_hint="--mutants")
            _run_mutants(json_file, console)
            return
        with _chosen(backend, cmd) as subject:
            result = _run(subject, profile.value, [str(one) for one in level or LEVELS], operation, layout, known_failures)
        _report(result, json_file, junit, html, console)
        if not result.conforms:
            raise typer.Exit(WRONG)


@contextmanager
def _chosen(name: str | None, command: str | None) -> Iterator[Backend]:
    """The backend that one of the two options asks for; a worker is stopped in the end."""
    if (name is None) == (command is None):
        raise typer.BadParameter(f"give one of the two: --backend NAME (installed: {', '.join(backends.names())}), or "
                                 "--cmd COMMAND", param_hint="--backend / --cmd")
    if name is not None:
        yield _backend_at(name) if ":" in name else get_backend(name)
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


def _backend_at(address: str) -> Backend:
    """`"my_module:MyBackend"` -> the backend, made where it is a class.  Errors: REG-3, DSP-6."""
    found = load_object(address)
    try:
        backend = found() if isinstance(found, type) else found
    except Exception as problem:
        raise SpecError("DSP-6", f"{address} cannot be made: {type(problem).__name__}: {problem}.", given=address,
                        wanted="a class that is made without arguments, with `declines` and `call`",
                        fix="or give the address of an object") from problem
    if not isinstance(backend, Backend):
        raise SpecError("DSP-6", f"{address} is no backend.", wanted="a subclass of sparseref.Backend, or an object of one",
                        given=type(backend).__name__)
    return backend


def _run(backend: Backend, profile: str, levels: list[str], operations: list[str] | None, of_layouts: list[str] | None,
         known_failures: Path | None) -> RunResult:
    """Run the kit behind a progress bar; unknown names are refused, and so is a choice that no case fits."""
    from ..conformance.runner import run_conformance

    for name in operations or ():
        if name not in (*CODING, "select"):
            get_operator(name)                                 # REG-2 names what there is
    for name in of_layouts or ():
        if name != ARRAY:
            layouts.get(name)
    with progress_bar() as step:
        result = run_conformance(backend, profile, levels=levels, operations=operations, layouts=of_layouts,
                                 known_failures=known_failures,
                                 on_outcome=lambda outcome, done, total: step(outcome.case, done, total))
    if not result.outcomes:
        raise typer.BadParameter("no case fits all of --level, --operation and --layout; widen one of them")
    return result


def _report(result: RunResult, json_file: Path | None, junit: Path | None, html: Path | None, console: Console) -> None:
    print_result(result, console)
    if json_file is not None:
        write_json(result, json_file)
        say_where(json_file, console)
    if junit is not None:
        write_junit(result, junit)
        say_where(junit, console)
    if html is not None:
        write_html([result], html)
        say_where(html, console)


def _run_mutants(json_file: Path | None, console: Console) -> None:
    """Run the catalogue; a mutant that survives is a hole in the kit, and exit code 1."""
    from ..conformance.mutants import run_mutants

    with progress_bar() as step:
        reports = run_mutants(on_mutant=lambda report, done, total: step(report.name, done, total))
    print_mutants(reports, console)
    if json_file is not None:
        write_text(json_file, json.dumps([asdict(report) for report in reports], indent=1) + "\n")
        say_where(json_file, console)
    if not all(report.killed for report in reports):
        raise typer.Exit(WRONG)
