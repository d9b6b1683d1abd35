"""`sparseref poc`: does sparsity pay on this model and this task?"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .common import clean_exit, file_option, progress_bar, say_where
from .models import implementation


def poc(
    task: Annotated[str, typer.Argument(metavar="TASK", help=(
        "minilm-bbc, resnet-digits, or a Python file that defines load_model, train_batches and evaluate."))] = "minilm-bbc",
    formats: Annotated[list[str] | None, typer.Option("--format", metavar="FORMAT", help=(
        "A format to try, such as nmg:2:8:8 or csr:0.9; may be given several times. Default: those of the task."))] = None,
    recipes: Annotated[list[str] | None, typer.Option("--recipe", metavar="RECIPE", help=(
        "A recipe to try: a TOML file, or a shipped one such as nmg-75; its schedule runs while the model trains."))] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Train each format so many times.")] = 3,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", min=1, help=(
        "Training steps of each run, the dense control's too. Default: those of the task."))] = None,
    quick: Annotated[bool, typer.Option("--quick", help=(
        "Ten steps and one seed: shows that all works; the figures say little."))] = False,
    html: Annotated[Path, file_option("The report: a page that needs no other file.", "--html")] = Path("reports/poc/poc.html"),
    json_file: Annotated[Path | None, file_option("Write all figures to this file, too.", "--json")] = None,
    work: Annotated[Path, typer.Option("--work", metavar="DIR", help=(
        "Where measurements are kept as they are made, so that an interrupted run goes on."))] = Path("reports/poc/work"),
) -> None:
    """Find out whether sparsity pays: quality lost, latency and storage gained, and a verdict.

    The trained dense model is compared with itself after the same extra training, and with each format pruned in one shot and
    then trained, over several seeds. Quality is what the task's evaluate says, on data that is never trained on. Latency is
    the median and the 95th percentile of a forward pass, all models in turn, each output checked before it is timed. Storage
    is the whole model with all indices and padding.

    \b
    A task of your own is a Python file:

    \b
      import torch
      from my_project import Model, train_set, test_set
    \b
      def load_model():                        # the trained dense model
          model = Model()
          model.load_state_dict(torch.load("model.pt", weights_only=True))
          return model
    \b
      def train_batches(seed):                 # without end; what the model is called with
          generator = torch.Generator().manual_seed(seed)
          while True:
              yield train_set[torch.randint(len(train_set), (32,), generator=generator)]
    \b
      def evaluate(model):                     # larger is better
          inputs, labels = test_set
          with torch.no_grad():
              return (model(inputs).argmax(1) == labels).float().mean().item()

    It may also define loss(model, teacher, batch) (default: imitate the dense model's outputs, no labels needed), PRUNE (name
    patterns of the weights), STEPS, FORMATS, METRIC, optimizer(parameters, steps), example().

    Exit code: 0 measured, whatever the verdict; 2 the request was refused; 130 interrupted, and what was measured is kept.

    Examples:

    \b
      sparseref poc minilm-bbc                          more than an hour on two cores
      sparseref poc minilm-bbc --quick --seeds 1        a few minutes
      sparseref poc my_task.py --format nmg:2:8:8 --format csr:0.9 --json figures.json
    """
    console = Console()
    with clean_exit("what was measured is kept, and the same command goes on from there"):
        run = implementation("poc")
        command = shlex.join(["sparseref", *sys.argv[1:]])
        with progress_bar() as step:
            written, show = run(task, [*(formats or ()), *(recipes or ())], 1 if quick else seeds, steps, quick, work, html,
                                json_file, step, command)
        show(console)
        for path in written:
            say_where(path, console)
