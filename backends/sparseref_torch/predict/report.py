"""A prediction on the terminal, as data, and as a page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparseref.atomic import write_text
from sparseref.conformance.report.summary import count
from sparseref.drawing import COLOURS, draw
from sparseref.templates import environment

from .predicting import Prediction

FORMAT = "sparseref-prediction-1"
Rows = list[list[str]]


def forecast_rows(prediction: Prediction) -> Rows:
    """A heading, the dense model, then a row a format."""
    checked = any(one.measured is not None for one in prediction.forecasts)
    found = [["format", "density", "predicted ms", "times as fast", "at best ms", *["measured ms", "error"] * checked, ""],
             ["dense", "1", f"{prediction.dense * 1e3:.2f}", "1", "", *["", ""] * checked, ""]]
    for one in prediction.forecasts:
        measured = [] if not checked else ["", ""] if one.measured is None or one.error is None else [
            f"{one.measured * 1e3:.2f}", f"{one.error:+.0%}"]
        found.append([one.format, f"{one.density:.3f}", f"{one.seconds * 1e3:.2f}",
                      f"{one.speed:.2f} ({one.low:.2f} to {one.high:.2f})", f"{one.at_best * 1e3:.2f}", *measured, one.verdict])
    return found


def kind_rows(prediction: Prediction) -> Rows:
    """A heading, then a row a distinct layer, those that take longest first."""
    formats = [one.format for one in prediction.forecasts]
    found = [["layers", "", "weight", "T", "of the time", *formats]]
    for kind in sorted(prediction.kinds, key=lambda kind: -kind.share):
        more = f" and {kind.count - 1} more" * (kind.count > 1)
        found.append([kind.name + more, kind.kind, " x ".join(map(str, kind.shape)), f"{kind.rows}", f"{kind.share:.1%}",
                      *(f"{kind.speeds[text]:.2f}x" for text in formats)])
    return found


def sentences(prediction: Prediction) -> list[str]:
    """What bounds the gain, where it ends, and what the figures are."""
    machine = prediction.machine
    densities = ", ".join(f"{at:.2f}" for at in prediction.break_even)
    rest = prediction.rest / prediction.dense
    ends = f"as fast as dense at density {densities}" if densities else "break-even lies outside these formats' densities"
    return [f"{1 - rest:.0%} of the dense model's time is in the layers that become sparse; without them it would be "
            f"{prediction.limit:.1f} times as fast, which no format exceeds", ends,
            f"predicted: each layer takes the share of its time in the dense model that it takes alone, beside the dense one; "
            f"in brackets the middle half of {prediction.rounds} rounds",
            f"at best: sparse products at {machine.peak / 1e9:.0f} GFLOP/s, the peak {machine.peak_by}, or weights at "
            f"{machine.read / 1e9:.0f} GB/s from memory, all else as it is",
            f"{machine.processor}, {count(machine.threads, 'thread')}",
            *[f"not in it: {', '.join(prediction.unmet)}, which no layer that was timed has" for _ in prediction.unmet[:1]]]


def print_prediction(prediction: Prediction, console: Console) -> None:
    """Both tables, then what they mean."""
    for title, rows in ((f"{prediction.model}: latency of one call", forecast_rows(prediction)),
                        ("layers that become sparse, alone: times as fast as dense", kind_rows(prediction))):
        table = Table(*rows[0], title=title, title_justify="left")
        for cells in rows[1:]:
            table.add_row(*map(Text, cells))
        console.print(table)
    for line in sentences(prediction):
        console.print(Text(line), soft_wrap=True)


def write_json(prediction: Prediction, path: Path) -> Path:
    """Everything that was predicted, in seconds."""
    return write_text(path, json.dumps({"format": FORMAT, **asdict(prediction)}, indent=1, allow_nan=False) + "\n")


def write_html(prediction: Prediction, path: Path) -> Path:
    """A page with a plot.  Errors: MissingDependency."""
    page = environment(__package__ or "", ".", "the page of a prediction").get_template("page.html.j2")
    tables = {"Latency of one call": forecast_rows(prediction), "Layers alone, times as fast as dense": kind_rows(prediction)}
    plot = draw(10, 1.4 + 0.5 * len(prediction.forecasts), _latency, prediction)
    return write_text(path, page.render(name=prediction.model, sentences=sentences(prediction), plot=plot, tables=tables))


def _latency(axes: Any, prediction: Prediction) -> None:
    """A bar a format: what stays and what becomes sparse; a mark where it was measured, and where the roofline lies."""
    rest = prediction.rest * 1e3
    bars = [("dense", prediction.dense * 1e3), *((one.format, one.seconds * 1e3) for one in prediction.forecasts)]
    for at, (_, total) in enumerate(bars):
        axes.barh(at, rest, 0.6, color=COLOURS[-1], label="stays as it is" if at == 0 else None)
        axes.barh(at, total - rest, 0.6, left=rest, color=COLOURS[0], label="layers that become sparse" if at == 0 else None)
        axes.text(total, at, f"  {total:.1f}", va="center")
    for at, one in enumerate(prediction.forecasts, 1):
        axes.plot(one.at_best * 1e3, at, "|", color="#0f172a", markersize=18, label="at best" if at == 1 else None)
        if one.measured is not None:
            axes.plot(one.measured * 1e3, at, "D", color=COLOURS[1], label="measured" if at == 1 else None)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds of one call")
    axes.legend(loc="lower right", fontsize=8)
