"""Every Python block of README.md and docs/ runs as it stands; the blocks of one page share their names."""

import re
from pathlib import Path

import pytest
from sparseref_torch import unregister
from sparseref_torch.builder.implementations import registered

import sparseref as sr

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "backends").rglob("README.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def own_registry():
    """What an example registers is forgotten behind it."""
    registries = sr.registry.layouts, sr.registry.sparsifiers
    before = [registry.names() for registry in registries]
    yield
    for registry, names in zip(registries, before, strict=True):
        for name in set(registry.names()) - set(names):
            registry.remove(name)
    for function in registered():
        if function.__module__ == "example":
            unregister(function)


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page, monkeypatch, tmp_path):
    """In order, in one namespace, in an empty folder; an error names the page and the line."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    names = {"__name__": "example"}
    for block in BLOCK.finditer(text):
        lines_before = text[:block.start(1)].count("\n")
        exec(compile("\n" * lines_before + block[1], str(page), "exec"), names)
