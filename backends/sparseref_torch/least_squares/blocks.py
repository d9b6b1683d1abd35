"""The parts of a model that run alone, one after the other, and the Linears in them in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparseref import SpecError

from ..training.distiller import layer_names
from ..training.targets import Target
from .tapping import Call, calls_of, tapped, where_added


@dataclass(frozen=True)
class Block:
    """A part of the model: its name, and with what the teacher calls it, batch by batch.

    follows: its first argument is the output of the block before.
    """

    name: str
    calls: list[Call]
    follows: bool


@dataclass(frozen=True)
class Place:
    """A Linear, as student and teacher have it, and the module of each that gets its output with something added, or None."""

    target: Target
    student: nn.Module
    teacher: nn.Module
    student_sum: nn.Module | None
    teacher_sum: nn.Module | None


def blocks_of(teacher: nn.Module, targets: list[Target], calls: list[Call]) -> list[Block]:
    """The layers of an encoder, if each gets what the one before gives and all targets lie in them; else the whole model.

    Errors: LSQ-2.
    """
    _check_runs(teacher, targets, calls[0])
    names = layer_names(teacher)
    inside = all(any(target.name.startswith(f"{name}.") for name in names) for target in targets)
    modules = [teacher.get_submodule(name) for name in names]
    if not (inside and len(names) > 1 and _is_chain(teacher, modules, calls[0])):
        return [Block("", calls, False)]
    found = [[call for _, call in calls_of(lambda call=call: call.run(teacher), modules)] for call in calls]   # [batch][block]
    return [Block(name, [of_batch[i] for of_batch in found], i > 0) for i, name in enumerate(names)]


def _check_runs(teacher: nn.Module, targets: list[Target], call: Call) -> None:
    modules = {target: teacher.get_submodule(path_of(target)) for target in targets}
    ran = [module for module, _ in calls_of(lambda: call.run(teacher), list(modules.values()))]
    for target, module in modules.items():
        count = sum(one is module for one in ran)
        if count != 1 or len(target.places) > 1:                                           # LSQ-2
            given = f"one that runs {count} times" if count != 1 else "one whose weight is tied to another's"
            raise SpecError("LSQ-2", f"{target.name} cannot be solved for.", given=given,
                            wanted="a Linear that runs once in a forward pass", fix="leave it out, and prune it by magnitude")


def _is_chain(teacher: nn.Module, modules: list[nn.Module], call: Call) -> bool:
    made = calls_of(lambda: call.run(teacher), modules)
    if [module for module, _ in made] != modules or not all(one.args and isinstance(one.args[0], Tensor) for _, one in made):
        return False
    _, outputs = tapped(lambda: call.run(teacher), outputs=modules)
    return all(torch.equal(output, later.args[0]) for output, (_, later) in zip(outputs, made[1:], strict=False))


def stages(student: nn.Module, teacher: nn.Module, call: Call, targets: list[Target], prefix: str) -> list[list[Place]]:
    """Both blocks, how the teacher's is called -> the targets in the order in which they run; those with one input together."""
    by_module = {teacher.get_submodule(path_of(target).removeprefix(prefix).removeprefix(".")): target for target in targets}
    names = {module: name for name, module in teacher.named_modules()}
    found: list[list[Place]] = []
    before: Tensor | None = None
    for module, one in calls_of(lambda: call.run(teacher), list(by_module)):
        added = where_added(lambda: call.run(teacher), teacher, module)
        place = Place(by_module[module], student.get_submodule(names[module]), module,
                      None if added is None else student.get_submodule(names[added]), added)
        if one.args[0] is before:
            found[-1].append(place)
        else:
            found.append([place])
        before = one.args[0]
    return found


def path_of(target: Target) -> str:
    """The name of the module that holds the weight."""
    return target.places[0].name.rpartition(".")[0]
