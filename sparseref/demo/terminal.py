"""The result as rich tables for the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from .measures import Measures
from .result import DemoResult


def show(result: DemoResult, terminal: Console) -> None:
    """Print the layers, the quality, and in words what both say."""
    terminal.print(layer_table(result))
    terminal.print(quality_table(result))
    for line in summary(result):
        terminal.print(line, highlight=False, markup=False)
    for layer, problem in result.problems:
        terminal.print(f"{layer}: {problem}", style="red", highlight=False, markup=False)


def layer_table(result: DemoResult) -> Table:
    """One row a layer, and all together; it fits 80 columns."""
    table = _table(f"MiniLM's {len(result.layers)} Linear weights in {result.settings.format}")
    table.add_column("layer", no_wrap=True)
    for heading in ("shape", "energy", "at best", "bits an\nentry", "error /\nbound", "s"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for layer in result.layers:
        name, shape = layer.name.removeprefix("encoder.layer."), "x".join(map(str, layer.shape))
        table.add_row(name, shape, *_cells(layer.measures), style="red" if layer.problems else None)
    table.add_section()
    table.add_row("all", "", *_cells(result.total), style="bold")
    return table


def _cells(of: Measures) -> list[str]:
    return [f"{of.energy:.1%}", f"{of.best_energy:.1%}", f"{of.bits_per_entry:.2f}", f"{of.error_ratio:.3f}",
            f"{of.sparsify_seconds + of.verify_seconds:.1f}"]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def quality_table(result: DemoResult) -> Table:
    """Recall and mean reciprocal rank of both models, and their paired difference."""
    quality = result.quality
    table = _table(f"A headline finds its article among {quality.queries:,}: value ± standard error")
    table.add_column("")
    for heading in ("dense", "sparse", "difference"):
        table.add_column(heading, justify="right")
    rows = {"recall@1": quality.recall(), "recall@10": quality.recall(10), "mean reciprocal rank": quality.mrr()}
    for name, row in rows.items():
        table.add_row(name, str(row[0]), str(row[1]), f"{row[2].value:+.3f} ± {row[2].error:.3f}")
    return table


def summary(result: DemoResult) -> list[str]:
    """The result in sentences."""
    total, (dense, sparse) = result.total, result.model_bits
    verdict = f"NOT VERIFIED: {len(result.problems)} problems"
    if result.verified:
        verdict = f"verified: {len(result.layers)} weights bit for bit, outputs within {total.error_ratio:.3f} of the bound"
    return [
        f"{verdict} (backend {result.settings.backend}, {result.routes})",
        f"energy: {total.energy:.1%} of the magnitude in {total.density:.1%} of the entries; at best {total.best_energy:.1%}",
        f"storage: {total.size:.1%} of the dense Linears; the whole model {sparse / 8e6:.1f} of {dense / 8e6:.1f} MB",
        "quality: pruned in one shot; the training that usually follows is not done here",
    ]
