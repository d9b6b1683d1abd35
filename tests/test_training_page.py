"""Every Python block of TRAINING.md runs as it stands, in one namespace."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "backends/sparseref_torch/TRAINING.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_page_run(monkeypatch, tmp_path):
    """An error names the page and the line."""
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    names = {"__name__": "example"}
    for block in BLOCK.finditer(text):
        lines_before = text[:block.start(1)].count("\n")
        exec(compile("\n" * lines_before + block[1], str(PAGE), "exec"), names)
