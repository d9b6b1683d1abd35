"""The command line, one command a file."""

import typer

from ..demo.command import demo
from .bench import bench
from .card import card
from .conform import conform
from .poc import poc
from .predict import predict
from .show import show
from .sparsify import sparsify
from .validate import validate
from .vectors import vectors

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  rich_markup_mode=None,                       # rich would read the middle of n:m:g as an emoji
                  help="""The executable specification of sparsity for neural networks.

    New here? `sparseref show nmg:2:4:2 --shape 8x12` draws a format, `sparseref demo` runs one on a real model.

    You have a format: `sparseref validate my_module:MyLayout`. You have a backend: `sparseref conform --backend NAME`.

    You have a model: `sparseref predict MODEL` says how fast it would be on this machine, `sparseref sparsify MODEL nmg-75
    -o FILE` makes it sparse, `sparseref poc TASK` trains it and finds out whether that pays. `sparseref bench --peers` times
    linears on this machine beside everybody else's.

    Exit codes: 0 good, 1 nonconforming or failed, 2 bad input, 130 interrupted.""")
for _command in (demo, show, card, validate, conform, vectors, sparsify, poc, predict, bench):
    app.command()(_command)

__all__ = ["app"]
