"""The proof of concept: a task, formats and seeds -> what each format costs in quality and gains in time and storage."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn

from ..files import load_model, save_model
from ..recipe import Recipe
from ..tensor import SparseTensor
from ..tensor.make import parse
from .journal import Journal
from .latency import latencies
from .modes import kept_modes
from .pruning import prune, pruners_of, recipe_of
from .report import CALIBRATED, CONTROL, DENSE, ONE_SHOT, TRAINED, Study, Variant
from .task import Task, taken
from .training import STEPS, train

Progress = Callable[[str, int, int], None]
"""Called with the stage, the steps done, and how many there are."""

LOOKS = 4
"""How often the score is looked at while the first seed trains."""
QUICK_STEPS, ROUNDS, QUICK_ROUNDS = 10, 30, 5


@dataclass
class Run:
    """A task with everything that decides its figures; `study()` measures what the journal does not have yet."""

    task: Task
    formats: Sequence[str] = ()
    seeds: int = 3
    steps: int | None = None
    quick: bool = False
    work: Path = Path("reports/poc/work")
    progress: Progress = lambda stage, done, total: None
    command: str = ""
    teacher: nn.Module = field(init=False)

    def study(self) -> Study:
        """-> every variant: dense, dense with the same training, and each format in one shot and trained."""
        steps = self.steps or (QUICK_STEPS if self.quick else self.task.steps or STEPS)
        self.formats = self.formats or self.task.formats
        recipes = {form: recipe_of(form) for form in self.formats}                         # refused before the work
        for form, recipe in recipes.items():
            if recipe is None:
                parse(form)
        self.teacher = self.task.dense(self.quick, self.progress).eval()
        self.journal = Journal(self.work, self.task.name, self._made_of(steps, recipes))
        variants = [self._variant("dense", DENSE, [self._once("dense", lambda: self._scored(self.teacher))])]
        variants.append(self._variant("dense", CONTROL, [self._trained("dense", seed, steps) for seed in range(self.seeds)]))
        for form in self.formats:
            shot = self._once(f"{form} one shot", partial(self._one_shot, form))
            variants.append(self._variant(form, ONE_SHOT, [shot]))
            if self.task.calibrate is not None:
                calibrated = self._once(f"{form} calibrated", partial(self._one_shot, form, self.task.calibrate))
                variants.append(self._variant(form, CALIBRATED, [calibrated]))
            variants.append(self._variant(form, TRAINED, [self._trained(form, seed, steps) for seed in range(self.seeds)]))
        return self._with_latency(Study(
            task=self.task.name, metric=self.task.metric, variants=tuple(variants), seeds=self.seeds, steps=steps,
            model_entries=sum(parameter.numel() for parameter in self.teacher.parameters()),
            pruned_entries=self._once("pruned", self._pruned_entries)["entries"], command=self.command,
            settings={"threads": str(torch.get_num_threads()), "cores": str(os.cpu_count()), "quick": str(self.quick)},
            versions={"python": sys.version.split()[0], **{name: version(name) for name in ("sparseref", "torch", "numpy")}}))

    def _made_of(self, steps: int, recipes: dict[str, Recipe | None]) -> list[bytes]:
        """All that decides a figure besides this package: the task's own file, how it is run, what the recipes say."""
        source = Path(inspect.getfile(self.task.load_model))
        said = [f"{form} {recipe.sha256}".encode() for form, recipe in sorted(recipes.items()) if recipe is not None]
        return [source.read_bytes(), f"{steps} {self.quick} {torch.__version__}".encode(), *said]

    def _once(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.progress(name, 0, 1)
        found = self.journal.once(name, measure)
        self.progress(name, 1, 1)
        return found

    def _scored(self, model: nn.Module) -> dict[str, Any]:
        """Score, its standard error, bits, sparsity and the task's other figures of a model as it is."""
        with kept_modes(model), torch.random.fork_rng():
            score, also = self.task.evaluate(model.eval()), self.task.also(model)
        value, error = score if isinstance(score, tuple) else (score, None)
        sparse = [weight for weight in model.parameters() if isinstance(weight, SparseTensor)]
        entries = sum(weight.numel() for weight in sparse)
        stored = sum(weight.nnz for weight in sparse)
        sparsity = 1 - stored / entries if entries else 0.0
        return {"score": float(value), "error": error, "bits": bits_of(model), "sparsity": sparsity, "also": also}

    def _one_shot(self, form: str, then: Callable[[nn.Module], None] = lambda model: None) -> dict[str, Any]:
        model = prune(deepcopy(self.teacher), self.task.prune, form)
        then(model)
        return self._scored(model)

    def _trained(self, form: str, seed: int, steps: int) -> dict[str, Any]:
        """One seed of one format, "dense" for the control; the first seed's model is kept, for its latency."""
        stage = f"{form} seed {seed}"
        return self._once(stage, lambda: self._train(form, seed, steps, stage))

    def _train(self, form: str, seed: int, steps: int, stage: str) -> dict[str, Any]:
        curve: list[tuple[int, float]] = []
        watching, looking = form != "dense" and seed == 0, 0.0

        def look(step: int) -> None:
            nonlocal looking
            self.progress(stage, step, steps)
            if watching and step < steps and step % max(steps // LOOKS, 1) == 0:
                start = perf_counter()
                curve.append((step, self._scored(model)["score"]))
                looking += perf_counter() - start

        start = perf_counter()
        model = deepcopy(self.teacher)
        pruners = [] if form == "dense" else pruners_of(form, model)
        if form != "dense" and not pruners:
            model = self._prepared(model, form, seed, stage)
        prepared = perf_counter()
        if watching:
            curve.append((0, self._scored(model)["score"]))
            start += perf_counter() - prepared
        train(model, self.teacher, self.task, steps, seed, look, pruners)
        seconds = perf_counter() - start - looking
        found = self._scored(model)
        if watching:
            curve.append((steps, found["score"]))
            save_model(model, self.journal.file(form))
        return {**found, "seconds": seconds, "curve": curve}

    def _prepared(self, model: nn.Module, form: str, seed: int, stage: str) -> nn.Module:
        """The dense model -> sparse, in the task's own way if it has one."""
        if self.task.prepare is None or recipe_of(form) is not None:
            return prune(model, self.task.prune, form)
        told = taken(self.task.prepare, {"quick": self.quick})
        return self.task.prepare(model, form=form, seed=seed, **told,
                                 progress=lambda done, total: self.progress(f"{stage}, pruning", done, total))

    def _variant(self, form: str, stage: str, found: list[dict[str, Any]]) -> Variant:
        first = found[0]
        return Variant(form, stage, tuple(one["score"] for one in found), first["bits"], first["sparsity"], first["error"],
                       seconds=sum(one.get("seconds", 0.0) for one in found) / len(found),
                       curve=tuple((step, score) for step, score in first.get("curve", ())), also=first["also"])

    def _pruned_entries(self) -> dict[str, Any]:
        model = prune(deepcopy(self.teacher), self.task.prune, self.formats[0])
        return {"entries": sum(weight.numel() for weight in model.parameters() if isinstance(weight, SparseTensor))}

    def _with_latency(self, study: Study) -> Study:
        """The same study with the latency of dense and of each trained format, measured in turn in this process."""
        models = {"dense": self.teacher}
        for form in self.formats:
            models[form] = deepcopy(self.teacher)
            load_model(models[form], self.journal.file(form))
        rounds = QUICK_ROUNDS if self.quick else ROUNDS
        found = self._once("latency", lambda: {name: [latency.p50, latency.p95] for name, latency in latencies(
            models, self.task.example(), rounds, on_round=lambda done: self.progress("latency", done, rounds)).items()})
        timed = {(name, DENSE if name == "dense" else TRAINED): times for name, times in found.items()}
        return study.timed(timed, self.journal.resumed)


def bits_of(model: nn.Module) -> int:
    """Bits of a model's parameters and buffers as they are stored, indices and padding included; tied ones count once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.bits if isinstance(tensor, SparseTensor) else 8 * tensor.numel() * tensor.element_size()
               for tensor in tensors.values())
