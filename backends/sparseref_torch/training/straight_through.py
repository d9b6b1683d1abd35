"""Straight-through training: a dense weight underneath, the forward pass sees only its pattern (STE, SR-STE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparseref import Dense, Layout, SpecError
from sparseref.descriptor import Descriptor, build

from ..tensor import SparseTensor, sparse_parameter
from .targets import Target


@dataclass(frozen=True)
class STE(Descriptor):
    """How the gradient reaches a dense weight of which the forward pass uses only some entries.

    The weight receives the gradient of the masked one as it is, dropped entries too, so they may grow back; `decay` times
    the weight is added to it at dropped entries (SR-STE), which keeps the pattern from flickering.  0: plain STE.
    Source: Bengio et al. 2013, arXiv 1308.3432; SR-STE: Zhou et al. 2021, arXiv 2102.04010, equation 9.
    """

    decay: float = 0.0
    name: ClassVar[str] = "ste"
    examples: ClassVar[tuple[str, ...]] = ("ste",)

    def __post_init__(self) -> None:
        if isinstance(self.decay, bool) or not isinstance(self.decay, int | float) or not self.decay >= 0:      # TRAIN-7
            raise SpecError("TRAIN-7", "this is no decay.", wanted="a number, 0 <= decay", given=f"decay = {self.decay!r}")

    def install(self, target: Target) -> None:
        """Put a dense target under a parametrization that stores everything at first.  Errors: TRAIN-7 for a sparse one."""
        parameter = target.parameter
        if isinstance(parameter, SparseTensor):                                            # TRAIN-7
            raise SpecError("TRAIN-7", f"{target.name} is sparse, so there are no dense weights to train underneath.",
                            wanted="a dense parameter", given=repr(parameter.descriptor), fix="begin with the dense model")
        straight = StraightThrough(torch.ones_like(parameter, dtype=torch.bool), float(self.decay))
        for place in target.places:
            parametrize.register_parametrization(place.module, place.attribute, straight)


@dataclass(frozen=True)
class SRSTE(STE):
    """STE with decay at dropped entries; 2e-4 is the paper's.  Source: Zhou et al. 2021, arXiv 2102.04010."""

    decay: float = 2e-4
    name: ClassVar[str] = "sr-ste"
    examples: ClassVar[tuple[str, ...]] = ("sr-ste", "sr-ste,decay=0.001")


LATENTS: dict[str, type[STE]] = {kind.name: kind for kind in (STE, SRSTE)}


def parse_latent(given: str | STE | None) -> STE | None:
    """`"sr-ste,decay=0.001"` -> SRSTE(0.001); None, or a STE, is given back.  Errors: TRAIN-7."""
    if given is None or isinstance(given, STE):
        return given
    head = given.split(",")[0].split(":")[0] if isinstance(given, str) else None
    if head not in LATENTS:                                                                # TRAIN-7
        raise SpecError("TRAIN-7", "this is no kind of latent weights.", wanted='None, "ste" or "sr-ste"', given=repr(given))
    return build(LATENTS[head], given)                         # type: ignore[arg-type]


class StraightThrough(nn.Module):
    """A parametrization: weight [shape] -> weight where `mask`, else 0; the gradient passes straight through."""

    mask: Tensor

    def __init__(self, mask: Tensor, decay: float) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.decay, self.layout = decay, Dense()

    def forward(self, weight: Tensor) -> Tensor:
        return _Masked.apply(weight, self.mask, self.decay)    # type: ignore[no-any-return]

    @property
    def stored(self) -> int:
        """How many entries the forward pass sees."""
        return int(self.mask.count_nonzero())

    def set_pattern(self, pattern: Tensor, layout: Layout) -> bool:
        """pattern bool [shape] -> whether it is another; layout: how `remove` will store it."""
        changed = layout != self.layout or not torch.equal(self.mask, pattern)
        self.layout = layout
        self.mask.copy_(pattern)
        return changed

    @torch.no_grad()
    def remove(self, target: Target) -> tuple[Tensor, Tensor]:
        """Put a sparse parameter in the place of the latent one -> (latent, sparse)."""
        latent = target.parameter
        for place in target.places:
            parametrize.remove_parametrizations(place.module, place.attribute, leave_parametrized=False)
        sparse: Any = sparse_parameter(target.placed(latent.detach(), self.mask, self.layout))
        sparse.requires_grad_(latent.requires_grad)
        target.put(sparse)
        return latent, sparse


def latent_of(target: Target) -> StraightThrough | None:
    """The parametrization that stands over a target, if there is one."""
    place = target.places[0]
    if not parametrize.is_parametrized(place.module, place.attribute):
        return None
    return next((found for found in place.module.parametrizations[place.attribute] if isinstance(found, StraightThrough)), None)


class _Masked(torch.autograd.Function):
    """where(mask, weight, 0), with the identity as its gradient and SR-STE's decay where the mask is False."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, mask: Tensor, decay: float) -> Tensor:
        ctx.decay = decay
        ctx.save_for_backward(weight, mask)
        return torch.where(mask, weight, 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        weight, mask = ctx.saved_tensors
        return (grad + ctx.decay * torch.where(mask, 0, weight) if ctx.decay else grad), None, None
