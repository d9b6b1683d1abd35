"""The frozen vectors: what a call gives, for every clause, in a form that any language reads (spec/vectors/README.md).

`python -m sparseref.conformance.vectors` recomputes every expectation from the reference and compares; it never writes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..array import SparseArray, same_array, same_bits
from ..backend import Backend
from ..errors import SpecError
from ..operators.base import Rounding
from ..reference import Reference
from ..registry import get_operator, operators
from ..spec import folder
from . import file_calls  # noqa: F401 - it adds its calls
from .vector_calls import REFERENCE_CALLS
from .wire import Call, from_json, to_json

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Vector:
    """A call and what the named clauses say it gives.

    kind "positive": `expect` is the result; "negative": `expect` is {"error": the clause that refuses the call}.
    by_hand: the expectation was derived from the text on paper, as `note` says, and not taken from the reference.
    """

    id: str
    clauses: tuple[str, ...]
    kind: str
    by_hand: bool
    note: str
    call: Call
    expect: Any


def vectors_folder() -> Path:
    return folder() / "vectors" / "v1"


def load(place: Path | None = None) -> list[Vector]:
    """Every vector, file by file in alphabetical order; `place`, a folder other than the specification's own."""
    return [vector for path in sorted((place or vectors_folder()).glob("*.json")) for vector in read(path)]


def read(path: Path) -> list[Vector]:
    """One file -> its vectors."""
    return [_vector(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["vectors"]]


def _vector(entry: dict[str, Any]) -> Vector:
    expect = entry["expect"] if entry["kind"] == "negative" else from_json(entry["expect"])
    return Vector(**{**entry, "clauses": tuple(entry["clauses"]), "call": from_json(entry["call"]), "expect": expect})


def text_of(group: str, vectors: list[Vector]) -> str:
    """What a file holds: one key of a vector a line, always the same for the same vectors."""
    blocks = [",\n".join(f"  {json.dumps(field.name)}: {_json(vector, field.name)}" for field in fields(Vector))
              for vector in vectors]
    return f'{{"group": "{group}", "vectors": [\n{{\n' + "\n},\n{\n".join(blocks) + "\n}\n]}\n"


def _json(vector: Vector, name: str) -> str:
    value = getattr(vector, name)
    plain = name == "expect" and vector.kind == "negative"
    return json.dumps(value if plain else to_json(value), ensure_ascii=False)


def evaluate(call: Call, backend: Backend | None = None) -> Any:
    """Run a call: what no backend is asked for, such as parsing, is a call of the reference (vector_calls.py)."""
    if call.operation in REFERENCE_CALLS:
        return REFERENCE_CALLS[call.operation](*call.operands, **call.parameters)
    return (backend or Reference()).call(call.operation, *call.operands, **call.parameters)


def outcome(call: Call) -> Any:
    """What a call gives, or {"error": clause} where it is refused."""
    try:
        return evaluate(call)
    except SpecError as refusal:
        return {"error": refusal.clause}


def check(place: Path | None = None) -> list[str]:
    """Every difference between the frozen files, their hashes and the reference, a sentence each; none is as it should be."""
    place = place or vectors_folder()
    differences = _check_hashes(place)
    for vector in load(place):
        actual = outcome(vector.call)
        if not same(vector.expect, actual, zero_signs=_decides_zero_signs(vector.call)):
            shown = actual if isinstance(actual, dict) else json.dumps(to_json(actual))
            differences.append(f"{vector.id} ({', '.join(vector.clauses)}): the reference gives {shown}")
    return differences


def _check_hashes(place: Path) -> list[str]:
    """SHA256SUMS, as the program sha256sum writes and checks it, names every file of the folder and its hash."""
    lines = (place / SUMS).read_text(encoding="utf-8").splitlines()
    frozen = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    present = {path.name: hash_of(path) for path in place.glob("*.json")}
    return [f"{name}: {SUMS} has {frozen.get(name, 'no such file')}, the folder {present.get(name, 'no such file')}"
            for name in sorted({*frozen, *present}) if frozen.get(name) != present.get(name)]


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _decides_zero_signs(call: Call) -> bool:
    """False for operators that sum or evaluate a function: there the sign of a zero is within the bound (BOUND-1)."""
    name = call.operation.partition(".")[0]
    return name not in operators.names() or get_operator(name).rounding is Rounding.NONE


def same(expected: Any, actual: Any, zero_signs: bool = True) -> bool:
    """Equal in every bit, of whatever the wire carries; unless `zero_signs`, +0 and -0 are one (CORE-D3)."""
    if isinstance(expected, np.ndarray):
        return isinstance(actual, np.ndarray) and same_bits(*(_zeros(array, zero_signs) for array in (expected, actual)))
    if isinstance(expected, SparseArray):
        return isinstance(actual, SparseArray) and same_array(*(
            a.with_values(_zeros(a.values, zero_signs)) for a in (expected, actual)))
    if isinstance(expected, tuple):
        return isinstance(actual, tuple) and len(expected) == len(actual) and all(
            same(left, right, zero_signs) for left, right in zip(expected, actual, strict=True))
    if isinstance(expected, float):
        return isinstance(actual, float) and expected.hex() == actual.hex()
    return type(expected) is type(actual) and bool(expected == actual)


def _zeros(array: np.ndarray, keep_signs: bool) -> np.ndarray:
    return array if keep_signs else np.where(array == 0, np.zeros((), array.dtype), array)


def main() -> int:
    """Check, print what differs and how many vectors there are; 1 where anything differs."""
    differences = check()
    vectors = load()
    positive = [vector for vector in vectors if vector.kind == "positive"]
    print(*differences, sep="\n", end="\n" if differences else "")
    print(f"{len(vectors)} vectors of {len({clause for vector in vectors for clause in vector.clauses})} clauses: "
          f"{len(positive)} positive, of which {sum(vector.by_hand for vector in positive)} by hand, "
          f"{len(vectors) - len(positive)} negative; {len(differences)} differences")
    print("operations:", ", ".join(f"{name} {count}" for name, count in sorted(Counter(
        vector.call.operation for vector in vectors).items())))
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
