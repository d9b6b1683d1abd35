"""What a benchmark found: on the terminal, as JSON, and as one page with plots."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import write_text
from ..conformance.report.summary import count
from ..drawing import draw
from ..templates import environment
from .run import Bench, Measured
from .timing import Timed

if TYPE_CHECKING:
    from rich.console import Console

FORMAT = "sparseref-bench-1"
MAJOR = " (feature-major)"
"""Behind the name of a contender whose x and y lie [K, T] and [O, T]: what a model would pay for turning them is not in it."""


def label(one: Timed) -> str:
    return one.name + MAJOR * one.feature_major


def tables(bench: Bench) -> dict[str, list[list[str]]]:
    """title -> lines of cells, of every shape and token count: names, then for each format what `cell` says."""
    found: dict[str, list[list[str]]] = {}
    def place(each: Measured) -> tuple[Any, ...]:
        return each.shape, each.tokens
    for (shape, tokens), group in groupby(sorted(bench.measured, key=place), key=place):
        of_formats = list(group)
        baseline = of_formats[0].baseline
        title = f"{shape[0]} x {shape[1]}, {count(tokens, 'token')}"
        title += f": times as fast as {baseline.name}" if baseline else ": nothing to compare with"
        lines = [["", *(f"{each.format}, {1 - each.density:.1%}" for each in of_formats)]]
        for at, one in enumerate(of_formats[0].timed):
            lines.append([label(one), *(cell(each, each.timed[at], bench) for each in of_formats)])
        found[title] = lines
    return found


def cell(each: Measured, one: Timed, bench: Bench) -> str:
    """e.g. "4.52 ±3% 0.41 0.2": ratio and spread, the shares of the peak and of what memory gives; the baseline in ms."""
    if one.wrong:
        return one.wrong
    shares = f"{each.operations(one) / bench.machine.peak:.2f} {each.bytes(one) / bench.machine.read:.2f}"
    what = f"{one.median * 1e3:.3f} ms" if one is each.baseline else f"{each.speed(one):.2f}x"
    return f"{what} ±{one.spread:.0%}  {shares}"


def about(bench: Bench) -> list[str]:
    """What the figures mean, and who is missing."""
    machine = bench.machine
    return [f"{machine.processor}, {count(machine.threads, 'thread')}, medians of {bench.rounds}, in turns; peak "
            f"{machine.peak / 1e9:.0f} GFLOP/s {machine.peak_by}, one thread reads {machine.read / 1e9:.0f} GB/s from memory",
            "each: ratio, middle half of the samples, share of the peak (stored entries; of dense products all), share of what "
            "memory gives (above 1: a cache gave it)",
            ", ".join(f"{name} {version}" for name, version in bench.versions.items()),
            *(f"{name} is missing: {why}" for name, why in bench.missing.items())]


def print_bench(bench: Bench, console: Console) -> None:
    """A table a shape and token count, then what they mean and who is missing."""
    from rich.table import Table
    from rich.text import Text

    for title, lines in tables(bench).items():
        table = Table(*lines[0], title=title)
        for cells in lines[1:]:
            table.add_row(*map(Text, cells))
        console.print(table)
    for line in (*about(bench), *bench.ours_wrong):
        console.print(Text(line), soft_wrap=True)


def write_json(bench: Bench, path: Path) -> None:
    """Every sample; what could not be timed has none, and says why."""
    data = {"format": FORMAT, **asdict(bench), "measured": list(map(data_of, bench.measured))}
    for each, measured in zip(data["measured"], bench.measured, strict=True):
        for one, timed in zip(each["timed"], measured.timed, strict=True):
            one["share_of_peak"] = measured.operations(timed) / bench.machine.peak if timed.seconds else None
            one["share_of_memory"] = measured.bytes(timed) / bench.machine.read if timed.seconds else None
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def data_of(measured: Measured) -> dict[str, Any]:
    """One problem as data, with ratios; what is not a number is None."""
    data = asdict(measured)
    for one, timed in zip(data["timed"], measured.timed, strict=True):
        one["error_over_bound"] = one["error_over_bound"] if math.isfinite(one["error_over_bound"]) else None
        one["ratio"] = measured.speed(timed) if measured.baseline and timed.seconds else None
    return data


def write_html(bench: Bench, path: Path) -> None:
    """Tables, and two plots a shape and token count.  Errors: MissingDependency."""
    templates = environment("sparseref.bench", ".", "the page of a benchmark")
    page = templates.get_template("page.html.j2").render(tables=tables(bench), about=[*about(bench), *bench.ours_wrong],
                                                         plots=list(plots(bench)))
    write_text(path, page)


def plots(bench: Bench) -> Iterable[str]:
    """<svg ...>: speed against density, and energy against speed, a pair for each shape and token count.

    Errors: MissingDependency without matplotlib.
    """
    for shape, tokens in dict.fromkeys((each.shape, each.tokens) for each in bench.measured):
        group = [each for each in bench.measured if (each.shape, each.tokens) == (shape, tokens)]
        yield draw(12, 4.5, _speed_and_energy, group, columns=2)


def _speed_and_energy(axes: Any, group: list[Measured]) -> None:
    by_density, by_energy = axes
    for at, one in enumerate(group[0].timed):
        points = sorted((each.density, each.speed(each.timed[at]), each.energy) for each in group)
        points = [point for point in points if math.isfinite(point[1])]
        if not points:
            continue
        density, speed, energy = zip(*points, strict=True)
        style = "--" if one.dense else ":" if one.feature_major else "-"
        by_density.plot(density, speed, style, marker="o", label=label(one))
        if not one.dense:
            by_energy.plot(speed, energy, style, marker="o", label=label(one))
    by_density.set(xlabel="density", ylabel="times as fast as the dense product", yscale="log",
                   title=f"{group[0].shape[0]} x {group[0].shape[1]}, {group[0].tokens} tokens")
    by_energy.set(xlabel="times as fast as the dense product", ylabel="energy kept of random weights", xscale="log")
    by_density.legend(fontsize=7, ncols=2)
