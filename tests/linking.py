"""What links the specification together: which clause is named where, read from the files."""

import ast
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sparseref import spec
from sparseref.conformance.vectors import load

ROOT = Path(__file__).parent.parent
ID = re.compile(r"\b[A-Z]{2}[A-Z0-9]*-[A-Z]?[0-9]+\b")

KIT_GROUPS = ("kit", "wire")
"""Their clauses bind the kit and its workers, so their code is sparseref/conformance."""

FRONT_END = sorted((ROOT / "backends").glob("*/clauses.toml"))
"""Clauses that bind one package alone: the errors of the STen front end."""

NO_CLAUSES = {"UTF-8": "an encoding", "GPT-2": "a model", "SHA-256": "a digest", "DIAGB-1": "a third party's clause",
              "DIAGB-2": "a third party's clause", "NMG-C44": "the command line guesses what was meant",
              "NM-C99": "a clause that is withdrawn, in a test"}


@dataclass(frozen=True)
class Links:
    """clauses: id -> has errors; the others: id -> where it is named (places, vectors, properties)."""

    clauses: dict[str, bool]
    code: dict[str, list[str]]
    anywhere: dict[str, list[str]]
    positive: dict[str, list[str]]
    negative: dict[str, list[str]]
    properties: dict[str, list[str]]

    def without_code(self):
        return [name for name in self.clauses if name not in self.code]

    def without_positive(self):
        return [name for name in self.clauses if name not in self.positive]

    def without_negative(self):
        return [name for name, has_errors in self.clauses.items() if has_errors and name not in self.negative]

    def without_property(self):
        return [name for name in self.clauses if name not in self.properties]

    def unknown(self):
        """"id: places" of what is named and is no clause."""
        return [f"{name}: {', '.join(places)}" for name, places in sorted(self.anywhere.items())
                if name not in self.clauses and name not in NO_CLAUSES and name not in front_end()]

    def idle_exceptions(self):
        """Exceptions that nothing needs any more."""
        return [name for name in NO_CLAUSES if name in self.clauses or name not in self.anywhere]


def links():
    """Read everything."""
    clauses = spec.clauses()
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
             for place in ("sparseref", "backends", "tests") for path in sorted((ROOT / place).rglob("*.py"))
             if path != Path(__file__)}
    code = [(name, place) for place, text in texts.items() if place.startswith("sparseref/") for name in ID.findall(text)
            if not place.startswith("sparseref/conformance/") or (name in clauses and clauses[name].group in KIT_GROUPS)]
    vectors = [(vector.kind, name, vector.id) for vector in load() for name in vector.clauses]
    anywhere = [(name, place) for place, text in texts.items() for name in ID.findall(text)]
    return Links({name: bool(clause.errors) for name, clause in clauses.items()}, collected(code),
                 collected([*anywhere, *((name, vector) for _, name, vector in vectors)]),
                 collected((name, vector) for kind, name, vector in vectors if kind == "positive"),
                 collected((name, vector) for kind, name, vector in vectors if kind == "negative"),
                 collected((name, f"{place}:{function}") for place, text in texts.items()
                           for function, name in properties_in(text)))


def front_end():
    """id -> clause of what a backend demands beside the specification; "package" says whose."""
    return {clause["id"]: {**clause, "package": path.parent.relative_to(ROOT).as_posix()} for path in FRONT_END
            for clause in tomllib.loads(path.read_text(encoding="utf-8"))["clause"]}


def collected(pairs):
    """(id, place) pairs -> id -> its places, each once."""
    found = {}
    for name, place in pairs:
        found.setdefault(name, {})[place] = None
    return {name: list(places) for name, places in found.items()}


def properties_in(text):
    """Source -> (function, id) of each clause named beside the `def` of a function that hypothesis gives its examples."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and any(map(is_given, node.decorator_list)):
            signature = lines[node.lineno - 1:node.body[0].lineno - 1]
            for name in ID.findall(" ".join(line.partition("#")[2] for line in signature)):
                yield node.name, name


def is_given(decorator):
    """True for @given(...) and @hypothesis.given(...)."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(called, "id", getattr(called, "attr", "")) == "given"
