"""The plots of the report, each an SVG text that needs no other file."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from sparseref.drawing import draw

from .variant import CALIBRATED, CONTROL, DENSE, ONE_SHOT, TRAINED, Study, Variant
from .verdict import wanted

COLOURS = {DENSE: "#8a919c", CONTROL: "#475569", ONE_SHOT: "#d97706", CALIBRATED: "#a16207", TRAINED: "#2563eb"}
FLOOR = "#dc2626"


def all_plots(study: Study) -> dict[str, str]:
    """name -> <svg ...>; a plot for which nothing was measured is left out."""
    painted = {"quality": draw(8, 1.2 + 0.42 * len(study.variants), quality, study), "storage": draw(4.6, 3.6, storage, study)}
    if any(study.time(one) is not None for one in study.variants):
        painted["latency"] = draw(8, 1.2 + 0.42 * len(study.variants), latency, study)
        painted["trade"] = draw(4.6, 3.6, trade, study)
    if any(len(one.curve) > 1 for one in study.variants):
        painted["curve"] = draw(8, 3.4, curve, study)
    return painted


def quality(axes: Axes, study: Study) -> None:
    """Each variant's mean score, every seed a dot, and the dense score to the right of which nothing is lost."""
    for place, one in enumerate(study.variants):
        axes.barh(place, one.score, 0.62, color=COLOURS[one.stage], xerr=one.uncertainty or None, capsize=4)
        axes.plot(one.scores, [place] * len(one.scores), "o", color="white", markeredgecolor="#0f172a", markersize=4, zorder=3)
        _write(axes, place, f"{one.score:.3f}")
    axes.axvline(study.dense.score, color=FLOOR, linewidth=1, linestyle="--")
    _names(axes, study)
    axes.set_xlabel(study.metric)


def latency(axes: Axes, study: Study) -> None:
    """The median, and up to where 95 of 100 calls are done."""
    for place, one in enumerate(study.variants):
        if one.p50 is not None:
            axes.barh(place, one.p50, 0.62, color=COLOURS[one.stage])
            _write(axes, place, f"{one.p50:.2f}")
            if one.p95 is not None:
                axes.hlines(place, one.p50, one.p95, color="#0f172a", linewidth=1.5)
                axes.plot(one.p95, place, "|", color="#0f172a", markersize=10)
    _names(axes, study)
    axes.set_xlabel("milliseconds a call: bar p50, mark p95")


def storage(axes: Axes, study: Study) -> None:
    """Share of the dense storage against share of the dense score: up and to the left is better."""
    _points(axes, study, study.size)
    axes.set_xlabel("storage, of the dense model")


def trade(axes: Axes, study: Study) -> None:
    """Share of the dense time against share of the dense score: up and to the left is better."""
    _points(axes, study, study.time)
    axes.set_xlabel("median latency, of the dense model")


def curve(axes: Axes, study: Study) -> None:
    """The score while the variants train."""
    for number, one in enumerate(one for one in study.variants if len(one.curve) > 1):
        steps, scores = zip(*one.curve, strict=True)
        axes.plot(steps, scores, "o-", markersize=4, color=f"C{number}", label=one.name)
    axes.axhline(study.loaded.score, color=COLOURS[DENSE], linewidth=1, label="dense, as loaded")
    axes.set(xlabel="training steps", ylabel=study.metric)
    axes.legend(loc="lower right")


def _points(axes: Axes, study: Study, share: Callable[[Variant], float | None]) -> None:
    for one in study.variants:
        x = share(one)
        if x is not None:
            axes.errorbar(x, study.kept(one), study.error(one) or None, fmt="o", color=COLOURS[one.stage], capsize=3)
            axes.annotate(one.format if one.stage != CONTROL else "", (x, study.kept(one)), xytext=(6, 4),
                          textcoords="offset points", fontsize=8)
    for floor in sorted({wanted(one.sparsity) for one in study.variants if one.sparsity}):
        axes.axhline(floor, color=FLOOR, linewidth=1, linestyle="--")
    axes.axvline(1, color=COLOURS[DENSE], linewidth=1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(left=0)
    axes.margins(x=0.12, y=0.12)
    axes.set_ylabel(f"{study.metric}, of dense")


def _write(axes: Axes, place: int, text: str) -> None:
    """Into the bar at a place."""
    axes.text(0.01, place, text, transform=axes.get_yaxis_transform(), va="center", color="white", weight="bold")


def _names(axes: Axes, study: Study) -> None:
    axes.set_yticks(range(len(study.variants)), [one.name for one in study.variants])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
