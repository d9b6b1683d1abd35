"""`sparseref poc`: a user's file of a few lines, its page, its figures and its verdict."""

import json
import re
from pathlib import Path

import pytest
from sparseref_torch.poc import run as runner
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


README = (Path(__file__).parents[1] / "README.md").read_text()


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


def test_an_interrupted_run_keeps_what_it_has_measured(folder, monkeypatch):
    """Exit code 130, no report, and the same command goes on: what was measured before is not measured again."""
    train, calls = runner.train, []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == 2:                                    # the dense control is done, the first format trains
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(runner, "train", interrupt)
    first = invoke("mine.py", "--quick", "--format", "csr:0.9")
    second = invoke("mine.py", "--quick", "--format", "csr:0.9")

    assert (first.exit_code, second.exit_code) == (130, 0)
    assert "the same command goes on from there" in " ".join(first.stderr.split())
    assert "measurements were taken from an interrupted run" in " ".join(second.stdout.split())
    assert len(calls) == 3                                     # not the control again


def test_the_task_in_the_readme_is_measured(folder):
    """About 20 lines, as they stand there, with the formats of the command below them."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    [block] = [text for text in blocks if "train_batches" in text]
    (folder / "my_task.py").write_text(block)
    result = invoke("my_task.py", "--quick", "--format", "nmg:2:8:8", "--format", "csr:0.9", "--html", "report.html")

    assert result.exit_code == 0, result.output
    assert len([line for line in block.splitlines() if line.strip()]) <= 20
    assert (folder / "report.html").exists()


def test_a_recipe_trains_by_its_schedule(folder):
    """Dense at first, in the end as sparse as its format says."""
    (folder / "gradual.toml").write_text('version = 1\n[[weight]]\nmodule = "Linear"\nformat = "csr:0.9"\n'
                                         '[schedule]\nkind = "cubic"\nbegin = 0\nend = 8\n')
    result = invoke("mine.py", "--quick", "--recipe", "gradual.toml", "--json", "figures.json")
    trained = json.loads((folder / "figures.json").read_text())["variants"][-1]

    assert result.exit_code == 0, result.output
    assert (trained["stage"], round(trained["sparsity"], 2)) == ("trained", 0.9)


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
