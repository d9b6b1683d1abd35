"""Distillation: a loss that pulls a sparse student towards the dense model that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseref import SpecError

PARTS = ("logits", "hidden", "embedding", "task")
"""What a loss can be made of; `losses` gives each that counts its weight."""

ALL_LAYERS = "all encoder layers"


class Distiller:
    """A batch -> a loss [] that compares a student with a teacher, and gradients for the student alone.

    losses: {part: weight}.  "logits": KL divergence of softened predictions, times temperature**2 (Hinton et al. 2015,
    arXiv 1503.02531); "hidden": mean squared error of hidden states, averaged over `hidden` (Jiao et al. 2020, arXiv
    1909.10351); "embedding": 1 - cosine of what `embed` makes of the outputs; "task": the loss in the student's output.
    hidden: {student module: teacher module} by name, or "all encoder layers", each with its namesake.
    embed: (output, batch) -> [B, D]; by default the mean of the last hidden state over the tokens that count.
    relative: divide each error of "hidden" by the variance of the teacher's states, so that all layers weigh alike.
    A batch is what the model takes: a dict is passed by keyword, a tuple or list by position, anything else alone.  Where it
    has an `attention_mask`, hidden states are compared at the tokens that count.
    `parts` holds the last value of every part, `embeddings` the last ones (student's, teacher's) [B, D].
    The teacher is put into eval mode and never gets a gradient.
    Errors: TRAIN-11.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, hidden: str | Mapping[str, str] | None = None,
                 losses: Mapping[str, float] | None = None, temperature: float = 2.0, relative: bool = False,
                 embed: Callable[[Any, Any], Tensor] | None = None) -> None:
        self.student, self.teacher, self.temperature, self.relative = student, teacher, temperature, relative
        self.losses = dict(losses) if losses is not None else {"hidden": 1.0} if hidden is not None else {"logits": 1.0}
        self.embed = embed if embed is not None else mean_embedding
        self.parts: dict[str, float] = {}
        self.embeddings: tuple[Tensor, ...] = ()
        self._check(hidden)
        self.hidden = _pairs(student, teacher, hidden) if self.losses.get("hidden") else {}

    def __call__(self, batch: Any) -> Tensor:
        """A batch -> loss []."""
        if self.teacher.training:
            self.teacher.eval()
        with torch.no_grad(), _outputs_of(self.teacher, self.hidden.values()) as wanted:
            target = _run(self.teacher, batch)
        with _outputs_of(self.student, self.hidden) as states:
            output = _run(self.student, batch)
        counting = [part for part, weight in self.losses.items() if weight]
        values = {part: self._part(part, batch, output, target, states, wanted) for part in counting}
        self.parts = {part: float(value.detach()) for part, value in values.items()}
        return torch.stack([self.losses[part] * value for part, value in values.items()]).sum()

    def _part(self, part: str, batch: Any, output: Any, target: Any, states: dict[str, Tensor],
              wanted: dict[str, Tensor]) -> Tensor:
        if part == "logits":
            return soft_kl(_logits(output), _logits(target), self.temperature)
        if part == "hidden":
            mask = _mask(batch)
            each = [token_mse(states[mine], wanted[theirs], mask, self.relative) for mine, theirs in self.hidden.items()]
            return torch.stack(each).mean()
        if part == "embedding":
            self.embeddings = self.embed(output, batch), self.embed(target, batch)
            return one_minus_cosine(*self.embeddings).mean()
        loss = _entry(output, "loss")
        if loss is None:                                                                   # TRAIN-11
            raise SpecError("TRAIN-11", "the student's output has no loss of its own.", given=type(output).__name__,
                            wanted="labels in the batch, and a model that makes a loss of them",
                            fix='leave "task" out, and add a loss of yours to what the distiller gives')
        return loss

    def _check(self, hidden: Any) -> None:
        unknown = [part for part in self.losses if part not in PARTS]
        if unknown or not any(self.losses.values()):                                       # TRAIN-11
            what = f"the distillation loss has no part {unknown[0]!r}." if unknown else "no part of the loss counts."
            raise SpecError("TRAIN-11", what, wanted=f"weights for some of {', '.join(PARTS)}", given=repr(self.losses))
        if self.losses.get("hidden") and hidden is None:                                   # TRAIN-11
            raise SpecError("TRAIN-11", "hidden states of which modules?", wanted="{student module: teacher module}",
                            given="hidden = None", fix=f'hidden="{ALL_LAYERS}"')
        if not self.temperature > 0:                                                       # TRAIN-11
            raise SpecError("TRAIN-11", "this is no temperature.", wanted="a number above 0", given=repr(self.temperature))
        mine = {id(parameter) for parameter in self.student.parameters()}
        if any(id(parameter) in mine for parameter in self.teacher.parameters()):          # TRAIN-11
            raise SpecError("TRAIN-11", "student and teacher share parameters, so the teacher would learn as well.",
                            wanted="two models", given="shared parameters",
                            fix="teacher = copy.deepcopy(model) before the student is pruned")


def soft_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """logits [..., C] twice -> []: mean over all rows of KL(teacher || student) at this temperature, times its square."""
    if student.shape != teacher.shape:                                                     # TRAIN-11
        raise SpecError("TRAIN-11", "the logits differ in shape.", wanted=f"{tuple(teacher.shape)}, the teacher's",
                        given=f"{tuple(student.shape)}")
    ours, theirs = (functional.log_softmax(logits.float().reshape(-1, logits.shape[-1]) / temperature, dim=-1)
                    for logits in (student, teacher))
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature ** 2


def token_mse(student: Tensor, teacher: Tensor, mask: Tensor | None, relative: bool = False) -> Tensor:
    """states [B, T, ...] twice, mask [B, T] or None -> []: mean squared error where the mask is not 0, over the variance."""
    if student.shape != teacher.shape:                                                     # TRAIN-11
        raise SpecError("TRAIN-11", "the hidden states differ in shape.", wanted=f"{tuple(teacher.shape)}, the teacher's",
                        given=f"{tuple(student.shape)}", fix="pair modules of the same width")
    if mask is not None and mask.shape == student.shape[:2]:
        student, teacher = student[mask.bool()], teacher[mask.bool()]
    error = functional.mse_loss(student.float(), teacher.float())
    return error / teacher.float().var().clamp_min(torch.finfo(torch.float32).tiny) if relative else error


def one_minus_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """vectors [..., D] twice -> [...]: half the squared distance of the unit vectors, which is 1 - cosine.

    Its gradient is exactly 0 where both are equal; that of 1 - cosine is rounding, which Adam would blow up to whole steps.
    """
    ours, theirs = functional.normalize(student, dim=-1), functional.normalize(teacher, dim=-1)
    return (ours - theirs).square().sum(dim=-1) / 2


def similarity_divergence(queries: tuple[Tensor, ...], texts: tuple[Tensor, ...], temperature: float) -> Tensor:
    """Embeddings (student's, teacher's) [Q, D] and [N, D] -> []: of which text each query finds, plus the other way round.

    Softmax over cosines / temperature says what is near, as in retrieval; who belongs to whom is not used.  The divergence is
    half the teacher's mean of squared log ratios: KL to second order, with a gradient that is exactly 0 where both are equal.
    """
    student, teacher = (functional.normalize(query, dim=-1) @ functional.normalize(text, dim=-1).T / temperature   # [Q, N]
                        for query, text in zip(queries, texts, strict=True))
    return _half_squared_log_ratio(student, teacher) + _half_squared_log_ratio(student.T, teacher.T)


def _half_squared_log_ratio(student: Tensor, teacher: Tensor) -> Tensor:
    """logits [R, C] twice -> []: the mean over rows."""
    ours, theirs = (functional.log_softmax(logits, dim=-1) for logits in (student, teacher))
    return (theirs.exp() * (ours - theirs).square()).sum(dim=-1).mean() / 2


def mean_embedding(output: Any, batch: Any) -> Tensor:
    """last_hidden_state [B, T, D], or a tensor [B, D] or [B, T, D] -> [B, D]: the mean over the tokens that count."""
    states = _entry(output, "last_hidden_state")
    states = output if states is None and isinstance(output, Tensor) else states
    if states is None:                                                                     # TRAIN-11
        raise SpecError("TRAIN-11", "the output has no last hidden state to make an embedding of.",
                        wanted="last_hidden_state, or a tensor", given=type(output).__name__, fix="pass embed=...")
    if states.dim() == 2:
        return states
    mask = _mask(batch)
    if mask is None:
        return states.mean(dim=1)
    weights = mask.to(states.dtype)[:, :, None]                                            # [B, T, 1]
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)


def _pairs(student: nn.Module, teacher: nn.Module, hidden: Any) -> dict[str, str]:
    """hidden -> {student module: teacher module}, all of which exist."""
    if hidden == ALL_LAYERS:
        mine, theirs = layer_names(student), layer_names(teacher)
        if not mine or len(mine) != len(theirs):                                           # TRAIN-11
            raise SpecError("TRAIN-11", "the layers of student and teacher cannot be paired.", wanted="as many in both",
                            given=f"{len(mine)} and {len(theirs)}", fix="name the pairs: {student module: teacher module}")
        return dict(zip(mine, theirs, strict=True))
    if not isinstance(hidden, Mapping) or not hidden:                                      # TRAIN-11
        raise SpecError("TRAIN-11", "these are no pairs of modules.", given=repr(hidden),
                        wanted=f'{{student module: teacher module}}, or "{ALL_LAYERS}"')
    for model, names, whose in ((student, hidden.keys(), "student"), (teacher, hidden.values(), "teacher")):
        known = dict(model.named_modules())
        for name in names:
            if name not in known:                                                          # TRAIN-11
                raise SpecError("TRAIN-11", f"the {whose} has no module {name!r}.", given=name,
                                wanted=f"a name such as {', '.join([known for known in known if known][:6])}")
    return dict(hidden)


def layer_names(model: nn.Module) -> list[str]:
    """The layers of an encoder: the members of the longest list of modules of one class, the first of those that tie."""
    best: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            kinds = {type(child) for child in module}
            found = [f"{name}.{key}" if name else key for key in module._modules]
            if len(kinds) == 1 and len(found) > len(best):
                best = found
    return best


@contextmanager
def _outputs_of(model: nn.Module, names: Any) -> Iterator[dict[str, Tensor]]:
    """Inside, the outputs of these modules are kept by name; afterwards no hook is left."""
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> None:
        kept[name] = output if isinstance(output, Tensor) else output[0]

    handles = [model.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: keep(name, output))
               for name in dict.fromkeys(names)]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _run(model: nn.Module, batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple | list) else model(batch)


def _entry(output: Any, name: str) -> Any:
    """`name` of a ModelOutput or a dict, or None."""
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def _logits(output: Any) -> Tensor:
    logits = output if isinstance(output, Tensor) else _entry(output, "logits")
    if logits is None:                                                                     # TRAIN-11
        raise SpecError("TRAIN-11", "the output has no logits.", wanted="a tensor, or an output with logits",
                        given=type(output).__name__, fix='use losses={"hidden": 1} or {"embedding": 1}')
    return logits


def _mask(batch: Any) -> Tensor | None:
    return batch.get("attention_mask") if isinstance(batch, Mapping) else None
