"""Sparse safetensors: the arrays of a model in one file, each inner array a tensor, with a header that says what they are."""

from .entry import Entry, View
from .header import Header
from .loading import load_file, read_file, read_header
from .saving import save_file

__all__ = ["Entry", "Header", "View", "load_file", "read_file", "read_header", "save_file"]
