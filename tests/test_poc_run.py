"""The runner of the proof: all variants measured, resumed where it was interrupted, and no wrong output timed."""

from dataclasses import replace

import pytest
import torch
from sparseref_torch import SparseTensor
from sparseref_torch.poc.latency import check
from sparseref_torch.poc.pruning import prune
from sparseref_torch.poc.report import CALIBRATED, CONTROL, DENSE, ONE_SHOT, TRAINED
from sparseref_torch.poc.run import Run, bits_of
from sparseref_torch.poc.task import Task, imitate
from sparseref_torch.poc.training import train
from torch import nn

from sparseref import SpecError


def load_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))


def train_batches(seed):
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(16, 32, generator=generator)


def evaluate(model):
    x = torch.randn(50, 32, generator=torch.Generator().manual_seed(99))
    return 1 - (model(x) - load_model()(x)).square().mean().item(), 0.01


@pytest.fixture
def task():
    return Task("toy", load_model, train_batches, evaluate, imitate, None, lambda: torch.ones(1, 32), "score")


def run(task, folder, **settings):
    return Run(task, ["csr:0.9"], **{"seeds": 2, "steps": 20, "quick": True, "work": folder} | settings).study()


def test_each_format_is_measured_in_one_shot_and_trained(task, tmp_path):
    """Beside dense as it was loaded, and dense with the same training; storage, latency and the curve are there."""
    study = run(replace(task, calibrate=lambda model: None), tmp_path)
    expected = [("dense", DENSE), ("dense", CONTROL), ("csr:0.9", ONE_SHOT), ("csr:0.9", CALIBRATED), ("csr:0.9", TRAINED)]
    actual = [(one.format, one.stage) for one in study.variants]

    assert expected == actual
    loaded, control, shot, calibrated, trained = study.variants
    assert loaded.scores == (1.0,)
    assert control.scores == (1.0, 1.0)                        # imitating itself, dense has nothing to learn
    assert shot.scores == calibrated.scores
    assert min(trained.scores) > shot.score
    assert (len(trained.scores), trained.sparsity > 0.89, trained.bits < loaded.bits) == (2, True, True)
    assert [step for step, _ in trained.curve] == [0, 5, 10, 15, 20]
    assert loaded.p50 <= loaded.p95
    assert trained.p50 <= trained.p95
    assert (study.model_entries, study.pruned_entries) == (4192, 4096)


def test_other_figures_of_a_task_are_shown_beside_its_score(task, tmp_path):
    """Of each variant, the first seed's."""
    study = run(replace(task, also=lambda model: {"norm": float(model[0].weight.detach().to_dense().norm())}), tmp_path)

    assert all(set(one.also) == {"norm"} for one in study.variants)
    assert study.variants[0].also["norm"] > study.variants[2].also["norm"] > 0
    assert study.also[0].startswith(f"norm: {study.variants[0].also['norm']:.3f} dense; ")


@pytest.mark.parametrize("quick", [True, False])
def test_a_task_prunes_in_its_own_way(task, tmp_path, quick):
    """It is told of the format, the seed and, if it takes it, of quick."""
    told = []

    def prepare(model, form, seed, progress, quick):
        told.append((form, seed, quick))
        return prune(model, task.prune, form)

    run(replace(task, prepare=prepare), tmp_path, quick=quick, steps=2)

    assert told == [("csr:0.9", 0, quick), ("csr:0.9", 1, quick)]


def test_an_interrupted_run_goes_on_where_it_was(task, tmp_path):
    """What was measured is kept, and nothing else is."""
    def interrupted(stage, done, total):
        if stage == "csr:0.9 seed 1" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path, progress=interrupted)
    study = run(task, tmp_path)
    again = run(task, tmp_path)

    assert study.resumed == 5                                  # dense, two controls, one shot, seed 0
    assert [one.scores for one in study.variants] == [one.scores for one in again.variants]
    assert again.variants == study.variants


@pytest.mark.parametrize("changed", [{"steps": 10}, {"quick": False}])
def test_another_run_takes_nothing_from_this_one(task, tmp_path, changed):
    """What decides a figure is in the journal's key."""
    run(task, tmp_path, seeds=1, steps=5)
    study = run(task, tmp_path, **{"seeds": 1, "steps": 5} | changed)

    assert study.resumed == 0


def test_a_recipe_prunes_while_it_trains(task, tmp_path):
    """Its schedule runs beside the optimizer; one shot is its last level at once."""
    recipe = tmp_path / "gradual.toml"
    recipe.write_text('version = 1\n[[weight]]\nmodule = ["Linear"]\nformat = "csr:0.8"\n'
                      '[schedule]\nkind = "cubic"\nbegin = 0\nend = 10\nevery = 5\n')
    study = Run(task, [str(recipe)], 1, 20, True, tmp_path / "work").study()
    expected = [0.8, 0.8]
    actual = [round(one.sparsity, 2) for one in study.variants if one.stage in (ONE_SHOT, TRAINED)]

    assert expected == actual


@pytest.mark.parametrize(("changed", "clause"), [
    ({"loss": lambda model, teacher, batch: model(batch).sum() * float("nan")}, "POC-2"),
    ({"train_batches": lambda seed: [torch.ones(1, 32)]}, "POC-3")])
def test_training_that_cannot_go_on_is_refused(task, changed, clause):  # POC-2, POC-3
    """A loss that is no number, and batches that run out."""
    with pytest.raises(SpecError) as refused:
        train(load_model(), load_model(), replace(task, **changed), 3, 0, lambda step: None)

    assert refused.value.clause == clause


def test_a_wrong_output_is_not_timed(task):  # POC-4
    """A model that computes something else than its weights say."""
    model = prune(load_model(), task.prune, "csr:0.9")
    model.register_forward_hook(lambda module, args, output: output * (1 + 1e-4) if isinstance(
        module[0].weight, SparseTensor) else output)
    with pytest.raises(SpecError) as refused:
        check("csr:0.9", model, task.example())

    assert refused.value.clause == "POC-4"


def test_the_bits_of_a_model_are_those_of_what_it_stores(task):
    """Sparse weights with their indices, the rest as it is."""
    model = prune(load_model(), task.prune, "csr:0.9")
    expected = model[0].weight.bits + model[2].weight.bits + 32 * (64 + 32)
    actual = bits_of(model)

    assert expected == actual
