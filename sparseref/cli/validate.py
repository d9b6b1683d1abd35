"""`sparseref validate`: is a layout well defined?  The laws, then its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .. import __version__
from ..card import layouts_at, make_card, print_card
from ..conformance.outcome import Outcome, RunResult
from ..conformance.report import print_result, write_junit
from ..conformance.report import write_json as write_outcomes
from .card import weights, write
from .common import WRONG, clean_exit, file_option, progress_bar, say_where


def validate(
    layout: Annotated[str, typer.Argument(metavar="LAYOUT", help=(
        "The address of a class, with parameters or without (my_module:MyLayout, my_module:MyLayout:4,axis=1), or a layout's "
        "short string (nmg:2:8:8). Without parameters all instances that the class names as examples are validated."))],
    shape: Annotated[list[str] | None, typer.Option(metavar="RxC", help=(
        "Measure the card on random weights of this shape; may be given several times."))] = None,
    no_card: Annotated[bool, typer.Option("--no-card", help="Only the laws: a matter of seconds.")] = False,
    json_file: Annotated[Path | None, file_option("Write the laws' outcomes as data.", "--json")] = None,
    junit: Annotated[Path | None, file_option("Write them as JUnit XML.")] = None,
    card_file: Annotated[Path | None, file_option("Write the card as data.", "--card")] = None,
    html_file: Annotated[Path | None, file_option("Write the card as a page.", "--html")] = None,
) -> None:
    """Validate a layout alone: the laws, then its card.

    No backend is needed. A layout is a frozen dataclass with `name`, `fields`, `positions` and `encode`; it need not be
    registered. The laws say that decode gives back what encode stored, that the encoding is canonical, that padding is never
    read, that `validate` refuses what is broken, and more. Then follows the format card (see sparseref card --help).

    Examples:

    \b
      sparseref validate my_module:MyLayout
      sparseref validate my_module:MyLayout:4,axis=1 --shape 256x512 --html card.html
      sparseref validate nmg:2:4:2 --no-card
    """
    console = Console()
    with clean_exit():
        from ..conformance.laws import run_laws

        instances = layouts_at(layout)
        outcomes: list[Outcome] = []
        with progress_bar() as step:
            for done, instance in enumerate(instances):
                step(f"the laws on {instance}", done, len(instances))
                outcomes += run_laws(instance)
        name = f"layout {instances[0].name}"
        result = RunResult(name, __version__, "laws", len(outcomes), tuple(outcomes), sum(o.seconds for o in outcomes))
        print_result(result, console)
        if json_file is not None:
            write_outcomes(result, json_file)
            say_where(json_file, console)
        if junit is not None:
            write_junit(result, junit)
            say_where(junit, console)
        if not result.conforms:
            raise typer.Exit(WRONG)
        if no_card:
            return
        with progress_bar() as step:
            made = make_card(instances[0], weights(shape, "float32", 0),
                             on_weight=lambda weight, done, total: step(f"{weight.source} {weight.values.shape}", done, total))
        print_card(made, console)
        write(made, card_file, html_file, console)
