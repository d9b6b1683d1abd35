"""Training that keeps the sparsity: schedules, scores, dynamic patterns, straight-through weights, distillation, a guard."""

from typing import Any

from .allocation import erk, uniform
from .distiller import Distiller, similarity_divergence
from .dynamic import SET, RigL
from .guard import SparsityGuard
from .pruner import Pruner
from .reconstruct import reconstruct
from .regime import Regime
from .schedules import Cubic, Iterative, LayerWise, Linear, OneShot, Schedule, parse_schedule
from .scores import Fisher, Magnitude, Movement, Random, Scores, Wanda, parse_scores
from .straight_through import SRSTE, STE

__all__ = ["SET", "SRSTE", "STE", "Cubic", "Distiller", "Fisher", "Iterative", "LayerWise", "Linear", "Magnitude", "Movement",
           "OneShot", "Pruner", "Random", "Regime", "RigL", "Schedule", "Scores", "SparsityCallback", "SparsityGuard", "Wanda",
           "erk", "parse_schedule", "parse_scores", "reconstruct", "similarity_divergence", "uniform"]


def __getattr__(name: str) -> Any:
    if name == "SparsityCallback":                             # only who uses it needs transformers
        from .callback import SparsityCallback

        return SparsityCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
