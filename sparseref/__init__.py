"""sparseref: the executable specification of sparsity for neural networks."""

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

from . import layouts as _layouts
from . import operators as _operators
from . import registry
from . import sparsifiers as _sparsifiers
from .array import SparseArray, same_array, same_bits
from .backend import Backend, Cell
from .coding import decode, encode, is_canonical, validate
from .dispatch import Route, explain, run
from .errors import FallbackWarning, MissingDependency, SpecError
from .formats import parse_format
from .functions import (
    add,
    conv2d,
    convert,
    gelu,
    linear,
    matmul,
    multiply,
    relu,
    scale,
    sum,
    to_dense,
    transpose,
)
from .layouts import BSR, COO, CSC, CSR, ELL, NM, NMG, VNM, Dense, Field, Layout, Masked
from .output import OutputFormat, short_format
from .reference import Reference
from .registry import get_backend, parse_layout, parse_sparsifier
from .selecting import energy, select, sparsify
from .sparsifiers import (
    BlockFraction,
    BlockThreshold,
    GreedyNMG,
    KeepAll,
    Kind,
    OptimalNMG,
    PerBlockNM,
    RandomFraction,
    SameFormat,
    SamePattern,
    ScalarFraction,
    ScalarThreshold,
    Sparsifier,
    VectorNM,
    fisher,
    magnitude,
    movement,
    wanda,
)

__version__ = "0.1.0"

for _thing in _layouts.ALL:
    registry.layouts.add(_thing)
for _sparsifier in _sparsifiers.ALL:
    registry.sparsifiers.add(_sparsifier)
for _operator in _operators.ALL:
    registry.operators.add(_operator)
registry.backends.add(Reference())

__all__ = [
    "BSR", "COO", "CSC", "CSR", "ELL", "NM", "NMG", "VNM", "Backend", "BlockFraction", "BlockThreshold", "Cell", "Dense",
    "FallbackWarning", "Field", "GreedyNMG", "KeepAll", "Kind", "Layout", "Masked", "MissingDependency", "OptimalNMG",
    "OutputFormat", "PerBlockNM", "RandomFraction", "Reference", "Route", "SameFormat", "SamePattern", "ScalarFraction",
    "ScalarThreshold", "SparseArray", "Sparsifier", "SpecError", "VectorNM", "add", "conv2d", "convert", "decode", "encode",
    "energy", "explain", "fisher", "gelu", "get_backend", "is_canonical", "linear", "magnitude", "matmul", "movement",
    "multiply", "parse_format", "parse_layout", "parse_sparsifier", "registry", "relu", "run", "same_array", "same_bits",
    "scale", "select", "short_format", "sparsify", "sum", "to_dense", "transpose", "validate", "wanda",
]


def __getattr__(name: str) -> _ModuleType:
    """`sparseref.files` is imported where it is used, since its own imports would slow every start."""
    if name == "files":
        return _import_module(".files", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
