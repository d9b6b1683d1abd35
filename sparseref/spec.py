"""The normative text as data: clauses, and what is said of each layout, sparsifier and operator.

`python -m sparseref.spec review NMG-C4` shows a clause whose text has changed, with the code that cites it, and marks it
reviewed; without an id it lists the clauses that wait for review.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Clause:
    """One numbered clause: `text`, one sentence, is normative; `why` informs; `errors`, the ids that refuse bad input."""

    id: str
    since: str
    text: str
    errors: tuple[str, ...]
    why: str
    group: str


def folder() -> Path:
    """The spec folder: package data of an installed copy, or beside the package in a checkout."""
    packaged = PACKAGE / "_spec"
    return packaged if packaged.is_dir() else PACKAGE.parent / "spec"


@cache
def groups() -> dict[str, dict[str, Any]]:
    """Name of each file in spec/clauses, without its ending -> its content, in alphabetical order."""
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder().glob("clauses/*.toml"))}


@cache
def clauses() -> dict[str, Clause]:
    """id -> Clause, every one of the specification, group by group."""
    found: dict[str, Clause] = {}
    for group, content in groups().items():
        for entry in content["clause"]:
            clause = Clause(entry["id"], entry["since"], _one_line(entry["text"]), tuple(entry["errors"]),
                            _one_line(entry["why"]), group)
            assert clause.id not in found, f"{clause.id} stands twice in spec/clauses"
            found[clause.id] = clause
    return found


def version() -> str:
    """That of the newest clause, e.g. "1.2"."""
    return max((clause.since for clause in clauses().values()), key=lambda since: tuple(map(int, since.split("."))))


def layout_descriptions() -> dict[str, dict[str, Any]]:
    """Layout's name -> its description: parameters, symbols, fields, bits, rules, worked example (spec/README.md)."""
    return {content["layout"]["name"]: content["layout"] for content in groups().values() if "layout" in content}


def sparsifier_descriptions() -> dict[str, dict[str, Any]]:
    """Sparsifier's name -> its class, passes, memory, and how ties, NaN and chance fall (SPF-7)."""
    return {entry["name"]: entry for content in groups().values() for entry in content.get("sparsifier", [])}


def operator_descriptions() -> dict[str, dict[str, Any]]:
    """Operator's name -> its operands, shape rule, result, dtypes and rounding."""
    return {entry["name"]: entry for content in groups().values() for entry in content.get("operator", [])}


def text_hash(clause: Clause) -> str:
    """16 hexadecimal digits that change with any word of the normative text; line breaks do not count."""
    return hashlib.sha256(clause.text.encode()).hexdigest()[:16]


def reviewed() -> dict[str, str]:
    """id -> hash of the text that was last reviewed."""
    hashes: dict[str, str] = json.loads((folder() / "reviewed.json").read_text(encoding="utf-8"))
    return hashes


def unreviewed() -> list[str]:
    """The clauses whose text is new or has changed since it was reviewed, and reviewed ids that no clause has any more."""
    hashes, current = reviewed(), clauses()
    return [name for name in sorted({*hashes, *current})
            if name not in current or hashes.get(name) != text_hash(current[name])]


def citations(clause_id: str) -> Iterator[str]:
    """id -> "path:line: text" of each line of code, tests and backends that cites the clause."""
    root = PACKAGE.parent
    for place in ("sparseref", "backends", "tests"):
        for path in sorted((root / place).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if re.search(rf"\b{clause_id}\b", line):
                    yield f"{path.relative_to(root)}:{number}: {line.strip()}"


def review(clause_id: str) -> str:
    """id -> what a reviewer reads: the clause and the lines that cite it; afterwards it counts as reviewed."""
    hashes, clause = reviewed(), clauses().get(clause_id)
    if clause is None:
        if hashes.pop(clause_id, None) is None:
            raise SystemExit(f"there is no clause {clause_id}")
        shown = f"{clause_id} is withdrawn"
    else:
        hashes[clause_id] = text_hash(clause)
        errors = f"\n  errors: {', '.join(clause.errors)}" if clause.errors else ""
        shown = f"{clause_id} (since {clause.since}, {clause.group})\n  {clause.text}{errors}\n  why: {clause.why}"
    text = json.dumps(dict(sorted(hashes.items())), indent=1)
    (folder() / "reviewed.json").write_text(text + "\n", encoding="utf-8")
    return "\n".join([shown, "  cited by:", *(f"    {line}" for line in citations(clause_id))])


def main() -> None:
    """Mark clauses as reviewed, or list those that wait for it."""
    parser = argparse.ArgumentParser(prog="python -m sparseref.spec", description=main.__doc__)
    parser.add_argument("command", choices=["review"])
    parser.add_argument("ids", nargs="*", metavar="ID", help="e.g. NMG-C4")
    ids = parser.parse_args().ids
    print("\n\n".join(map(review, ids)) if ids else "\n".join(unreviewed()) or "nothing waits for review")


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
