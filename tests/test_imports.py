"""Who imports whom: downward only, backends never, heavy packages not at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sparseref"
FILES = sorted(PACKAGE.rglob("*.py"))
LOWER = {                                                      # folder -> what stands above it
    "layouts": ("sparsifiers", "operators", "dispatch", "reference", "files", "conformance", "render", "demo", "cli", "card"),
    "sparsifiers": ("operators", "dispatch", "reference", "files", "conformance", "render", "demo", "cli", "card"),
    "operators": ("dispatch", "reference", "files", "conformance", "render", "demo", "cli", "card"),
    "files": ("operators", "dispatch", "reference", "conformance", "render", "demo", "cli", "card"),
    "": ("files", "conformance", "render", "demo", "card"),
}
TOP = ("__main__.py", "cli.py", "card.py")


def imported(file):
    """A source file -> the dotted names that it imports, relative ones from `sparseref`."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*parts[:len(parts) - node.level], *filter(None, [node.module])] if node.level else [node.module]
            yield ".".join(base)
            yield from (".".join([*base, alias.name]) for alias in node.names)


@pytest.mark.parametrize("folder", sorted(LOWER))
def test_imports_run_downward(folder):
    """cli -> conformance, card, render -> dispatch -> operators -> sparsifiers -> layouts -> the core's types."""
    files = [file for file in FILES if file.parent == PACKAGE / folder and not (folder == "" and file.name in TOP)]
    expected = []
    actual = [(file.name, name) for file in files for name in imported(file)
              for above in LOWER[folder] if name == f"sparseref.{above}" or name.startswith(f"sparseref.{above}.")]

    assert files
    assert expected == actual


def test_the_reference_imports_no_backend_and_no_framework():
    """Backends are found through entry points, never by name; torch belongs to them and to the demo alone."""
    expected = []
    actual = [(str(file.relative_to(PACKAGE)), name) for file in FILES for name in imported(file)
              if name.split(".")[0].startswith(("sparseref_", "jax")) or
              (name.split(".")[0] == "torch" and file.parent != PACKAGE / "demo")]

    assert expected == actual


def test_importing_sparseref_brings_nothing_optional():
    """What is optional is imported where it is used."""
    heavy = ["torch", "jax", "typer", "rich", "hypothesis", "matplotlib", "jinja2", "transformers", "ml_dtypes", "pytest"]
    expected = "[]\n"
    actual = subprocess.run([sys.executable, "-c", f"import sys, sparseref; print([m for m in {heavy} if m in sys.modules])"],
                            capture_output=True, text=True, check=True).stdout

    assert expected == actual
