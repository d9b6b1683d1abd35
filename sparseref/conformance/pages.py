"""The clauses as pages: spec/pages/*.md, made from spec/clauses/*.toml.

`python -m sparseref.conformance.pages` writes them; with `--check` it compares, shows what differs and exits with 1.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from pathlib import Path
from typing import Any

from .. import spec
from ..templates import environment

SECTIONS = ("Foundations", "Layouts", "Sparsifiers", "Operators", "Running and checking")
RESULTS = {"dense": "dense", "like_first": "as the first sparse operand", "transposed": "in the transposed layout",
           "union": "as the first sparse operand, dense beside a dense one", "converted": "in the layout asked for"}
ROUNDINGS = {"none": "none: every bit is decided", "sums": "BOUND-1", "gelu": "BOUND-3"}


def pages() -> dict[str, str]:
    """File name -> the page's text: one page a group, and the index.  Errors: MissingDependency without jinja2."""
    templates = environment("sparseref.conformance", "page_templates", "making the pages of the specification", "docs",
                            html=False)
    templates.filters.update(linked=_linked, dtype=_dtype, block=lambda text: text.strip("\n"))
    template, groups = templates.get_template("group.md.j2"), spec.groups()
    made = {f"{name}.md": template.render(name=name, group=group, clauses=_clauses(name), written=_written(group),
                                          results=RESULTS, roundings=ROUNDINGS)
            for name, group in groups.items()}
    sections = {section: [(name, group, [clause.id for clause in _clauses(name)]) for name, group in groups.items()
                          if group["section"] == section] for section in SECTIONS}
    made["index.md"] = templates.get_template("index.md.j2").render(sections=sections, count=len(spec.clauses()))
    return made


def differences(folder: Path) -> list[str]:
    """Lines of a unified diff between the pages in the folder and those that the clauses make; empty where they agree."""
    made = pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    lines: list[str] = []
    for name in sorted({*made, *found}):
        old, new = found.get(name, "").splitlines(), made.get(name, "").splitlines()
        lines += difflib.unified_diff(old, new, f"spec/pages/{name}", f"{name}, as the clauses make it", lineterm="")
    return lines


def write(folder: Path) -> None:
    """Write every page; one whose group is gone is deleted."""
    folder.mkdir(exist_ok=True)
    made = pages()
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


def main() -> None:
    """Make the pages of the specification from its clauses, or check that they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m sparseref.conformance.pages", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; show what differs, exit with 1")
    folder = spec.folder() / "pages"
    if not parser.parse_args().check:
        write(folder)
        return
    lines = differences(folder)
    print("\n".join(lines) or "the pages are up to date")
    sys.exit(1 if lines else 0)


def _linked(text: str) -> str:
    """Prose on one line, in which each clause that it names is a link."""
    def link(found: re.Match[str]) -> str:
        clause = spec.clauses().get(found[0])
        return f"[{clause.id}]({clause.group}.md#{clause.id.lower()})" if clause else found[0]

    return re.sub(r"\b[A-Z][A-Z0-9]*-[A-Z]?[0-9]+\b", link, " ".join(text.split()))


def _dtype(formula: str) -> str:
    """The dtype of a field in words."""
    if formula.startswith("slot_index"):
        return _linked(f"uint8 or uint16, `{formula}` (CORE-I2)")
    return _linked({"value": "the value dtype", "coordinate": "int32 or int64, `coordinate` (CORE-I1)"}.get(formula, formula))


def _clauses(group: str) -> list[spec.Clause]:
    return [clause for clause in spec.clauses().values() if clause.group == group]


def _written(group: dict[str, Any]) -> str:
    """The short string of a group's layout: what must be given after colons, the rest with its default (CORE-L1)."""
    if "layout" not in group:
        return ""
    layout = group["layout"]
    parameters = layout.get("parameter", [])
    given = "".join(f":{parameter['name']}" for parameter in parameters if "default" not in parameter)
    free = "".join(f",{parameter['name']}={parameter['default']}" for parameter in parameters if "default" in parameter)
    return f'"{layout["name"]}{given}"' + (f'        # in full: "{layout["name"]}{given}{free}"' if free else "")


if __name__ == "__main__":
    main()
