"""The plots of a card, each an SVG text that needs no other file."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..drawing import COLOURS, draw
from .result import Card, Measurement
from .speed import against_dense, backends_of

OWN, GREY, INDEX, PADDING, DENSE = "#2563eb", "#94a3b8", "#d97706", "#fca5a5", "#1e293b"


def all_plots(card: Card) -> dict[str, str]:
    """Card -> {what the plot shows: <svg ...>}.  Errors: MissingDependency without matplotlib."""
    many = max(len(card.measurements), 1)
    speed = draw(10, 3.8, _speed, card, columns=2) if card.speed and card.speed.measured else ""
    return {"speed": speed, "energy": draw(10, 0.7 + 0.3 * sum(2.2 + len(m.rivals) for m in card.measurements), _energy, card),
            "storage": draw(10, 1.4 + 0.8 * many, _storage, card), "break_even": draw(7, 4, _break_even, card)}


def _energy(axes: Any, card: Card) -> None:
    """One bar a choice, the most that can be kept on top, the layout's own in blue."""
    y, ticks = 0.0, []
    for measurement in card.measurements:
        axes.text(0, y, _title(measurement, ", "), va="center", fontsize=9, color="#475569")
        bars = [(rival.name, rival.energy, GREY) for rival in measurement.rivals] + [(card.layout, measurement.energy, OWN)]
        for name, energy, colour in sorted(bars, key=lambda bar: -bar[1]):
            y += 1
            axes.barh(y, energy, 0.78, color=colour)
            axes.text(energy + 0.006, y, f"{energy:.4f}", va="center", fontsize=9)
            ticks.append((y, name))
        y += 1.2
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.set(xlim=(0, 1.06), ylim=(y - 0.6, -0.6), xlabel="energy kept: sum of |kept| over sum of |all|")
    axes.tick_params(axis="y", length=0)


def _storage(axes: Any, card: Card) -> None:
    """Bits per entry: values, indices, padding; a line where dense lies."""
    for y, measurement in enumerate(card.measurements):
        size = _size(measurement)
        values = next(field.bits for field in measurement.fields if field.name == "values") / size
        padding = values * measurement.padding_share
        parts = (("stored values", values - padding, OWN), ("indices", measurement.bits_per_entry - values, INDEX),
                 ("values of padding slots", padding, PADDING))
        left = 0.0
        for label, width, colour in parts:
            axes.barh(y, width, 0.6, left=left, color=colour, label=label if y == 0 else None)
            left += width
        axes.text(left, y, f"  {left:.2f}", va="center")
        axes.vlines(measurement.dense_bits / size, y - 0.42, y + 0.42, colors=DENSE, linewidth=2,
                    label="dense" if y == 0 else None)
    axes.set_yticks(range(len(card.measurements)), [_title(measurement, "\n") for measurement in card.measurements])
    axes.invert_yaxis()
    axes.set_xlabel("bits per entry, zeros counted")
    axes.set_xlim(left=0, right=axes.get_xlim()[1] * 1.08)
    axes.legend(loc="lower center", ncols=4, bbox_to_anchor=(0.45, 1.0))


def _break_even(axes: Any, card: Card) -> None:
    """The first weight: bits per entry over density; dense and csr are lines, the layout a curve, or a point where fixed."""
    measurement = card.measurements[0]
    dense, own = measurement.dense_bits / _size(measurement), measurement.bits_per_entry
    axes.axhline(dense, color=DENSE, linewidth=1.5, label="dense")
    for even in measurement.break_even:
        if even.against == "csr" and measurement.density:
            axes.axline((0, 0), (measurement.density, own / even.ratio), color=INDEX, label="csr")
        if even.density is not None:
            height = dense if even.against == "dense" else own
            axes.plot([even.density, even.density], [0, height], ":", color=GREY)
            axes.text(even.density, height, f"{even.density:.3f} ", ha="right", va="bottom", fontsize=9, color="#475569")
            if not measurement.curve:
                axes.plot([even.density, measurement.density], [own, own], ":", color=OWN)
    if measurement.curve:
        axes.plot(*zip(*measurement.curve, strict=True), "o-", color=OWN, markersize=4, label=card.layout)
    axes.plot(measurement.density, own, "D", color=OWN, markersize=8, label=None if measurement.curve else card.layout)
    axes.set(xlim=(0, 1.02), ylim=(0, 2.2 * dense), xlabel="density", ylabel="bits per entry", title=_title(measurement, ", "))
    axes.legend(loc="upper left")


def _speed(axes: Any, card: Card) -> None:
    """Over tokens and over density, times as fast as the fastest dense product; above the line it pays."""
    speed = card.speed
    assert speed is not None                                   # the caller has looked
    by_tokens, by_density = axes
    for at, backend in enumerate(backends_of(speed.measured)):
        for number, shape in enumerate(dict.fromkeys(one.shape for one in speed.measured)):
            points = [(float(one.tokens), against_dense(one, backend)) for one in speed.measured if one.shape == shape]
            by_tokens.plot(*zip(*points, strict=True), ("-o", "--s", ":^", "-.D")[number % 4], color=COLOURS[at], markersize=4,
                           label=f"{backend}, {shape[0]} x {shape[1]}")
        if speed.family:
            points = [(one.density, against_dense(one, backend)) for one in speed.family]
            by_density.plot(*zip(*points, strict=True), "-o", color=COLOURS[at], markersize=4, label=backend)
    for each, name in ((by_tokens, "tokens"), (by_density, "density")):
        each.axhline(1, color=DENSE, linewidth=1)
        each.set(xlabel=name, ylabel="times as fast as dense", yscale="log")
        if each.get_legend_handles_labels()[0]:
            each.legend(fontsize=7)
    by_tokens.set_xscale("log", base=2)


def _size(measurement: Measurement) -> int:
    return max(int(np.prod(measurement.shape)), 1)


def _title(measurement: Measurement, between: str) -> str:
    return f"{measurement.source}{between}{' x '.join(map(str, measurement.shape))} {measurement.dtype}"
