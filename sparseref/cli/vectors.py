"""`sparseref vectors`: does the reference still give what the frozen vectors say?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..atomic import write_text
from .common import WRONG, clean_exit, file_option, say_where


def vectors(
    json_file: Annotated[Path | None, file_option("Write what was found as data.", "--json")] = None,
) -> None:
    """Check the frozen vectors against the reference.

    Files are compared with their hashes, expectations with what the reference gives; nothing is overwritten. A vector is a
    call with what the specification says it gives, as JSON that any language reads (spec/vectors/README.md). A difference
    means that text, vector or reference is wrong: the text outranks the vector, the vector the reference. Exit code: 0 no
    difference, 1 a difference, or no vectors at all.

    Example:

    \b
      sparseref vectors --json vectors.json
    """
    console = Console()
    with clean_exit():
        from ..conformance.vectors import check, load

        frozen, differences = load(), check()
        positive = sum(vector.kind == "positive" for vector in frozen)
        by_hand = sum(vector.by_hand for vector in frozen)
        covered = {clause for vector in frozen for clause in vector.clauses}
        negative = len(frozen) - positive
        for difference in differences:
            console.print(difference, style="red", markup=False, highlight=False)
        console.print(f"{len(frozen)} vectors of {len(covered)} clauses: {positive} positive, {negative} negative, "
                      f"{by_hand} derived by hand; {len(differences)} differences", highlight=False)
        if json_file is not None:
            data = {"vectors": len(frozen), "clauses": len(covered), "positive": positive, "negative": negative,
                    "by_hand": by_hand, "differences": differences}
            write_text(json_file, json.dumps(data, indent=1) + "\n")
            say_where(json_file, console)
        if differences or not frozen:
            raise typer.Exit(WRONG)
