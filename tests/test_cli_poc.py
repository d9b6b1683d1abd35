"""`sparseref poc`: a user's file of a few lines, its page, its figures and its verdict."""

import json

import pytest
from typer.testing import CliRunner

from sparseref.cli import app

TASK = """
import torch
from torch import nn

def load_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))

def train_batches(seed):
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(16, 32, generator=generator)

def evaluate(model):
    x = torch.randn(50, 32, generator=torch.Generator().manual_seed(99))
    return 1 - (model(x) - load_model()(x)).square().mean().item()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(app, ["poc", *arguments])


def test_a_file_of_three_functions_gets_a_verdict(folder):
    """On the terminal, in a page that needs no other file, and as figures."""
    result = invoke("mine.py", "--quick", "--format", "csr:0.9", "--json", "figures.json")
    figures = json.loads((folder / "figures.json").read_text())
    page = (folder / "reports/poc/poc.html").read_text()

    assert result.exit_code == 0
    assert "csr:0.9" in result.stdout
    assert "of the dense score is kept" in " ".join(result.stdout.split())
    assert [one["stage"] for one in figures["variants"]] == ["dense", "control", "one-shot", "trained"]
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_second_run_takes_what_the_first_has_measured(folder):
    """So does a run that was interrupted."""
    invoke("mine.py", "--quick", "--format", "csr:0.9")
    result = invoke("mine.py", "--quick", "--format", "csr:0.9")

    assert "measurements were taken from an interrupted run" in " ".join(result.stdout.split())


@pytest.mark.parametrize(("arguments", "clause"), [
    (["nothing"], "POC-1"), (["mine.py", "--quick", "--format", "csr:2"], "CORE-L1"),
    (["mine.py", "--quick", "--format", "xyz:2"], "REG-2"), (["mine.py", "--quick", "--recipe", "none.toml"], "RECIPE-1")])
def test_what_makes_no_sense_is_refused_before_the_work(folder, arguments, clause):
    """Exit code 2, a message with the clause, nothing written."""
    result = invoke(*arguments)

    assert result.exit_code == 2
    assert clause in result.stderr
    assert not (folder / "reports/poc/poc.html").exists()
    assert not list(folder.glob("reports/poc/work/*"))
