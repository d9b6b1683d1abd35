"""Scores that training gathers, step by step; their definitions are the specification's (SCORE-S1 to SCORE-S3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import sparseref.sparsifiers as spec
from sparseref import SpecError

from ..builder.selector import is_turned


class Scores(ABC):
    """What ranks the entries of a tensor; one object serves all tensors of a model, each under its name.

    A score of one's own writes `of`, and those of the others that it needs.
    """

    name: ClassVar[str]
    needs_gradients: ClassVar[bool] = False

    @abstractmethod
    def of(self, name: str, values: Tensor) -> Tensor:
        """values [shape] -> float64 [shape], higher is kept.  Errors: TRAIN-3 before anything was gathered."""

    def observe(self, name: str, values: Tensor, gradient: Tensor) -> None:  # noqa: B027
        """values, gradient [shape] of one step, before the optimizer uses them."""

    def watch(self, name: str, module: nn.Module, attribute: str) -> None:  # noqa: B027
        """Begin to look at the module that holds the tensor."""

    def stop(self) -> None:  # noqa: B027
        """Leave no hook behind."""

    def state_dict(self) -> dict[str, Any]:
        """What was gathered, for a run that goes on later."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take up what `state_dict` gave."""


class Magnitude(Scores):
    """|w| (SPF-2)."""

    name = "magnitude"

    def of(self, name: str, values: Tensor) -> Tensor:
        return values.double().abs()


class Random(Scores):
    """A number for each entry, drawn once: the baseline that a score has to beat, and nested at growing sparsity."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.generator, self.drawn = np.random.default_rng(seed), dict[str, Tensor]()

    def of(self, name: str, values: Tensor) -> Tensor:
        if name not in self.drawn:
            self.drawn[name] = torch.from_numpy(self.generator.random(tuple(values.shape))).to(values.device)
        return self.drawn[name]

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": dict(self.drawn), "generator": self.generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn, self.generator.bit_generator.state = dict(state["drawn"]), state["generator"]


class Gathered(Scores):
    """Scores that add something up, one float64 tensor for each name."""

    needs = ""

    def __init__(self) -> None:
        self.total, self.count = dict[str, Tensor](), dict[str, int]()

    def add(self, name: str, what: Tensor, count: int = 1) -> None:
        """what float64 [...] -> added to what stands under the name."""
        self.total[name] = what if name not in self.total else self.total[name] + what
        self.count[name] = self.count.get(name, 0) + count

    def gathered(self, name: str) -> Tensor:
        """float64 [...].  Errors: TRAIN-3."""
        if name not in self.total:                                                         # TRAIN-3
            raise SpecError("TRAIN-3", f"the {self.name} score of {name} has seen nothing yet.", wanted=self.needs,
                            given="none", fix="begin to prune later, e.g. OneShot(at=100) or Cubic(begin=100, end=1000)")
        return self.total[name]

    def state_dict(self) -> dict[str, Any]:
        return {"total": dict(self.total), "count": dict(self.count)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total, self.count = dict(state["total"]), dict(state["count"])


class Movement(Gathered):
    """The sum over the steps of -w * dL/dw (SCORE-S1).  Source: Sanh et al. 2020, arXiv 2005.07683, equation 2."""

    name, needs, needs_gradients = "movement", "gradients of at least one step", True

    def observe(self, name: str, values: Tensor, gradient: Tensor) -> None:
        self.add(name, _by_spec(spec.movement, values, gradient))

    def of(self, name: str, values: Tensor) -> Tensor:
        return self.gathered(name)


class Fisher(Gathered):
    """w**2 * F (SCORE-S2), F the mean over the steps of the squared gradient: the diagonal of the empirical Fisher."""

    name, needs, needs_gradients = "fisher", "gradients of at least one step", True

    def observe(self, name: str, values: Tensor, gradient: Tensor) -> None:
        self.add(name, gradient.double() ** 2)

    def of(self, name: str, values: Tensor) -> Tensor:
        return _by_spec(spec.fisher, values, self.gathered(name) / self.count[name])


class Wanda(Gathered):
    """|w[o, k]| * norm of input feature k over all tokens seen (SCORE-S3), through hooks on the modules' inputs.

    A convolution's features are those of its matrix [O, C*kh*kw]: the pixels under each place of the kernel.
    Source: Sun et al. 2023, arXiv 2306.11695.
    """

    name, needs = "wanda", "at least one forward pass"

    def __init__(self) -> None:
        super().__init__()
        self.handles: list[Any] = []
        self.turned: dict[str, bool] = {}

    def watch(self, name: str, module: nn.Module, attribute: str) -> None:
        """Errors: TRAIN-3 for a module whose inputs are not what its weight is multiplied with."""
        is_convolution = isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
        self.turned[name] = is_turned(module, attribute)
        if attribute != "weight" or not (isinstance(module, nn.Linear) or is_convolution or self.turned[name]):  # TRAIN-3
            raise SpecError("TRAIN-3", f"the wanda score of {name} needs the inputs of its weight.",
                            wanted="the weight of a Linear, a Hugging Face Conv1D, or a Conv2d of one group",
                            given=f"{attribute} of {type(module).__name__}", fix='leave it out, or use scores="magnitude"')

        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            features = self.columns(module, inputs[0].detach())                            # [T, K]
            squares = features.cpu().double().numpy() ** 2
            self.add(name, torch.from_numpy(squares.sum(axis=0)).to(features.device), len(squares))      # SCORE-S3

        self.handles.append(module.register_forward_pre_hook(hook))

    @staticmethod
    def columns(module: nn.Module, x: Tensor) -> Tensor:
        """x [..., K], or [B, C, H, W] of a convolution -> what the weight's matrix is multiplied with [T, K]."""
        if not isinstance(module, nn.Conv2d):
            return x.reshape(-1, x.shape[-1])
        if isinstance(module.padding, str):                    # "same" may pad more on one side
            x = functional.pad(x, module._reversed_padding_repeated_twice)
        padding = 0 if isinstance(module.padding, str) else module.padding
        patches = functional.unfold(x, module.kernel_size, module.dilation, padding, module.stride)      # [B, K, L]
        return patches.transpose(1, 2).reshape(-1, patches.shape[1])

    def of(self, name: str, values: Tensor) -> Tensor:
        norms = torch.from_numpy(np.sqrt(self.gathered(name).cpu().numpy()))               # [K]; torch's may be off by an ulp
        matrix = values.T if self.turned[name] else values.reshape(values.shape[0], -1)    # [O, K]
        score = _by_spec(spec.wanda, matrix, norms[None])      # one token with these norms: sqrt(x * x) is x
        return score.T if self.turned[name] else score.reshape(values.shape)

    def stop(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles.clear()


def _by_spec(score: Any, *operands: Tensor) -> Tensor:
    """The specification's own function, which speaks NumPy: tensors [...] -> float64 tensor on the device of the first."""
    arrays = [operand.detach().cpu().double().numpy() for operand in operands]
    return torch.from_numpy(np.asarray(score(*arrays))).to(operands[0].device)


SCORES: dict[str, type[Scores]] = {kind.name: kind for kind in (Magnitude, Random, Movement, Fisher, Wanda)}


def parse_scores(given: str | Scores) -> Scores:
    """`"movement"` -> Movement(); Scores are given back.  Errors: TRAIN-3."""
    if isinstance(given, Scores):
        return given
    if not isinstance(given, str) or given not in SCORES:                                  # TRAIN-3
        raise SpecError("TRAIN-3", "these are no scores.", wanted=f"{', '.join(SCORES)}, or a Scores object", given=repr(given))
    return SCORES[given]()
