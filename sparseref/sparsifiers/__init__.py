"""The sparsifiers of the specification."""

from ..layouts.base import Layout
from .base import Kind, Sparsifier
from .block import BlockFraction, BlockThreshold
from .fraction import ScalarFraction
from .keep import KeepAll
from .nm import PerBlockNM
from .nmg import GreedyNMG
from .optimal import OptimalNMG
from .random import RandomFraction
from .same import SameFormat, SamePattern
from .scores import fisher, magnitude, movement, wanda
from .threshold import ScalarThreshold
from .vnm import VectorNM

ALL: tuple[type[Sparsifier], ...] = (KeepAll, RandomFraction, ScalarThreshold, ScalarFraction, BlockThreshold, BlockFraction,
                                     PerBlockNM, VectorNM, GreedyNMG, OptimalNMG, SamePattern, SameFormat)


def own_sparsifier(layout: Layout) -> Sparsifier:
    """A layout -> the sparsifier it names as its own (SPF-10)."""
    from ..registry import parse_sparsifier

    return parse_sparsifier(layout.sparsifier())


__all__ = ["ALL", "BlockFraction", "BlockThreshold", "GreedyNMG", "KeepAll", "Kind", "OptimalNMG", "PerBlockNM",
           "RandomFraction", "SameFormat", "SamePattern", "ScalarFraction", "ScalarThreshold", "Sparsifier", "VectorNM",
           "fisher", "magnitude", "movement", "own_sparsifier", "wanda"]
