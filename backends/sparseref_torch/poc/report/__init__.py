"""The report of the proof: a table, a verdict for each format, and a page with quality, latency and storage."""

from .variant import CALIBRATED, CONTROL, DENSE, ONE_SHOT, TRAINED, Study, Variant
from .verdict import Verdict, verdicts

__all__ = ["CALIBRATED", "CONTROL", "DENSE", "ONE_SHOT", "TRAINED", "Study", "Variant", "Verdict", "verdicts"]
