"""explain(model, inputs): which implementation runs each call on a sparse tensor, where, why, and at what cost."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from sparseref import FallbackWarning

from .trace import Record, recording


@torch.no_grad()
def explain(model: nn.Module, *inputs: Any, **named: Any) -> list[Record]:
    """A model and its inputs -> one Record for each operator that meets a sparse tensor; the model runs once, densely or not.

    Fallbacks are listed instead of warned about.  Source: DSP-5.
    """
    handles: list[Any] = []
    with recording() as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(lambda _, __, name=name: kept.modules.append(name)))
            handles.append(module.register_forward_hook(lambda *_: kept.modules.pop() and None, always_call=True))
        try:
            model(*inputs, **named)
        finally:
            for handle in handles:
                handle.remove()
    return kept.records
