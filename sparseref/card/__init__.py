"""The format card: what a layout costs and what it keeps."""

from .address import format_at, layouts_at
from .compare import print_comparison, write_comparison_html, write_comparison_json
from .files import write_html, write_json
from .measure import make_card
from .result import BreakEven, Card, FieldUse, Measurement, Rival
from .terminal import print_card
from .weights import RANDOM_SHAPES, Weight, random_weight, trained_weights

__all__ = ["RANDOM_SHAPES", "BreakEven", "Card", "FieldUse", "Measurement", "Rival", "Weight", "format_at", "layouts_at",
           "make_card", "print_card", "print_comparison", "random_weight", "trained_weights", "write_comparison_html",
           "write_comparison_json", "write_html", "write_json"]
