"""A task of the proof of concept: a Python file with three functions, or one that comes with sparseref."""

import pytest
import torch
from sparseref_torch.poc.task import built_in, call, load_task
from torch import nn

from sparseref import SpecError

FILE = """
import torch
from torch import nn

def load_model():
    torch.manual_seed(0)
    return nn.Linear(4, 2)

def train_batches(seed):
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(3, 4, generator=generator)

def evaluate(model):
    return 1.0
"""


def test_a_file_with_three_functions_is_a_task(tmp_path):
    """The rest has defaults: the teacher's outputs are imitated, and the first batch is the example."""
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    task = load_task(str(path))
    model = task.load_model()

    assert (task.name, task.metric, task.prune, task.evaluate(model)) == ("mine", "score", None, 1.0)
    assert torch.equal(task.example(), next(iter(task.train_batches(0))))
    assert task.loss(model, task.load_model(), task.example()).item() == 0


def test_a_task_says_how_it_is_trained_if_it_wants_to(tmp_path):
    """And has a control that trains nothing."""
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    plain = load_task(str(path))
    path.write_text(FILE + "STEPS = 7\ndef optimizer(parameters, steps): return 1, 2\ndef calibrate(model): return 3\n")
    task = load_task(str(path))

    assert (plain.steps, plain.optimizer, plain.calibrate) == (None, None, None)
    assert (task.steps, task.optimizer([], 7), task.calibrate(None)) == (7, (1, 2), 3)


@pytest.mark.parametrize(("taken", "expected"), [("", {}), ("quick", {"quick": True}), ("progress=None", {"progress": print}),
                                                 ("quick=False, progress=None", {"quick": True, "progress": print})])
def test_a_model_that_has_to_be_trained_is_told_how(tmp_path, taken, expected):
    """Only of what it takes."""
    path = tmp_path / "mine.py"
    path.write_text(FILE.replace("load_model():", f"load_model({taken}):\n    return locals()"))
    actual = load_task(str(path)).dense(quick=True, progress=print)

    assert expected == actual


@pytest.mark.parametrize(("text", "said"), [(None, "there is no task"), ("x = 1", "load_model, train_batches, evaluate"),
                                            (FILE.replace("evaluate", "assess"), "does not define evaluate")])
def test_what_is_no_task_is_refused(tmp_path, text, said):  # POC-1
    """With what is missing."""
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=said) as refused:
        load_task(str(path))

    assert refused.value.clause == "POC-1"


@pytest.mark.parametrize("batch", [torch.ones(1, 4), (torch.ones(1, 4),), [torch.ones(1, 4)], {"input": torch.ones(1, 4)}])
def test_a_batch_is_a_tensor_positions_or_keywords(batch):
    """As the model takes it."""
    model = nn.Linear(4, 2)
    expected = model(torch.ones(1, 4))
    actual = call(model, batch)

    assert torch.equal(expected, actual)


def test_the_tasks_that_come_with_sparseref_are_listed():
    """By the names of their files."""
    expected = {f"sparseref_torch.poc.tasks.{name.replace('-', '_')}" for name in built_in()}
    actual = set(built_in().values())

    assert expected == actual
