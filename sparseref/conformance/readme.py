"""What `sparseref conform --all` found, in the README: badges, and a table of backends.

`python -m sparseref.conformance.readme MATRIX.json` takes the file of `conform --all --json`, keeps its sums in
backends/conformance.json and writes them into README.md; without a file it makes that part of README.md anew.  With `--check`
it writes nothing and exits with 1 where README.md differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..atomic import write_text
from ..errors import SpecError
from ..templates import environment
from .inventory import inventory
from .outcome import Verdict
from .report.matrix import FORMAT
from .report.summary import count, ratio_text

BEGIN, END = "<!-- conformance: made by python -m sparseref.conformance.readme -->\n", "<!-- end of conformance -->\n"
KEPT, README = Path("backends/conformance.json"), Path("README.md")
PASS, GAP = Verdict.PASS.value, Verdict.UNSUPPORTED.value


def sums_of(path: str | Path) -> dict[str, Any]:
    """The file of a matrix -> what the README says of it.  Errors: REPORT-1, for less than a whole good run."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError("its format is another one")
        *runs, differential = data["runs"]
        whole = all(sum(run["counts"].values()) >= sum(inventory(data["profile"]).values()) for run in runs)
        if not (data["conforms"] and whole and runs and differential["backend"] == "differential"):
            raise ValueError("it is of a part of the cases, of backends that do not conform, or without each other's arrays")
        return {"date": data["date"], "spec": data["spec"], "profile": data["profile"], "versions": data["versions"],
                "backends": [_backend(run) for run in runs if run["level"] != "none"], "operations": _operations(data["cells"]),
                "differential": {"passed": differential["counts"][PASS], "worst_ratio": differential["worst_ratio"]}}
    except (KeyError, OSError, TypeError, ValueError) as problem:
        raise SpecError("REPORT-1", f"{path} is no matrix for the README: {problem}.", given=path,
                        wanted=f"JSON of format {FORMAT}", fix="sparseref conform --all --json FILE writes one") from problem


def _backend(run: dict[str, Any]) -> dict[str, Any]:
    gaps = [{"reason": gap["reason"], "cases": gap["cases"],
             "operations": list(dict.fromkeys(cell.partition("[")[0] for cell in gap["cells"]))} for gap in run["gaps"]]
    return {"name": run["backend"], "version": run["version"], "level": run["level"], "passed": run["counts"].get(PASS, 0),
            "declined": run["counts"].get(GAP, 0), "worst_ratio": run["worst_ratio"], "seconds": run["seconds"],
            "flushes": run["flushes"], "gaps": gaps}


def _operations(cells: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """-> operation, its gradient with it -> backend -> cases that passed, all cases, worst ratio."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for cell in cells:
        operation = cell["operation"].partition(".")[0]
        sums = found.setdefault(operation, {}).setdefault(cell["backend"], {"passed": 0, "cases": 0, "worst_ratio": 0.0})
        sums["passed"] += cell["counts"].get(PASS, 0)
        sums["cases"] += sum(cell["counts"].values())
        sums["worst_ratio"] = max(sums["worst_ratio"], cell["worst_ratio"])
    return found


def block(sums: dict[str, Any]) -> str:
    """The part of the README between BEGIN and END.  Errors: MissingDependency without jinja2."""
    templates = environment("sparseref.conformance", "page_templates", "making the README's table of backends", "docs",
                            html=False)
    templates.filters.update(ratio=ratio_text, badge=lambda text: quote(text.replace("-", "--").replace("_", "__")))
    return templates.get_template("backends.md.j2").render(**sums, count=count)


def replaced(text: str, sums: dict[str, Any]) -> str:
    """A README -> the same with the part that is made, made anew.  Errors: REPORT-1."""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise SpecError("REPORT-1", "the README has no place for the table.", wanted=f"the lines {BEGIN!r} and {END!r}",
                        given=f"{len(text.splitlines())} lines", fix="write both where the table belongs")
    return before + BEGIN + block(sums) + END + after


def main(arguments: list[str] | None = None) -> int:
    """-> the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sparseref.conformance.readme", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matrix", nargs="?", help="what sparseref conform --all --json has written")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where the README differs")
    given = parser.parse_args(arguments)
    try:
        sums = sums_of(given.matrix) if given.matrix else json.loads(KEPT.read_text(encoding="utf-8"))
        old = README.read_text(encoding="utf-8")
        new = replaced(old, sums)
    except (OSError, SpecError) as problem:
        print(problem, file=sys.stderr)
        return 2
    if given.check:
        return int(new != old)
    if given.matrix:
        write_text(KEPT, json.dumps(sums, indent=1) + "\n")
    write_text(README, new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
