"""How long a forward pass takes: all models in turn in one process, each output looked at before it is timed."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from sparseref import SpecError

from ..export import dense_copy
from .task import Batch, call, first_tensor

SLACK = 8
"""A sparse model may lie so many times farther from the float64 result than the dense model with the same weights does: both
add the same products up, in orders of their own, so their errors are alike and differ by a small factor."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds: the median, and what 95 of 100 calls stay below."""

    p50: float
    p95: float


@torch.inference_mode()
def latencies(models: Mapping[str, nn.Module], batch: Batch, rounds: int = 30, warm_up: int = 3,
              on_round: Any = lambda done: None) -> dict[str, Latency]:
    """models by name, what to call them with -> the latency of each; a wrong output is not timed.

    Errors: POC-4 for a model that does not compute what its weights, decoded, compute.
    """
    for name, model in models.items():
        check(name, model, batch)
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(-warm_up, rounds):
        for name, model in models.items():
            start = perf_counter()
            call(model, batch)
            if turn >= 0:
                times[name].append((perf_counter() - start) * 1e3)
        on_round(turn + 1 + warm_up)
    return {name: Latency(*np.percentile(taken, (50, 95)).tolist()) for name, taken in times.items()}


def check(name: str, model: nn.Module, batch: Batch) -> None:
    """Refuse a model whose output is farther from that of its decoded weights than rounding explains."""
    decoded = dense_copy(model)
    exact = first_tensor(call(deepcopy(decoded).double(), _double(batch)))
    ours, theirs = ((first_tensor(call(one, batch)).double() - exact).abs().max().item() for one in (model, decoded))
    least = float(torch.finfo(torch.float32).eps) * exact.abs().max().item()               # where theirs is 0 by luck
    allowed = SLACK * max(theirs, least)
    if not ours <= allowed:                                                                # POC-4
        raise SpecError("POC-4", f"{name} computes something else than its weights say; it is not timed.",
                        wanted=f"an error of at most {allowed:.3g}, as rounding explains", given=f"{ours:.3g}",
                        fix="sparseref conform shows where a backend differs")


def _double(batch: Batch) -> Any:
    return tree_map_only(Tensor, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, batch)
