"""The format card: what a layout costs and what it keeps."""

from .address import format_at, layouts_at
from .breakeven import sparsifier_for
from .compare import print_comparison, write_comparison_html, write_comparison_json
from .conforming import conformance_of
from .files import write_html, write_json
from .measure import make_card
from .result import BreakEven, Card, FieldUse, Measurement, Rival
from .speed import speed_of
from .terminal import print_card
from .weights import RANDOM_SHAPES, Weight, random_weight, trained_weights

__all__ = ["RANDOM_SHAPES", "BreakEven", "Card", "FieldUse", "Measurement", "Rival", "Weight", "conformance_of", "format_at",
           "layouts_at", "make_card", "print_card", "print_comparison", "random_weight", "sparsifier_for", "speed_of",
           "trained_weights", "write_comparison_html", "write_comparison_json", "write_html", "write_json"]
