"""Which nodes of a graph may change what others read: nothing may be moved across them.

Whatever is not known to leave everything as it is counts as one that does not.
"""

from __future__ import annotations

import builtins
import inspect
import math
import operator
import re
from functools import cache
from typing import Any

import torch
from torch import _ops, nn
from torch.fx import Node

from . import convolutions, steps

HARMLESS = (steps.linears, convolutions.convolution, convolutions.max_pool, torch._C._log_api_usage_once)
"""What was fused already, and what torchvision writes between."""
COUNTS = re.compile(r".*(batch|instance)_norm.*")
"""Their running statistics, though no schema says so."""
PURE_MODULES = (math.__name__, operator.add.__module__, builtins.__name__)
TORCH_IN_C = re.compile(r"torch|torch\._C\._(nn|special|fft|linalg)")
TORCH_IN_PYTHON = (nn.functional.__name__, "torch.functional", "torch._jit_internal")
"""Of other functions of torch in Python, such as those that enter autocast, most are no functions of tensors."""
CHANGES_ITS_FIRST = re.compile(
    r".*[^_]_|__(i(add|sub|mul|matmul|truediv|floordiv|mod|pow|and|or|xor|lshift|rshift)|(set|del)item)__")
"""Names of methods and functions: add_, _foreach_add_, __iadd__."""


def may_change(node: Node) -> bool:
    """Whether running it may change a tensor that was there before, or how those after it are computed."""
    if node.op in ("placeholder", "get_attr", "output"):
        return False
    if node.op == "call_method":
        return bool(CHANGES_ITS_FIRST.fullmatch(str(node.target)))
    if node.op != "call_function" or node.kwargs.get("out") is not None:
        return True
    target = node.target
    if target in HARMLESS:
        return False
    name, module = getattr(target, "__name__", ""), getattr(target, "__module__", None) or ""
    if isinstance(target, _ops.OpOverload):
        return bool(COUNTS.fullmatch(name)) or bool(target._schema.is_mutable)
    if isinstance(target, _ops.OpOverloadPacket):
        return bool(COUNTS.fullmatch(name)) or any(getattr(target, one)._schema.is_mutable for one in target.overloads())
    if module == operator.add.__module__:
        return bool(CHANGES_ITS_FIRST.fullmatch(f"__{name.strip('_')}__"))                 # iadd, setitem
    if inspect.isfunction(target) and module in TORCH_IN_PYTHON:
        return bool(CHANGES_ITS_FIRST.fullmatch(name)) or _told_to(target, node.args, node.kwargs)
    known = module in PURE_MODULES or (TORCH_IN_C.fullmatch(module) and not COUNTS.fullmatch(name))
    return not known or not inspect.isbuiltin(target) or bool(CHANGES_ITS_FIRST.fullmatch(name)) or name.startswith("_")


def _told_to(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Some functions of torch change what they are given, or what a norm counts, only where they are told to."""
    bound = _signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    counts = COUNTS.fullmatch(function.__name__) and given["running_mean"] is not None and (
        given.get("training", False) is not False or given.get("use_input_stats", False) is not False)
    return bool(counts) or any(given.get(name) not in (None, False) for name in ("inplace", "max_norm", "out"))


@cache
def _signature(function: Any) -> inspect.Signature:
    return inspect.signature(function)
