"""What a frozen vector may call beside the operations of a backend: parsing, formats, dispatch, bounds, the kit itself.

Each function takes and gives what the wire carries: arrays, sparse arrays, calls, tuples, numbers, strings.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, ClassVar
from warnings import catch_warnings, simplefilter

import numpy as np

from .. import registry
from ..array import SparseArray, same_bits
from ..backend import Cell
from ..bounds import Expected, error_ratio, expected_forward, expected_gradient
from ..coding import is_canonical
from ..dispatch import explain, run
from ..dtypes import value_dtype
from ..errors import FallbackWarning, SpecError
from ..formats import parse_format
from ..layouts.patterns import pattern_places
from ..output import OutputFormat, short_format
from ..reference import Reference
from ..registry import get_operator, load_object, parse_layout, parse_sparsifier
from ..selecting import energy, sparsify
from ..sparsifiers import fisher, magnitude, movement, own_sparsifier, wanda
from ..spec import folder
from .forms import guarded
from .known import read_known
from .wire import Call, from_json, to_json

REFERENCE_CALLS: dict[str, Callable[..., Any]] = {
    "patterns": pattern_places, "is_canonical": is_canonical, "energy": energy, "same_bits": same_bits,
    "movement": movement, "fisher": fisher, "wanda": wanda, "magnitude": magnitude}
"""Operation -> the function that answers it; `reference_call` adds those below."""


def reference_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function here -> the same, callable by its name from a vector."""
    REFERENCE_CALLS[function.__name__] = function
    return function


# The sparse array

@reference_call
def sparse_array(layout: str, shape: tuple[Any, ...], dtype: str, **arrays: np.ndarray) -> SparseArray:
    """Build one; only its shape and its dtype are checked."""
    return SparseArray(parse_layout(layout), shape, value_dtype(dtype), arrays)


@reference_call
def pattern(a: SparseArray | np.ndarray) -> np.ndarray:
    """The stored positions; of a plain array all (CORE-P1)."""
    return a.pattern if isinstance(a, SparseArray) else np.ones(a.shape, bool)


@reference_call
def refused_by(a: SparseArray, what: str) -> str | None:
    """The clause by which the reference refuses to run an operation, `what`, on an array (CORE-A3)."""
    try:
        Reference().call(what, a)
    except SpecError as refusal:
        return refusal.clause
    return None


@reference_call
def bits(a: SparseArray) -> int:
    return a.bits


@reference_call
def layout_bits(layout: str, shape: tuple[int, ...], dtype: str, **sizes: int) -> int:
    """Storage by the layout's formula, without an array."""
    return parse_layout(layout).bits(shape, dtype, **sizes)


@reference_call
def fields(layout: str, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """(name, dtype or "value", shape) of each field, by name."""
    of_layout = sorted(parse_layout(layout).fields(shape).items())
    return tuple((name, field.dtype.name if field.dtype else "value", field.shape) for name, field in of_layout)


# Descriptors, names and formats

@reference_call
def parse_layout_string(text: Any) -> str:
    """A short string -> the one that its layout is written as."""
    return str(parse_layout(text))


@reference_call
def parse_sparsifier_string(text: Any) -> str:
    return str(parse_sparsifier(text))


@reference_call
def format_parts(text: str) -> tuple[str, str]:
    """A format string -> its sparsifier and its layout."""
    sparsifier, layout = parse_format(text)
    return str(sparsifier), str(layout)


@reference_call
def layouts_sparsifier(layout: str) -> str:
    """The sparsifier that a layout names as its own."""
    return str(own_sparsifier(parse_layout(layout)))


@reference_call
def kind(sparsifier: str) -> tuple[str, int, str]:
    """Class, passes and working memory of a sparsifier."""
    parsed = parse_sparsifier(sparsifier)
    return parsed.kind.value, parsed.passes, parsed.memory


@reference_call
def register(group: str, name: str) -> str:
    """Register something new under a name, and forget it again; the name, if it was free."""
    things: registry.Registry = getattr(registry, group)
    things.add(SimpleNamespace(name=name))
    things.remove(name)
    return name


@reference_call
def operator_name(name: str) -> str:
    return get_operator(name).name


@reference_call
def backend_name(name: str) -> str:
    return registry.get_backend(name).name


@reference_call
def load_name(address: str) -> str:
    """module:Name -> the name of what it leads to."""
    loaded: str = load_object(address).__name__
    return loaded


# Choosing and storing

@reference_call
def sparsify_seeded(values: Any, layout: str, sparsifier: Any = None, scores: np.ndarray | None = None,
                    seed: int | None = None) -> SparseArray:
    """`sparsify`, with `numpy.random.Generator(PCG64(seed))` for chance."""
    return sparsify(values, layout, sparsifier, scores, None if seed is None else np.random.Generator(np.random.PCG64(seed)))


@reference_call
def store(result: Any, inline: str, temporary: str, external: Any, final: str) -> SparseArray:
    """A result in an output format of four parts."""
    parts = OutputFormat(parse_sparsifier(inline), parse_layout(temporary), parse_sparsifier(external), parse_layout(final))
    return parts.apply(result)


@reference_call
def store_short(result: Any, sparsifier: Any, layout: str) -> SparseArray:
    return short_format(parse_sparsifier(sparsifier), parse_layout(layout)).apply(result)


# Dispatch

class Scripted(Reference):
    """The reference, declaring the given cells alone."""

    name: ClassVar[str] = "scripted"

    def __init__(self, cells: tuple[str, ...]) -> None:
        self._cells = cells

    def declines(self, cell: Cell) -> str | None:
        return None if str(cell) in self._cells else "not declared"


@reference_call
def route(call: Call, cells: tuple[str, ...], strict: bool = False) -> tuple[Any, ...]:
    """kind, cell, whether there is a reason, conversions (operand, source, target, bits), their sum, with these cells."""
    taken = explain(call.operation, *call.operands, backend=Scripted(cells), strict=strict, **call.parameters)
    moves = tuple((move.operand, move.source, move.target, move.bits) for move in taken.conversions)
    return taken.kind, str(taken.cell), bool(taken.reason), moves, taken.cost_bits


@reference_call
def run_scripted(call: Call, cells: tuple[str, ...], strict: bool = False) -> tuple[Any, int]:
    """The result on a backend with these cells, and how many warnings of a fallback it came with."""
    with catch_warnings(record=True) as caught:
        simplefilter("always")
        result = run(call.operation, *call.operands, backend=Scripted(cells), strict=strict, **call.parameters)
    return result, sum(issubclass(warning.category, FallbackWarning) for warning in caught)


# Calls about calls

def _answer(call: Call) -> Any:
    return Reference().call(call.operation, *call.operands, **call.parameters)


@reference_call
def refusal(call: Call) -> tuple[str, bool, bool]:
    """The clause that refuses a call; whether the error says what was given, and what is wanted."""
    try:
        _answer(call)
    except SpecError as error:
        return error.clause, bool(error.given), bool(error.wanted)
    return "", False, False


@reference_call
def leaves_alone(call: Call) -> tuple[bool, bool]:
    """Whether a call, refused or not, leaves its operands as they were, and whether it gives back their memory."""
    held = [guarded(operand, "contiguous") for operand in call.operands]
    try:
        result = _answer(Call(call.operation, tuple(one.operand for one in held), call.parameters))
    except SpecError:
        result = None
    return all(one.intact() for one in held), any(one.shares_memory(result) for one in held)


@reference_call
def in_form(call: Call, form: str) -> Any:
    """The result of a call whose operands come in another memory form (forms.py)."""
    return _answer(Call(call.operation, tuple(guarded(one, form).operand for one in call.operands), call.parameters))


@reference_call
def repeats(call: Call, threads: int) -> int:
    """In how many different ways as many threads answer the same call."""
    with ThreadPoolExecutor(threads) as pool:
        answers = pool.map(lambda _: json.dumps(to_json(_answer(call))), range(threads))
        return len(set(answers))


# Bounds

@reference_call
def bound(call: Call, accumulator: str, flushes: bool = False) -> tuple[Any, ...]:
    """Value and bound float64 of an operator's result, or of each of its gradients (None where there is none)."""
    name, _, is_gradient = call.operation.partition(".")
    if is_gradient:
        grad, *operands = call.operands
        found = expected_gradient(get_operator(name), grad, tuple(operands), call.parameters, accumulator, flushes)
        return tuple(one and (one.value, one.bound) for one in found)
    expected, _ = expected_forward(get_operator(name), call.operands, call.parameters, accumulator, flushes)
    return expected.value, expected.bound


@reference_call
def ratio(actual: np.ndarray, value: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """error / bound of each element: at most 1 conforms."""
    return error_ratio(actual, Expected(value, allowed, actual.dtype))


@reference_call
def ratio_densified(actual: np.ndarray, value: np.ndarray, allowed: np.ndarray, nan_allowed: np.ndarray) -> np.ndarray:
    """The same where densified operands may have met NaN or infinity."""
    return error_ratio(actual, Expected(value, allowed, actual.dtype), nan_allowed)


# The wire and the kit

@reference_call
def to_text(value: Any) -> str:
    """A value -> its JSON, keys in alphabetical order."""
    return json.dumps(to_json(value), sort_keys=True)


@reference_call
def from_text(text: str) -> Any:
    return from_json(json.loads(text))


@reference_call
def greet(command: str) -> tuple[str, str]:
    """Start a worker -> its name and version; {python} and {spec} stand for the interpreter and the spec folder."""
    from .worker import WorkerBackend

    with WorkerBackend(_filled(command)) as worker:
        return worker.name, worker.version


@reference_call
def ask(command: str, call: Call) -> Any:
    """Start a worker and ask it one call."""
    from .worker import WorkerBackend

    with WorkerBackend(_filled(command)) as worker:
        return worker.call(call.operation, *call.operands, **call.parameters)


def _filled(command: str) -> str:
    return command.format(python=shlex.quote(sys.executable), spec=shlex.quote(str(folder())))


@reference_call
def known_failures(text: str) -> tuple[Any, ...]:
    """(case, reason) of each entry of a list of known failures."""
    return with_file(text.encode(), lambda path: tuple((entry.case, entry.reason) for entry in read_known(path)))


@reference_call
def profile(name: str) -> str:
    """The name of a profile of the kit."""
    from .runner import checked_profile

    return checked_profile(name)


@reference_call
def report_backend(text: str) -> str:
    """A report that is read back -> the backend it is about."""
    from .report.results import read_json

    return with_file(text.encode(), lambda path: read_json(path).backend)


def with_file(content: bytes, read: Callable[[Path], Any]) -> Any:
    """What `read` gives for the path of a file that holds this."""
    with TemporaryDirectory() as place:
        path = Path(place) / "given"
        path.write_bytes(content)
        return read(path)
