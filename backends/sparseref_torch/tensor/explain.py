"""explain(model, inputs): which implementation runs each call on a sparse tensor, where, why, and at what cost."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from sparseref import FallbackWarning

from .trace import Record, recording

COLUMNS = ("module", "operation", "layouts", "kind", "kernel", "backend", "cost_bits", "site")


class Explanation(list[Record]):
    """The records in order; printed as a table, each reason once below it."""

    def __str__(self) -> str:
        reasons = list(dict.fromkeys(record.reason for record in self if record.reason))
        rows = [COLUMNS, *map(_cells, self)]
        if not self:
            return "no operator met a sparse tensor"
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *(f"because {reason}" for reason in reasons)])

    def to_json(self) -> str:
        """A list of objects, one a record, with the fields of Record."""
        return json.dumps([asdict(record) for record in self], indent=1)


def _cells(record: Record) -> tuple[str, ...]:
    site = record.site.rpartition("/")[2]
    return (record.module, record.operation, " x ".join(record.layouts), record.kind, record.kernel, record.backend,
            f"{record.cost_bits:,}", site)


def _eagerly() -> AbstractContextManager[Any]:
    """Inside, compiled functions run eagerly; where nothing is compiled, the compiler is not imported for it."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


@torch.no_grad()
def explain(model: nn.Module, *inputs: Any, **named: Any) -> Explanation:
    """A model and its inputs -> one Record for each operator that meets a sparse tensor.

    The model runs once, eagerly also where it is compiled, and is left as it was: buffers and random numbers are put back.
    Fallbacks are listed instead of warned about.  Source: DSP-5.
    """
    model = getattr(model, "_orig_mod", model)                 # what torch.compile wraps
    handles: list[Any] = []
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with recording() as kept, warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", FallbackWarning)
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(lambda _, __, name=name: kept.modules.append(name)))
            handles.append(module.register_forward_hook(lambda *_: kept.modules.pop() and None, always_call=True))
        try:
            with _eagerly():
                model(*inputs, **named)
        finally:
            for handle in handles:
                handle.remove()
            for buffer, before in buffers:
                buffer.copy_(before)
    return Explanation(kept.records)
