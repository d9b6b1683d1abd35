"""`sparseref predict`: would sparsity pay on this model and this machine?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..bench.machine import cores
from .common import WRONG, checked_threads, clean_exit, file_option, progress_bar, say_where
from .models import implementation

FORMATS = ["nmg:2:20:4", "nmg:1:8:16", "nmg:2:8:8", "nmg:2:4:8"]
WITHIN = 0.15
"""Of what was measured: a prediction that is farther off is wrong."""


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=(
        "bert-base, minilm, resnet50, or a Python file that defines load_model and example."))],
    formats: Annotated[list[str], typer.Option("--format", metavar="FORMAT", help=(
        "Of the weights, nmg:2:8:8 or csr:0.9, or a recipe such as nmg-75; may be given several times."))] = FORMATS,
    weights: Annotated[list[str] | None, typer.Option("--weights", metavar="PATTERN", help=(
        "Names of the weights to make sparse, as a shell matches names; may be given several times. Default: PRUNE of the "
        "file, else those of every Linear, and of every Conv2d without groups, that have 1,024 entries."))] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: as many as the process may use cores.")] = None,
    rounds: Annotated[int, typer.Option(min=3, help="Samples of everything.")] = 9,
    check: Annotated[bool, typer.Option("--check", help=(
        "Time the sparse models, too, in the same rounds, and say how far off the prediction is."))] = False,
    json_file: Annotated[Path | None, file_option("Write all figures to this file.", "--json")] = None,
    html_file: Annotated[Path | None, file_option("Write a page with a plot.", "--html")] = None,
) -> None:
    """Predict the latency of a model with sparse weights on this machine: go, no gain, or no-go, before any training.

    The dense model is run, and the time of each layer in it is taken. Each distinct layer is then timed alone, dense and in
    each format, in turns, every output looked at first. What stays dense keeps its time (Amdahl's law); so a prediction is
    the rest plus what the sparse layers take. Beside it stand the quartiles of its samples, and a roofline: the latency if the
    sparse products reached the machine's peak. Weights are pruned in one shot: which entries are stored does not change speed.

    \b
    A model of your own is a Python file:

    \b
      import torch
      from my_project import Model
    \b
      def load_model():                        # the dense model; its weights may be random
          return Model()
    \b
      def example():                           # what one call gets: a tensor, a tuple by position, a dict by keyword
          return torch.randn(1, 3, 224, 224)
    \b
      PRUNE = ["layer*.weight"]                # optional: which weights

    Exit code: 0 predicted, whatever the verdict; 1 with --check where a prediction is off by more than 15 %; 2 refused.

    Examples:

    \b
      sparseref predict bert-base
      sparseref predict my_model.py --format nmg:2:8:8 --format csr:0.9 --threads 1
      sparseref predict resnet50 --check --html resnet50.html
    """
    console = Console()
    with clean_exit():
        threads = threads or cores()
        checked_threads(threads)
        run = implementation("predict")
        with progress_bar() as step:
            written, show, worst = run(model, formats, weights, threads, rounds, check, html_file, json_file, step)
        show(console)
        for path in written:
            say_where(path, console)
        if worst > WITHIN:
            console.print(f"a prediction is off by {worst:.0%}, more than {WITHIN:.0%}", style="red")
            raise typer.Exit(WRONG)
