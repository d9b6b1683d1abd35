"""`sparseref predict`: what sparsity would gain, from layers timed alone; the arithmetic on samples made by hand."""

import copy
import io
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from cli_plugins import run
from rich.console import Console
from sparseref_torch import SparseTensor, SparsityBuilder
from sparseref_torch.poc.pruning import prune
from sparseref_torch.predict import command, measuring
from sparseref_torch.predict.measuring import Group, Samples, measure
from sparseref_torch.predict.predicting import at_least, predict, verdict
from sparseref_torch.predict.report import print_prediction, sentences, write_html, write_json
from sparseref_torch.predict.subject import built_in, load_subject
from torch import nn
from transformers.pytorch_utils import Conv1D

from sparseref import SpecError
from sparseref.bench.machine import Machine

HERE = Machine("a test", 1, 1e9, "by a test", 1e9)
MODEL = """
import torch
from torch import nn

def load_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 8))
"""
EXAMPLE = "\ndef example():\n    return torch.randn(4, 32)\n"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No pauses, one pass, and no measuring of the machine."""
    monkeypatch.setattr(measuring, "REST", 0.0)
    monkeypatch.setattr(measuring, "LEAST", 0.0)
    monkeypatch.setattr(command, "measure_machine", lambda threads, peak: HERE)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text(MODEL + EXAMPLE)
    return path


def samples():
    """Two groups, four rounds that differ in how busy the machine is; dense 10 seconds, of which 2 stay as they are.

    nm:2:8 halves the first group and quarters the second: (2 + 6 / 2 + 2 / 4) / 10 = 0.55 of the time.
    """
    once = (((torch.zeros(4, 16),), {}),)
    first = Group(("a", "b"), "Linear", (8, 16), once, 4, {"nm:2:8": 32 * 40}, {"nm:2:8": 32})
    second = Group(("c",), "Conv2d", (4, 4, 3, 3), once, 9, {"nm:2:8": 36 * 40}, {"nm:2:8": 36})
    busy = (1.0, 3.0, 1.5, 1.0)
    first.inside, first.alone = [6 * b for b in busy], {"dense": [4 * b for b in busy], "nm:2:8": [2 * b for b in busy]}
    second.inside, second.alone = [2 * b for b in busy], {"dense": [8 * b for b in busy], "nm:2:8": [2 * b for b in busy]}
    return Samples([first, second], [], [10 * b for b in busy], [2 * b for b in busy], {"nm:2:8": [5 * b for b in busy]})


def test_a_prediction_is_the_rest_and_each_layers_share():
    """Amdahl's law, a round at a time: that the machine was busy in one changes no ratio."""
    found = predict("by hand", samples(), HERE)
    one = found.forecasts[0]

    assert (found.dense, found.rest, found.limit) == pytest.approx((12.5, 2.5, 5.0))
    assert (one.density, one.seconds, one.speed) == pytest.approx((0.25, 0.55 * 12.5, 1 / 0.55))
    assert (one.low, one.high) == pytest.approx((one.speed, one.speed))
    assert (one.measured, one.error) == pytest.approx((0.5 * 12.5, 0.1))                   # it was 0.5 of the time
    assert found.worst_error == pytest.approx(0.1)
    assert [(kind.name, kind.count, kind.share, kind.speeds["nm:2:8"]) for kind in found.kinds] == [
        ("a", 2, pytest.approx(0.6), pytest.approx(2)), ("c", 1, pytest.approx(0.2), pytest.approx(4))]


@pytest.mark.parametrize(("peak", "read", "expected"), [
    (1.0, math.inf, 2 * 2 * 32 * 4), (math.inf, 1.0, 2 * 32 * 40 / 8), (256.0, 160.0, 2.0)])
def test_the_roofline_is_compute_or_memory_whichever_takes_longer(peak, read, expected):
    """Of the two layers of a group: 32 entries for 4 rows each, 32 entries of 40 bits."""
    found = at_least(samples().groups[0], "nm:2:8", Machine("", 1, peak, "", read))

    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("speed", "expected"), [(1.1, "go"), (1.0, "no gain"), (0.9, "no gain"), (0.89, "no-go")])
def test_a_verdict_leaves_room_for_noise(speed, expected):
    assert verdict(speed) == expected


def test_break_even_lies_between_densities():
    """One format at twice the speed of dense, one at half of it: half way between the logarithms of their densities."""
    of = samples()
    for group, (few, many) in zip(of.groups, ((8, 128), (9, 144)), strict=True):
        group.nnz, group.bits = {"few": few, "many": many}, {"few": 1, "many": 1}
        group.alone |= {text: [of_dense * one for one in group.alone["dense"]]
                        for text, of_dense in (("few", 0.375), ("many", 2.25))}
    of.whole = {}
    found = predict("by hand", of, HERE)

    assert [one.speed for one in found.forecasts] == pytest.approx([2.0, 0.5])
    assert [one.verdict for one in found.forecasts] == ["go", "no-go"]
    assert found.break_even == pytest.approx((0.25,), abs=0.001)                           # between 1/16 and 1
    assert found.worst_error == 0
    assert "as fast as dense at density 0.25" in sentences(found)


def test_layers_with_equal_products_are_one_group(file):
    """Two of 64 x 64; those of other shapes, and what stays dense, are apart."""
    subject = load_subject(str(file))
    sparse = SparsityBuilder().set_weight(["0.weight", "2.weight", "3.weight"], format="nm:2:8").get_sparse_model(subject.model)
    heard = []
    found = measure(subject.model, {"nm:2:8": sparse.eval()}, subject.batch, 3, True, lambda *step: heard.append(step))

    assert [(group.names, group.shape, group.rows) for group in found.groups] == [
        (("0",), (64, 32), 4), (("2", "3"), (64, 64), 4)]
    assert [group.nnz for group in found.groups] == [{"nm:2:8": 512}, {"nm:2:8": 1024}]
    assert [len(taken) for taken in (found.total, found.rest, found.whole["nm:2:8"])] == [3, 3, 3]
    assert all(len(group.inside) == len(group.alone["dense"]) == 3 for group in found.groups)
    assert all(0 < rest < total for rest, total in zip(found.rest, found.total, strict=True))
    assert heard[-1] == (5, 5)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in subject.model.modules())


def test_a_layer_of_which_a_format_leaves_the_weight_dense_has_its_dense_bits(file):
    subject = load_subject(str(file))
    made = [SparsityBuilder().set_weight(names, format="nm:2:8").get_sparse_model(subject.model).eval()
            for names in (["2.weight"], ["3.weight"])]
    found = measure(subject.model, {"first": made[0], "second": made[1]}, subject.batch, 3, False)

    assert [group.names for group in found.groups] == [("2",), ("3",)]
    assert [group.nnz for group in found.groups] == [{"first": 1024, "second": 4096}, {"first": 4096, "second": 1024}]
    assert found.groups[0].bits["second"] == 4096 * 32


def test_a_wrong_model_is_not_timed(file):  # POC-4
    subject = load_subject(str(file))
    wrong = SparsityBuilder().set_weight("2.weight", format="nm:2:8").get_sparse_model(subject.model).eval()
    wrong.register_forward_hook(lambda module, args, output: output * 1.01 if isinstance(
        module[2].weight, SparseTensor) else output)
    with pytest.raises(SpecError) as refused:
        measure(subject.model, {"nm:2:8": wrong}, subject.batch, 3, False)

    assert refused.value.clause == "POC-4"


def test_without_a_sparse_layer_there_is_nothing_to_predict(file):  # PREDICT-2
    subject = load_subject(str(file))
    with pytest.raises(SpecError) as refused:
        measure(subject.model, {"dense": subject.model}, subject.batch, 3, False)

    assert refused.value.clause == "PREDICT-2"


@pytest.mark.parametrize(("text", "told"), [
    (None, "there is no model"), (MODEL, "does not define example"), (EXAMPLE, "does not define load_model")])
def test_a_file_that_is_no_model_is_refused(tmp_path, text, told):  # PREDICT-1
    path = tmp_path / "model.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=told) as refused:
        load_subject(str(path))

    assert refused.value.clause == "PREDICT-1"


@pytest.mark.parametrize(("more", "patterns", "expected"), [
    ("", None, None), ("PRUNE = '2.weight'", None, ("2.weight",)), ("PRUNE = ['2.weight']", None, ("2.weight",)),
    ("PRUNE = ['2.weight']", ["3.weight"], ("3.weight",))])
def test_the_file_or_the_caller_names_the_weights(file, more, patterns, expected):
    file.write_text(file.read_text() + more)
    found = load_subject(str(file), patterns)

    assert (found.name, found.patterns) == ("my_model", expected)
    assert not found.model.training


def test_a_task_of_poc_will_do(tmp_path):
    """Its first training batch is the example."""
    path = tmp_path / "task.py"
    path.write_text(MODEL + "\ndef train_batches(seed):\n    while True:\n        yield torch.full((2, 32), float(seed))\n")

    assert torch.equal(load_subject(str(path)).batch, torch.zeros(2, 32))


def test_models_that_come_along():
    assert sorted(built_in()) == ["bert-base", "minilm", "resnet50"]


@pytest.mark.parametrize("name", ["minilm", "resnet50", pytest.param("bert-base", marks=pytest.mark.slow)])
def test_a_model_that_comes_along_runs(name):
    """Dense, and its weights fit a format; the batch is the same at each call."""
    found = load_subject(name)
    sparse = prune(copy.deepcopy(found.model), found.patterns, "nm:1:8")
    with torch.inference_mode():
        found.model(found.batch)

    expected = {"resnet50": 52, "minilm": 36, "bert-base": 72}[name]
    actual = sum(isinstance(one, SparseTensor) for one in sparse.parameters())

    assert expected == actual
    assert torch.equal(found.batch, load_subject(name).batch)


def test_the_command_predicts_and_writes(file, tmp_path):
    """Tables, JSON and a page with a plot; with --check what was measured."""
    threads = str(torch.get_num_threads())
    files = [tmp_path / name for name in ("p.json", "p.html")]
    shown = run("predict", str(file), "--format", "nm:2:8", "--format", "nm:1:8", "--rounds", "3", "--threads", threads,
                "--json", str(files[0]), "--html", str(files[1]))
    data = json.loads(files[0].read_text())

    assert [one["format"] for one in data["forecasts"]] == ["nm:2:8", "nm:1:8"]
    assert {one["measured"] for one in data["forecasts"]} == {None}
    assert "measured ms" not in shown
    assert "times as fast" in shown
    assert files[1].read_text().count("<svg") == 1


def test_a_checked_prediction_shows_what_was_measured(tmp_path):
    """In all three reports; where it was measured the error stands beside it."""
    found = predict("by hand", samples(), HERE)
    console = Console(width=150, record=True, file=io.StringIO())
    print_prediction(found, console)
    shown = console.export_text()

    assert "+10%" in shown
    assert "a and 1 more" in shown
    assert json.loads(write_json(found, tmp_path / "p.json").read_text())["forecasts"][0]["error"] == pytest.approx(0.1)
    assert "measured" in write_html(found, tmp_path / "p.html").read_text()


@pytest.mark.parametrize(("worst", "code"), [(0.15, 0), (0.16, 1)])
def test_a_prediction_that_is_far_off_fails(monkeypatch, worst, code):
    """Exit code 1 beyond 15 %."""
    told = []

    def found(*request):
        told.append(request)
        return [Path("p.json")], lambda console: console.print("shown"), worst

    monkeypatch.setattr(sys.modules["sparseref.cli.predict"], "implementation", lambda command: found)
    shown = run("predict", "minilm", "--check", "--threads", "1", code=code)

    assert "shown" in shown
    assert "written: p.json" in shown
    assert ("off by 16%" in shown) == bool(code)
    assert told[0][:6] == ("minilm", ["nmg:2:20:4", "nmg:1:8:16", "nmg:2:8:8", "nmg:2:4:8"], None, 1, 9, True)


def test_what_cannot_be_predicted_is_refused(tmp_path):
    """Exit code 2."""
    assert "PREDICT-1" in run("predict", str(tmp_path / "none.py"), code=2)
    assert "4096 threads were asked for" in run("predict", "minilm", "--threads", "4096", code=2)


class Twice(nn.Module):
    """A layer that runs twice, by position and by keyword; one whose weight is read and that never runs; a lookup; a Conv1D."""

    def __init__(self):
        super().__init__()
        self.often, self.never, self.words = nn.Linear(16, 16), nn.Linear(16, 16, bias=False), nn.Embedding(32, 16)
        self.turned = Conv1D(32, 16)

    def forward(self, ids):
        x = self.words(ids)                                    # [4, 16]
        y = self.often(input=torch.cat([self.often(x), x]))    # 4 rows, then 8
        return self.turned(y @ self.never.weight.T)            # 8 rows


def test_what_runs_twice_or_never_or_is_no_product():
    """Rows and weights of every call count; a weight that no timed layer has is named, not forgotten."""
    torch.manual_seed(0)
    dense, ids = Twice().eval(), torch.arange(4)
    sparse = SparsityBuilder().set_weight("*.weight", format="nm:2:8").get_sparse_model(dense).eval()
    found = measure(dense, {"nm:2:8": sparse}, ids, 3, False)
    prediction = predict("twice", found, HERE)

    assert [(group.names, group.rows, len(group.calls)) for group in found.groups] == [(("often",), 12, 2), (("turned",), 8, 1)]
    assert found.unmet == ["never.weight", "words.weight"]
    assert "not in it: never.weight, words.weight, which no layer that was timed has" in sentences(prediction)
    assert at_least(found.groups[0], "nm:2:8", Machine("", 1, math.inf, "", 1.0)) == 2 * found.groups[0].bits["nm:2:8"] / 8


def test_layers_that_store_different_shares_are_apart(file):
    """Their formats have one name."""
    subject = load_subject(str(file))
    builder = SparsityBuilder().set_weight("2.weight", format="csr:0.9").set_weight("3.weight", format="csr:0.1")
    found = measure(subject.model, {"both": builder.get_sparse_model(subject.model).eval()}, subject.batch, 3, False)

    assert [group.names for group in found.groups] == [("2",), ("3",)]
    assert predict("", found, HERE).forecasts[0].density == pytest.approx(0.5, abs=0.001)


def test_a_task_that_trains_is_told_to_be_quick(tmp_path):
    path = tmp_path / "task.py"
    path.write_text(MODEL.replace("def load_model():", "def load_model(quick, progress):\n    assert quick") + EXAMPLE)

    assert load_subject(str(path)).name == "task"


def test_the_time_of_the_model_is_that_without_clocks(file, monkeypatch):
    """Hooks that cost much: the layers keep their share of what a plain call takes."""
    subject = load_subject(str(file))
    sparse = SparsityBuilder().set_weight("2.weight", format="nm:2:8").get_sparse_model(subject.model).eval()
    groups = measuring.groups_of(subject.model, {"nm:2:8": sparse}, subject.batch)
    monkeypatch.setattr(measuring, "_seconds", lambda model, batch: 1e-9)
    total, inside = measuring._inside(subject.model, groups, subject.batch)

    assert total == 1e-9
    assert 0 < inside[0] < total
