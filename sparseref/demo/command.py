"""`sparseref demo`: the command; what it computes is in run.py, what it shows in terminal.py and report.py."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..errors import MissingDependency, SpecError
from .packages import check_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import run

REFUSED, WRONG, INTERRUPTED = 2, 1, 130
"""Exit codes: the request makes no sense or a package is missing; the verification failed; Ctrl-C."""


def demo(
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help=(  # noqa: A002 - the user's word
        "How to store the weights: a layout with its parameters, and for one that takes any pattern the share to drop. "
        "nmg:2:8:8, nm:2:4, vnm:8:2:8, csr:0.75, bsr:4:4:0.75, masked:0.75, ..."))] = "nmg:2:8:8",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help=(
        "Write all figures to this file, too."))] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help=(
        "Where the report goes: FORMAT.html, a page that needs no other file, and FORMAT.json."))] = Path("reports/demo"),
    backend: Annotated[str, typer.Option("--backend", metavar="NAME", help=(
        "Whose linear layers are verified: torch, reference, or any backend that is installed."))] = "torch",
    articles: Annotated[int | None, typer.Option("--articles", metavar="N", min=2, help=(
        "Search only N articles: quicker, but an easier question with a larger sampling error. Default: all 2,061."))] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help=(
        "Orders the articles: decides which ones --articles N takes and on which two the layers are verified."))] = 0,
) -> None:
    """Make a real sentence encoder sparse, verify every weight and every layer's output, and see what it costs.

    The model is all-MiniLM-L6-v2 with its trained weights. The weights of its 36 Linear layers are pruned in one shot: the
    largest entries that the format can keep stay, nothing is trained afterwards. Each is stored in FORMAT, and then

    \b
    1. must be valid, canonical, and decode to the chosen entries bit for bit;
    2. the backend computes every layer on real activations: each number must
       lie within the error bound that is derived for it (error / bound <= 1);
    3. the dense and the sparse model search 2,061 BBC News articles for the
       one that belongs to a headline.

    The report says, per layer and in total, how much of the weights' magnitude is kept ("energy"), the storage with all
    indices and padding, the worst error / bound, and how many headlines still find their article, with sampling errors.
    It takes a few minutes on two cores. Exit code: 0 verified, 1 a verification failed, 2 the request was refused.

    Examples:

    \b
      sparseref demo                         three of four entries dropped, in nmg:2:8:8
      sparseref demo --format csr:0.75       as many dropped, any pattern
      sparseref demo --format nm:2:4 --articles 300 --json two-four.json
    """
    terminal = Console()
    try:
        check_packages()
        from . import report, run
        from .terminal import show

        with bars() as progress:
            result = run.run_demo(format, backend, articles, seed, progress=progress)
            page = report.write(result, out, json_file)
    except (SpecError, MissingDependency) as refused:
        Console(stderr=True).print(str(refused), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; nothing was written", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    show(result, terminal)
    terminal.print(f"report: {page}", soft_wrap=True, highlight=False)
    if not result.verified:
        raise typer.Exit(WRONG)


@contextmanager
def bars() -> Iterator[run.Progress]:
    """One progress bar a stage, on stderr so that stdout can be piped."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        tasks: dict[str, TaskID] = {}

        def step(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=total)
            shown.update(tasks[stage], completed=done)

        yield step
