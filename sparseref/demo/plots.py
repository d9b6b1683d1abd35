"""The plots of the report, each an SVG text that needs no other file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from ..drawing import draw
from .measures import DENSE_BITS
from .result import DemoResult

DENSE, SPARSE, LIMIT, INDEX, EMPTY, WRONG = "#8a919c", "#2563eb", "#0f172a", "#d97706", "#fca5a5", "#dc2626"
ROLES = {"attention.self.query": "query", "attention.self.key": "key", "attention.self.value": "value",
         "attention.output.dense": "attention output", "intermediate.dense": "up, 384 to 1536",
         "output.dense": "down, 1536 to 384"}
"""The six Linears of a transformer block, by the end of their name, in the order in which they run."""
MARKS = "osD^Pv"
TOP = 20
"""recall@k is drawn for k up to this."""


def quality(axes: Axes, result: DemoResult) -> None:
    """Recall@1 and the mean reciprocal rank, with two standard errors to each side."""
    rows = {"recall@1": result.quality.recall(), "mean reciprocal rank": result.quality.mrr()}
    for offset, model, colour in ((-0.2, 0, DENSE), (0.2, 1, SPARSE)):
        values = [row[model].value for row in rows.values()]
        errors = [2 * row[model].error for row in rows.values()]
        bars = axes.bar(np.arange(len(rows)) + offset, values, 0.36, yerr=errors, capsize=5, color=colour,
                        label=("dense", result.settings.format)[model])
        axes.bar_label(bars, [f"{value:.3f}" for value in values], padding=3)
    axes.set_xticks(range(len(rows)), rows)
    axes.set_ylim(0, 1.08)
    axes.grid(False, axis="x")
    axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.14))


def recall_curve(axes: Axes, result: DemoResult) -> None:
    """How many headlines find their article among the first k."""
    ks = np.arange(1, TOP + 1)
    recalls = [result.quality.recall(int(k)) for k in ks]
    for model, colour in ((0, DENSE), (1, SPARSE)):
        value = np.array([recall[model].value for recall in recalls])
        error = np.array([recall[model].error for recall in recalls])
        axes.fill_between(ks, value - 2 * error, np.minimum(value + 2 * error, 1), color=colour, alpha=0.2, linewidth=0)
        axes.plot(ks, value, "o-", markersize=4, color=colour, label=("dense", result.settings.format)[model])
    axes.set(xlabel="k, how many articles are looked at", ylabel="recall@k", ylim=(0, 1.02), xticks=[1, 5, 10, 15, 20])
    axes.legend(loc="lower right")


def energy(axes: Axes, result: DemoResult) -> None:
    """Energy of every layer, under the most that as many entries can keep."""
    _by_block(axes, result, lambda measures: measures.energy)
    best = [layer.measures.best_energy for layer in result.layers]
    places = np.arange(len(best))
    axes.hlines(best, places - 0.4, places + 0.4, color=LIMIT, linewidth=2, label="best possible")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("energy kept")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="upper center", ncols=7, bbox_to_anchor=(0.5, 1.16), columnspacing=1, handletextpad=0.2)


def error_ratio(axes: Axes, result: DemoResult) -> None:
    """Worst error of every layer's output in units of its bound, on a scale that shows 0, and 100 for all beyond."""
    _by_block(axes, result, lambda measures: min(measures.error_ratio, 100.0))
    axes.axhline(1, color=WRONG, linewidth=1.5)
    axes.text(len(result.layers) - 0.6, 1.1, "the bound: a result above it is wrong", color=WRONG, ha="right", va="bottom")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(-1e-4, max(4, 3 * min(result.total.error_ratio, 100)))
    axes.set_ylabel("error / bound")


def _by_block(axes: Axes, result: DemoResult, value: Callable[..., float]) -> None:
    """One mark a layer, one shape a role, a band for every transformer block."""
    roles = list(ROLES)
    labelled = set()
    for i, layer in enumerate(result.layers):
        role = next(j for j, ending in enumerate(roles) if layer.name.endswith(ending))
        axes.plot(i, value(layer.measures), MARKS[role], color=f"C{role}", markersize=6,
                  label=None if role in labelled else ROLES[roles[role]], zorder=3)
        labelled.add(role)
    blocks = len(result.layers) // len(roles)
    for block in range(0, blocks, 2):
        axes.axvspan(block * len(roles) - 0.5, (block + 1) * len(roles) - 0.5, color="#64748b", alpha=0.08, linewidth=0)
    middles = [(block + 0.5) * len(roles) - 0.5 for block in range(blocks)]
    axes.set_xticks(middles, [f"block {block + 1}" for block in range(blocks)])
    axes.set_xlim(-0.5, len(result.layers) - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.grid(False, axis="x")


def storage(axes: Axes, result: DemoResult) -> None:
    """The whole model in MB, dense and sparse, with what the bytes hold."""
    linears, stored = DENSE_BITS * result.total.entries, result.total.storage
    rest = result.model_bits[0] - linears
    pieces = (("embeddings and all else, dense in both", rest, rest, DENSE), ("values", linears, stored.values, SPARSE),
              ("indices", 0, stored.indices, INDEX), ("slots without an entry", 0, stored.padding, EMPTY))
    left, whole = np.zeros(2), result.model_bits[0] / 8e6
    for label, in_dense, in_sparse, colour in pieces:
        widths = np.array([in_sparse, in_dense]) / 8e6
        bars = axes.barh([0, 1], widths, left=left, color=colour, label=label, height=0.6)
        room = [f"{width:.1f}" if width > 0.03 * whole else "" for width in widths]
        axes.bar_label(bars, room, label_type="center", color="white")
        left += widths
    axes.set_yticks([0, 1], [result.settings.format, "dense"])
    for y, width in enumerate(left):
        axes.text(width + 0.01 * whole, y, f"{width:.1f} MB", va="center")
    axes.set_xlim(0, left.max() * 1.12)
    axes.set_xlabel("MB")
    axes.grid(False, axis="y")
    axes.legend(loc="lower center", ncols=4, bbox_to_anchor=(0.5, 1.0), columnspacing=1)


def corner(axes: Axes, result: DemoResult) -> None:
    """A corner of a real weight before and after: dark is large, white is not stored."""
    before, after = (np.abs(array) for array in (result.corner.dense, result.corner.sparse))
    gap = np.full((before.shape[0], 3), np.nan)
    shown = np.hstack([before, gap, np.where(after == 0, np.nan, after)])
    axes.imshow(shown, cmap="Blues", vmin=-0.15 * before.max(), vmax=before.max(), aspect="equal")
    columns = before.shape[1]
    axes.set_xticks([columns / 2, columns * 1.5 + 3], ["dense: every entry", f"{result.settings.format}: what is stored"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)


SIZES: dict[str, tuple[float, float, Callable[[Axes, DemoResult], None]]] = {
    "quality": (4.6, 3.6, quality), "recall_curve": (5.2, 3.6, recall_curve), "energy": (10, 3.2, energy),
    "storage": (10, 2.2, storage), "error_ratio": (10, 2.8, error_ratio), "corner": (10, 2.0, corner),
}


def all_plots(result: DemoResult) -> dict[str, str]:
    """{name of the plot: <svg ...>}."""
    return {name: draw(width, height, paint, result) for name, (width, height, paint) in SIZES.items()}
