"""What `sparseref poc` runs: measure, write the page and the figures, and hand over what the terminal shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from sparseref.atomic import write_text

from .report.page import to_html, to_json
from .report.terminal import print_study
from .run import Progress, Run
from .task import load_task


def run(task: str, forms: Sequence[str], seeds: int, steps: int | None, quick: bool, work: Path, html: Path,
        json_file: Path | None, progress: Progress, command: str) -> tuple[list[Path], Callable[[Console], None]]:
    """The command's options -> the files that were written, and what prints the study.

    Errors: POC-1 to POC-4, RECIPE-1 to RECIPE-6, those of the formats; MissingDependency.
    """
    study = Run(load_task(task), forms, seeds, steps, quick, work, progress, command).study()
    written = [write_text(html, to_html(study))]
    if json_file is not None:
        written.append(write_text(json_file, json.dumps(to_json(study), indent=1) + "\n"))
    return written, partial(print_study, study)
