"""Reconstruction: after pruning, the values of the kept entries by least squares, layer by layer; no gradient is needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sparseref import SpecError

from ..builder.selector import is_turned
from ..tensor import SparseTensor
from .distiller import _mask, _run
from .scores import Wanda

SOLVED_AT_ONCE = 2**24
"""Entries of the systems that are solved together: 128 MiB of float64."""


class _Stop(Exception):
    """Ends a forward pass as soon as the layers that were asked for have run."""


@torch.no_grad()
def reconstruct(model: nn.Module, teacher: nn.Module, batches: Iterable[Any], damping: float = 0.01) -> dict[str, float]:
    """A sparse model, the dense one it was made from, some batches -> {weight: relative error of its layer's output}.

    Layers that read the same tensor are solved together, in the order in which the model runs them, so that each sees the
    inputs that the layers before it, sparse and solved, really give: for every row w of a weight, of the kept entries alone,

        minimise  |w X - y|**2 + damping * mean diagonal of XX' * |w - w0|**2     y: the teacher's outputs, w0: its row

    by Cholesky of the normal equations in float64; a bias is set so that means agree.  Patterns stay.
    batches: as a Distiller takes them; where one has an `attention_mask`, padding does not count.
    Source: layer-wise pruning with least squares: He et al. 2017, arXiv 1707.06168; Hubara et al. 2021, arXiv 2102.08124;
    SparseGPT, Frantar & Alistarh 2023, arXiv 2301.00774.  Errors: TRAIN-12.
    """
    batches, errors = list(batches), {}
    layers = _layers(model, teacher)
    if not damping > 0 or not batches:                                                     # TRAIN-12
        raise SpecError("TRAIN-12", "the least squares are not determined.", wanted="damping > 0 and at least one batch",
                        given=f"damping = {damping!r}, {len(batches)} batches")
    before = model.training, teacher.training
    model.eval(), teacher.eval()
    try:
        for group in _groups(model, layers, batches[0]):
            moments = [_Moments(getattr(layers[name], "bias", None) is not None) for name in group]
            for batch in batches:
                ours = _seen(model, group, batch)
                theirs = _seen(teacher, group, batch)
                for moment, name in zip(moments, group, strict=True):
                    moment.add(ours[name][0], theirs[name][1])
            for moment, name in zip(moments, group, strict=True):
                errors[f"{name}.weight"] = _solve(layers[name], teacher.get_submodule(name), moment, damping)
    finally:
        model.train(before[0]), teacher.train(before[1])
    return errors


class _Moments:
    """Sums over tokens, kept in float64: of x [K], y [O], xx = x'x [K, K], yx = y'x [O, K], and yy = y squared [].

    about_mean: at the end about the means, which a bias takes up; until then about those of the first batch, since about 0 a
    feature with a large mean would lose its variance to rounding.
    """

    def __init__(self, about_mean: bool) -> None:
        self.about_mean, self.count = about_mean, 0
        self.x = self.y = self.xx = self.yx = self.yy = self.from_x = self.from_y = torch.zeros(())

    def add(self, x: Tensor, y: Tensor) -> None:
        """x [T, K], y [T, O]."""
        if not self.count and self.about_mean:
            self.from_x, self.from_y = x.mean(0), y.mean(0)
        x, y, self.count = x - self.from_x, y - self.from_y, self.count + len(x)
        self.x, self.y = self.x + x.sum(0).double(), self.y + y.sum(0).double()
        self.xx, self.yx, self.yy = self.xx + (x.T @ x).double(), self.yx + (y.T @ x).double(), self.yy + (y * y).sum().double()

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """-> xx [K, K], yx [O, K], yy []."""
        if not self.about_mean:
            return self.xx, self.yx, self.yy
        x, y = self.x / self.count, self.y / self.count
        return self.xx - self.count * torch.outer(x, x), self.yx - self.count * torch.outer(y, x), self.yy - self.count * y @ y

    def bias(self, weight: Tensor) -> Tensor:
        """weight [O, K] -> [O], with which the means agree."""
        return self.from_y + self.y / self.count - weight @ (self.from_x + self.x / self.count)


def _solve(layer: nn.Module, dense: nn.Module, moments: _Moments, damping: float) -> float:
    """Set the layer's kept entries and its bias -> squared error over squared (centred) output of the teacher."""
    parameter: Any = layer.weight
    xx, yx, yy = moments.moments()
    ridge = damping * xx.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    start = _matrix(layer, dense.weight.detach().double())                                 # [O, K]
    weight = kept_least_squares(xx + ridge * torch.eye(len(xx)).to(xx), yx + ridge * start, _matrix(layer, parameter.pattern))
    values = weight.T if is_turned(layer, "weight") else weight
    parameter.copy_(parameter.detach().like(values.reshape(parameter.shape).to(parameter.dtype)))
    if moments.about_mean:
        layer.bias.copy_(moments.bias(weight))                                             # type: ignore[operator, union-attr]
    error = (weight @ xx * weight).sum() - 2 * (weight * yx).sum() + yy
    return max(float(error / yy.clamp_min(torch.finfo(torch.float64).tiny)), 0.0)


def kept_least_squares(xx: Tensor, yx: Tensor, kept: Tensor) -> Tensor:
    """xx [K, K] positive definite, yx [O, K], kept bool [O, K] -> w [O, K]: least w xx w' - 2 w yx' with 0 where not kept.

    Each row is a system of its own over its kept entries; shorter ones are filled up with the identity.
    """
    result, counts = torch.zeros_like(yx), kept.sum(1)
    longest = int(counts.max()) if kept.numel() else 0
    rows = max(1, SOLVED_AT_ONCE // max(longest, 1) ** 2)
    for first in range(0, len(kept) if longest else 0, rows):
        mask = kept[first:first + rows]
        place = mask.byte().argsort(dim=1, descending=True, stable=True)[:, :longest]      # [r, S]
        real = mask.gather(1, place)
        system = xx[place[:, :, None], place[:, None, :]] * (real[:, :, None] & real[:, None, :])      # [r, S, S]
        system = system + torch.diag_embed((~real).to(xx))
        right = yx[first:first + rows].gather(1, place) * real
        solved = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(system))[:, :, 0] * real
        result[first:first + rows].scatter_(1, place, solved)
    return result


def _layers(model: nn.Module, teacher: nn.Module) -> dict[str, nn.Module]:
    """name -> module, for every sparse weight.  Errors: TRAIN-12."""
    found: dict[str, nn.Module] = {}
    others = dict(teacher.named_modules())
    for name, module in model.named_modules():
        if not isinstance(module._parameters.get("weight"), SparseTensor):
            continue
        plain = isinstance(module, nn.Linear) or is_turned(module, "weight") or (
            isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros")
        same = name in others and getattr(others[name], "weight", torch.empty(0)).shape == module.weight.shape
        if not plain or not same:                                                          # TRAIN-12
            raise SpecError("TRAIN-12", f"{name} cannot be reconstructed.", given=type(module).__name__,
                            wanted="a Linear, a Hugging Face Conv1D or a Conv2d of one group, with its namesake in the teacher")
        found[name] = module
    if not found:                                                                          # TRAIN-12
        raise SpecError("TRAIN-12", "the model has no sparse weight to reconstruct.", wanted="a model after pruning",
                        given="dense weights", fix="finish() the pruner first")
    return found


def _groups(model: nn.Module, layers: dict[str, nn.Module], batch: Any) -> list[list[str]]:
    """The layers in the order in which they run, those that read one and the same tensor together.  Errors: TRAIN-12."""
    groups: dict[int, list[str]] = {}
    held: list[Tensor] = []                                    # an id is one tensor's only while the tensor lives

    def note(name: str, x: Tensor) -> None:
        held.append(x)
        names = groups.setdefault(id(x), [])
        if any(name in group for group in groups.values()):                                # TRAIN-12
            raise SpecError("TRAIN-12", f"{name} runs more than once in a forward pass.", wanted="layers that run once each",
                            given=name, fix="distil instead")
        names.append(name)

    handles = [module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
               for name, module in layers.items()]
    try:
        _run(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    missing = [name for name in layers if not any(name in group for group in groups.values())]
    if missing:                                                                            # TRAIN-12
        raise SpecError("TRAIN-12", f"{missing[0]} does not run on these batches.", wanted="layers that run once each",
                        given=f"{len(missing)} that do not run")
    return list(groups.values())


def _seen(model: nn.Module, names: list[str], batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """name -> inputs [T, K] and outputs [T, O] of these layers; the forward pass ends with the last of them."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    mask = _mask(batch)

    def keep(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        x = inputs[0]
        rows = Wanda.columns(module, x)
        outs = output.flatten(2).transpose(1, 2) if isinstance(module, nn.Conv2d) else output
        outs = outs.reshape(-1, outs.shape[-1])
        if mask is not None and mask.shape == x.shape[:2] and not isinstance(module, nn.Conv2d):
            counts = mask.reshape(-1).bool()
            rows, outs = rows[counts], outs[counts]
        seen[name] = rows, outs
        if len(seen) == len(names):
            raise _Stop

    handles = [model.get_submodule(name).register_forward_hook(
        lambda module, inputs, output, name=name: keep(name, module, inputs, output)) for name in names]
    try:
        _run(model, batch)
    except _Stop:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _matrix(layer: nn.Module, tensor: Tensor) -> Tensor:
    """[shape] of the layer's weight -> its matrix [O, K]."""
    return tensor.T if is_turned(layer, "weight") else tensor.reshape(tensor.shape[0], -1)
