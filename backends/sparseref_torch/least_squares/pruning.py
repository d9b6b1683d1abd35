"""Layer by layer: the sparse weight that, for what the pruned model gets there, comes nearest to what the dense one gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sparseref import SpecError

from ..tensor import sparse_parameter
from ..tensor.make import Format, as_matrix, choose, parse
from ..training.targets import Target, Which, targets_of
from .blocks import Block, Place, blocks_of, stages
from .moments import Gatherer, Moments
from .solving import best_dense, best_sparse
from .tapping import Call, call_of, first_tensor, tapped

Progress = Callable[[int, int], None]
"""Called with how many weights are done, and of how many."""


@torch.no_grad()
def prune_by_least_squares(student: nn.Module, teacher: nn.Module, batches: Iterable[Any], which: Which, form: Format,
                           progress: Progress = lambda done, total: None) -> nn.Module:
    """A copy of the dense teacher, and what models like it are called with -> the student, its Linears sparse, in place.

    From the first to the last, each Linear is solved for: its inputs are those of the student, pruned as far as it is, the
    outputs that it should give are the teacher's.  Where something is added to the output, as by a residual connection, the
    sum is what should be the teacher's, so that a later Linear makes good what earlier ones lost.  Biases follow.  Nothing is
    trained and no label is needed; some hundred texts or images do.  Tokens whose `attention_mask` is 0 do not count.

    which: names, patterns, or a Selector, of the weights of Linears or of Hugging Face's Conv1D.  form: sparsifier and layout.
    Both models are put into eval mode.
    Errors: LSQ-1 (no Linear, or no batch), LSQ-2 (one that runs never, or more than once), BUILD-1, those of the format.
    """
    student.eval()
    teacher.eval()
    calls = [call_of(batch) for batch in batches]
    if not calls:                                                                          # LSQ-1
        raise SpecError("LSQ-1", "there is no data to prune by.", wanted="batches that the model can be called with",
                        given="none")
    targets = [_checked(target) for target in targets_of(student, which)]
    solver = _Solver(form, [_mask(call) for call in calls], progress, len(targets))
    for block in blocks_of(teacher, targets, calls):
        mine = [target for target in targets if target.places[0].name.startswith(f"{block.name}.") or not block.name]
        solver.solve(student.get_submodule(block.name), teacher.get_submodule(block.name), block, mine)
    for target, (weight, pattern) in solver.found.items():
        target.put(sparse_parameter(target.placed(weight, pattern, solver.layout)))
    return student


class _Solver:
    """Solves for one block after the other; keeps what was found, and the student's hidden states between blocks."""

    def __init__(self, form: Format, masks: list[Tensor | None], progress: Progress, total: int) -> None:
        self.sparsifier, self.layout = parse(form)
        self.masks, self.progress, self.total = masks, progress, total
        self.found: dict[Target, tuple[Tensor, Tensor]] = {}
        self.hidden: list[Tensor] = []
        progress(0, total)

    def solve(self, student: nn.Module, teacher: nn.Module, block: Block, targets: list[Target]) -> None:
        """One block of both models, and the targets in it."""
        calls = block.calls
        if block.follows:
            calls = [call.with_first(hidden) for call, hidden in zip(calls, self.hidden, strict=True)]
        for stage in stages(student, teacher, block.calls[0], targets, block.name) if targets else ():
            gatherer = Gatherer()
            for ours, theirs, mask in zip(calls, block.calls, self.masks, strict=True):
                x, wanted = rows(student, teacher, ours, theirs, stage)
                gatherer.add(counted(x, mask), torch.cat([counted(y, mask) for y in wanted], dim=1))
            start = 0
            for place in stage:
                end = start + as_matrix(place.target.values, place.target.turned).shape[0]
                self._solve(place, gatherer.moments(place.student.bias is not None).of(slice(start, end)))
                start = end
        self.hidden = [first_tensor(call.run(student)) for call in calls]

    def _solve(self, place: Place, moments: Moments) -> None:
        target, bias = place.target, place.student.bias
        dense = as_matrix(target.values, target.turned)                                    # [O, K]
        weight, pattern = best_sparse(best_dense(moments, dense), moments.xx, self.sparsifier,
                                      lambda scores, sparsifier: choose(dense, sparsifier, scores))
        if bias is not None:
            bias.copy_(moments.bias(weight))
        self.found[target] = (weight.T, pattern.T) if target.turned else (weight, pattern)
        target.parameter.copy_(self.found[target][0])
        self.progress(len(self.found), self.total)


def rows(student: nn.Module, teacher: nn.Module, ours: Call, theirs: Call, stage: list[Place]) -> tuple[Tensor, list[Tensor]]:
    """Both blocks and how they are called -> what the stage gets [..., K], and what each of its Linears should give [..., O].

    With a sum behind it, a Linear should give what the teacher's sum has and the student's other summand has not.
    """
    summed = [place for place in stage if place.teacher_sum is not None]
    x, y, here = _seen(student, ours, stage[:1], summed, [place.student_sum for place in summed], "student")
    _, wanted, there = _seen(teacher, theirs, [], stage, [place.teacher_sum for place in summed], "teacher")
    wanted_of = dict(zip(map(id, stage), wanted, strict=True))
    for place, output, ours_sum, theirs_sum in zip(summed, y, here, there, strict=True):
        wanted_of[id(place)] = theirs_sum - (ours_sum - output)
    return x[0], [wanted_of[id(place)] for place in stage]


def _seen(block: nn.Module, call: Call, inputs: list[Place], outputs: list[Place], sums: list[Any], whose: str) \
        -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """What Linears get and give, and the sums; the block itself stands for what it gives."""
    linears = [getattr(place, whose) for place in inputs]
    inner = [module for module in sums if module is not block]
    got, gave = tapped(lambda: call.run(block), [*linears, *inner],
                       [*(getattr(place, whose) for place in outputs), *([block] if len(inner) < len(sums) else [])])
    of_sums = dict(zip(map(id, inner), got[len(linears):], strict=True))
    return got[:len(linears)], gave[:len(outputs)], [of_sums.get(id(module), gave[-1]) for module in sums]


def counted(tensor: Tensor, mask: Tensor | None) -> Tensor:
    """tensor [B, T, D], mask [B, T] -> [N, D], the tokens that count; of another shape, or without a mask, all rows."""
    if mask is not None and tensor.shape[:-1] == mask.shape:
        return tensor[mask.bool()]
    return tensor.reshape(-1, tensor.shape[-1])


def _mask(call: Call) -> Tensor | None:
    return call.kwargs.get("attention_mask")


def _checked(target: Target) -> Target:
    module = target.places[0].module
    if not (isinstance(module, nn.Linear) or target.turned):                               # LSQ-1
        raise SpecError("LSQ-1", f"{target.name} is the weight of a {type(module).__name__}.", wanted="that of a Linear",
                        given=str(tuple(target.parameter.shape)), fix="leave it out, and prune it by magnitude")
    return target
