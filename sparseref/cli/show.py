"""`sparseref show`: a picture of a format, or what the specification says under a name."""

from __future__ import annotations

import json
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from .. import spec
from ..array import SparseArray
from ..atomic import write_text
from ..card import format_at, random_weight
from ..card.breakeven import sparsifier_for
from ..coding import encode
from ..conformance.wire import to_json
from ..registry import layouts
from ..render import svg, text
from ..selecting import select
from ..spec import Clause
from .common import clean_exit, file_option, parse_shape, say_where

DENSITY = 0.3
"""Of a format that leaves it free: sparse enough to see where entries lie."""


def show(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=(
        "A format (nmg:2:4:2, csr:0.7, my_module:MyLayout:4), a clause (NMG-C4), or a name of the specification: a layout, "
        "a sparsifier, an operator, a group of clauses (nmg, scalar-fraction, linear, core)."))],
    shape: Annotated[str, typer.Option(metavar="RxC", help="The shape of the array that is drawn.")] = "8x24",
    slots: Annotated[bool, typer.Option("--slots", help="Number the slots in the order in which they are stored.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the random values that are drawn.")] = 0,
    svg_file: Annotated[Path | None, file_option("Write the picture as SVG, too.", "--svg")] = None,
    json_file: Annotated[Path | None, file_option("Write what is shown as data, too.", "--json")] = None,
) -> None:
    """Draw a format, or read what the specification says.

    Examples:

    \b
      sparseref show nmg:2:4:2 --shape 8x12           n:m:g, each entry the letter of its pattern
      sparseref show nmg:2:4:2 --shape 8x12 --svg nmg.svg
      sparseref show bsr:2:4:0.6 --slots              blocks, in the order in which they are stored
      sparseref show NMG-C4                           one clause
      sparseref show linear                           an operator and its clauses
    """
    console = Console()
    with clean_exit():
        about, clauses = _about(what), _clauses(what)
        if about or clauses:
            if svg_file is not None:
                raise typer.BadParameter(f"{what} is text; a picture needs a format, e.g. nmg:2:4:2", param_hint="--svg")
            _print_text(about, clauses, console)
            data: Any = {"name": what, "description": about, "clauses": [asdict(clause) for clause in clauses]}
        else:
            a = example(what, parse_shape(shape), seed)
            console.print(Text(text(a, slots)), soft_wrap=True)
            data = to_json(a)
        if svg_file is not None:
            say_where(write_text(svg_file, svg(a)), console)
        if json_file is not None:
            say_where(write_text(json_file, json.dumps(data, indent=1) + "\n"), console)


def example(what: str, shape: tuple[int, ...], seed: int) -> SparseArray:
    """A format, a shape -> random numbers stored in it."""
    if ":" not in what and what not in layouts.names():
        raise typer.BadParameter(f"nothing is called {what!r}{_nearest(what)}")
    sparsifier, layout = format_at(what)
    values = random_weight(shape, np.dtype(np.float32), seed).values
    chosen = sparsifier or sparsifier_for(layout, DENSITY)
    return encode(values, layout, select(values, chosen, rng=np.random.default_rng(seed)))


def _nearest(what: str) -> str:
    """A name that nothing has -> a question about those that come close."""
    known = [*layouts.names(), *spec.clauses(), *spec.groups(), *spec.operator_descriptions(), *spec.sparsifier_descriptions()]
    near = get_close_matches(what, known) or get_close_matches(what.upper(), known)
    return f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""


def _about(what: str) -> dict[str, Any]:
    """A layout's, operator's or sparsifier's bare name -> its description in the specification, else {}."""
    for descriptions in (spec.layout_descriptions(), spec.operator_descriptions(), spec.sparsifier_descriptions()):
        if what in descriptions:
            return descriptions[what]
    return {}


def _clauses(what: str) -> list[Clause]:
    """A clause's id, a group's name or an operator's -> the clauses."""
    every = spec.clauses()
    if what.upper() in every:
        return [every[what.upper()]]
    if what in spec.operator_descriptions():
        own = what.replace("_", "").upper()                    # to_dense: TODENSE-1; multiply: MUL-1
        return [clause for clause in every.values()
                if clause.group.startswith("operators-") and own.startswith(clause.id.split("-")[0])]
    return [clause for clause in every.values() if clause.group == what]


def _print_text(about: dict[str, Any], clauses: list[Clause], console: Console) -> None:
    if about:
        console.print(Text(about.get("title", about["name"]), style="bold"))
    for key, value in about.items():
        if key in ("picture", "example"):
            console.print(Text(f"{key}:"), Text(str(value).rstrip("\n")), sep="\n", soft_wrap=True)
        elif key not in ("title", "name"):
            console.print(Text(f"{key}: "), Text(_flat(value)), sep="")
    for clause in clauses:
        console.print()
        console.print(Text(clause.id, style="bold cyan"), Text(f"since {clause.since}, {clause.group}", style="dim"))
        console.print(Text(clause.text))
        if clause.errors:
            console.print(Text(f"refuses with {', '.join(clause.errors)}", style="dim"))
        console.print(Text(clause.why, style="italic"))


def _flat(value: Any) -> str:
    """What stands in a description -> one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_flat(item)}" for key, item in value.items())
    return "; ".join(map(_flat, value)) if isinstance(value, list) else " ".join(str(value).split())
