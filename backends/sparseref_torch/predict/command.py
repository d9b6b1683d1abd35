"""What `sparseref predict` runs: the dense model, the same made sparse by each format, measurements, and the prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from sparseref.bench.contender import gather
from sparseref.bench.machine import measure as measure_machine
from sparseref.bench.run import only_threads

from ..poc.pruning import prune
from .measuring import measure
from .predicting import predict
from .report import print_prediction, write_html, write_json
from .subject import load_subject

Progress = Callable[[str, int, int], None]


def run(model: str, formats: Sequence[str], patterns: Sequence[str] | None, threads: int, rounds: int, check: bool,
        html: Path | None, json_file: Path | None, progress: Progress,
        ) -> tuple[list[Path], Callable[[Console], None], float]:
    """The command's options -> the files that were written, what prints the prediction, and its worst error if it was checked.

    Errors: PREDICT-1, PREDICT-2, POC-4, BUILD-1, RECIPE-1 to RECIPE-6, those of the formats; MissingDependency.
    """
    torch.set_num_threads(threads)
    subject = load_subject(model, patterns)
    sparse = {}
    for done, text in enumerate(formats):
        progress(f"making it {text}", done, len(formats))
        sparse[text] = prune(deepcopy(subject.model), subject.patterns, text).eval()
    with only_threads(threads):
        samples = measure(subject.model, sparse, subject.batch, rounds, check,
                          lambda done, total: progress("measuring", done, total))
        machine = measure_machine(threads, gather().fma_peak)
    prediction = predict(subject.name, samples, machine)
    written = [write(prediction, path) for write, path in ((write_json, json_file), (write_html, html)) if path is not None]
    return written, partial(print_prediction, prediction), prediction.worst_error
