"""`sparseref conform`: the kit against a backend, or against its own mutants."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..atomic import write_text
from ..conformance.outcome import LEVELS, RunResult
from ..conformance.report import print_mutants, print_result, write_html, write_json, write_junit
from .common import WRONG, clean_exit, file_option, progress_bar, say_where
from .conform_runs import Request, chosen, run_matrix


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
    dtype: Annotated[list[str] | None, typer.Option(metavar="NAME", help=(
        "Only operands of this dtype (float32 ...); may be given several times."))] = None,
    known_failures: Annotated[Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help=(
        "TOML list of cases that may fail, each with its reason; a listed case that passes fails the run."))] = None,
    every: Annotated[bool, typer.Option("--all", help=(
        "Every installed backend, and that of --backend or --cmd if one is given: one table, then --differential."))] = False,
    differential: Annotated[bool, typer.Option("--differential", help=(
        "Every installed backend's arrays in the hands of every other one: encoded by the first, computed with by the second, "
        "a sparse result read by the third."))] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help=(
        "Processes that judge, each with a backend of its own; a worker of --cmd has one, and so has --differential."))] = 1,
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
      sparseref conform --all --jobs 2 --html matrix.html         every backend side by side, and each other's arrays
      sparseref conform --mutants                                  how good is the kit?
    """
    console = Console()
    with clean_exit():
        if mutants:
            others = backend, cmd, level, operation, layout, dtype, known_failures, every, differential, junit, html
            if any(others) or (profile, jobs) != (Profile.QUICK, 1):
                raise typer.BadParameter("the mutants are made from the kit's own backend, and reported on the terminal and as "
                                         "--json; leave out everything but --json", param_hint="--mutants")
            _run_mutants(json_file, console)
            return
        request = Request(profile.value, [str(one) for one in level or LEVELS], operation, layout, jobs, dtype)
        if every or differential:
            if junit or known_failures:
                raise typer.BadParameter("--junit and --known-failures are for one backend alone", param_hint="--all")
            if not run_matrix(request, every, backend, cmd, json_file, html, console):
                raise typer.Exit(WRONG)
            return
        with chosen(backend, cmd) as subject:
            result = request.run(subject, known_failures)
        _report(result, json_file, junit, html, console)
        if not result.conforms:
            raise typer.Exit(WRONG)


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
