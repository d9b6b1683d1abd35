"""What the tests of real models share: making a model sparse, and how far rounding may move what it computes.

Two checks of the numbers, neither with a tolerance picked by hand:
- each layer in float32 against its derived bound (`beyond_bound`, BOUND-1), on the input that it really gets;
- the whole model and its gradients in float64 against the dense model with the same masked weights (`moved_too_far`). A dot
  product of k terms, in whatever order they are added, is the exact one of operands changed by a relative gamma(k) at most
  (Higham, Accuracy and Stability, 2nd ed., section 3.1). How far that may move a model depends on its condition, which is
  measured: all parameters of the dense model are changed by gamma(k), up or down by chance. Real roundings add up to about
  sqrt(k) units, not k, so what is within this distance is there by far.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sparseref_torch import SparseTensor, sparse_parameter, sparsify
from sparseref_torch.files import load_model, save_model
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map_only

from sparseref.bounds import gamma, sum_bound
from sparseref.dtypes import unit_roundoff, value_dtype

FORMATS = ("nmg:2:8:8", "nm:2:4", "csr:0.75", "masked:0.5", "bsr:4:4:0.5", "nmg:1:4:4", "csc:0.9", "coo:0.9", "ell:0.8",
           "vnm:4:2:8")
"""Given to the weights of a model in turn."""

QUICK = ("nm:2:4", ("nm:2:8", "csr"), "bsr:4:4:0.5", ("nm:1:8", "csc"), ("nm:2:4", "masked"), ("nm:1:4", "coo"), "vnm:4:2:8",
         ("scalar-threshold:0.02", "ell"))
"""For weights of many millions of entries: patterns that are found without sorting them all."""

CONTRACTIONS = ("mm", "addmm", "linear", "convolution")
"""The operators that a layer with a sparse weight calls."""

UNIT = unit_roundoff(np.dtype(np.float64))


@dataclass(frozen=True)
class Case:
    """A model and what it is called with; both are made anew by each call, the same every time."""

    build: Callable[[], nn.Module]
    make_inputs: Callable[[], dict[str, Any]]
    formats: tuple[Any, ...] = FORMATS
    wanted: Callable[[nn.Module, str], bool] | None = None

    @cache  # noqa: B019 - one copy for each case is what is wanted
    def sparse(self) -> nn.Module:
        """The model with sparse weights, in eval mode; to be copied before it is changed."""
        torch.manual_seed(0)
        return sparse(self.build(), self.formats, self.wanted or is_wanted).eval()

    def inputs(self, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        torch.manual_seed(1)
        return tree_map_only(Tensor, lambda t: t.to(dtype) if t.is_floating_point() else t, self.make_inputs())


def is_conv1d_of_gpt2(module: nn.Module) -> bool:
    """transformers' Conv1D is a Linear whose weight is [K, O]."""
    return type(module).__name__ == "Conv1D"


def is_wanted(module: nn.Module, name: str) -> bool:
    """True for the weights that the tests make sparse: Linear, Conv, GPT-2's Conv1D, and MHA's fused projections.

    Convolutions in groups have no sparse kernel; a depthwise one has nine weights for each output.
    """
    if isinstance(module, nn.MultiheadAttention):
        return name.endswith("proj_weight")
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return name == "weight" and module.groups == 1
    return name == "weight" and (isinstance(module, nn.Linear) or is_conv1d_of_gpt2(module))


def weights(model: nn.Module, wanted: Callable[[nn.Module, str], bool] = is_wanted) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    """-> (module, parameter) of each wanted weight, a tied one once."""
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() >= 2 and wanted(module, name) and id(parameter) not in seen:
                seen.add(id(parameter))
                yield module, parameter


def replace(model: nn.Module, old: nn.Parameter, new: nn.Parameter) -> None:
    """Put `new` in place of `old` everywhere in the model, so that tied weights stay tied."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if parameter is old:
                setattr(module, name, new)


def sparse(model: nn.Module, formats: tuple[Any, ...] = FORMATS,
           wanted: Callable[[nn.Module, str], bool] = is_wanted) -> nn.Module:
    """A copy of the model whose wanted weights are stored in the formats, in turn."""
    model = copy.deepcopy(model)
    for (module, old), form in zip(list(weights(model, wanted)), cycle(formats), strict=False):
        new = sparse_parameter(sparsify(old, form, turned=is_conv1d_of_gpt2(module)))
        replace(model, old, new.requires_grad_(old.requires_grad))
    return model


def masked(model: nn.Module) -> nn.Module:
    """A copy of a sparse model with the same weights, stored densely."""
    model = copy.deepcopy(model)
    for parameter in list(model.parameters()):
        if isinstance(parameter, SparseTensor):
            replace(model, parameter, nn.Parameter(parameter.detach().to_dense(), parameter.requires_grad))
    return model


def patterns(model: nn.Module) -> dict[str, Tensor]:
    """name -> bool [shape] of each sparse parameter."""
    return {name: parameter.pattern for name, parameter in model.named_parameters() if isinstance(parameter, SparseTensor)}


def outputs(result: Any) -> list[Tensor]:
    """What a model gave back -> the floating-point tensors in it."""
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def observe(model: nn.Module, inputs: dict[str, Any], gradients: bool = False) -> dict[str, Tensor]:
    """-> the outputs, and the dense gradients of a fixed random projection of them, by name.

    Chance is the same in every call, so that dropout of two models is.
    """
    torch.manual_seed(2)
    with torch.set_grad_enabled(gradients):
        results = outputs(model(**inputs))
    seen = {f"output {i}": result.detach() for i, result in enumerate(results)}
    if gradients:
        model.zero_grad()
        torch.manual_seed(3)
        torch.stack([(result * torch.randn(result.shape, dtype=result.dtype)).mean()
                     for result in results if result.requires_grad]).sum().backward()
        seen |= {name: parameter.grad.to_dense() if isinstance(parameter.grad, SparseTensor) else parameter.grad
                 for name, parameter in model.named_parameters() if parameter.grad is not None}
    return seen


def longest_sum(model: nn.Module, inputs: dict[str, Any]) -> int:
    """No sum of the model has more terms: a row or a column of a weight, or all entries of an input."""
    sides = [max(p.shape[0], p.numel() // p.shape[0]) for p in model.parameters() if p.dim() > 1]
    return max(*sides, *(leaf.numel() for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)))


@torch.no_grad()
def disturbed(model: nn.Module, relative: float) -> nn.Module:
    """A copy of a dense model, each parameter changed by this much, up or down by chance."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(4)
    for parameter in model.parameters():
        sign = torch.randint(0, 2, parameter.shape, generator=generator).to(parameter.dtype) * 2 - 1
        parameter.mul_(1 + relative * sign)
    return model


def moved_too_far(model: nn.Module, case: Case, gradients: bool = False,
                  prepare: Callable[[nn.Module], nn.Module] = lambda model: model) -> list[str]:
    """A sparse model -> which outputs and gradients are farther from the dense ones than rounding can move them, in float64."""
    model = copy.deepcopy(model).double()
    inputs = case.inputs(torch.double)
    relative = float(gamma(np.array(longest_sum(model, inputs)), UNIT))
    dense, stored = masked(model), patterns(model)
    expected, changed, actual = (observe(one, inputs, gradients) for one in (dense, disturbed(dense, relative), prepare(model)))
    assert expected.keys() == actual.keys()
    size = max(float(value.norm()) for value in expected.values())
    problems = []
    for name, value in expected.items():
        within = stored.get(name, torch.ones((), dtype=torch.bool))                        # no other gradients are kept
        error = float(((actual[name] - value) * within).norm())
        # what is zero but for rounding, as the gradient of a key's bias is, has the size of the terms that cancel
        allowed = float(((changed[name] - value) * within).norm()) + relative * size
        if not error <= allowed or value.shape != actual[name].shape:
            problems.append(f"{name}: {error:.3g} away, allowed {allowed:.3g}")
    return problems


def beyond_bound(model: nn.Module, inputs: dict[str, Any]) -> tuple[list[str], int]:
    """A sparse model that sums in float32 -> its layers whose output is beyond its bound (BOUND-1), and how many there are."""
    problems, count = [], 0

    def look(name: str, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        ratio = error_ratio(module, given[0].detach(), output.detach())
        count += 1
        if not ratio <= 1:
            problems.append(f"{name}: error / bound = {ratio:.3g}")

    hooks = [module.register_forward_hook(lambda *call, name=name: look(name, *call)) for name, module in model.named_modules()
             if isinstance(getattr(module, "weight", None), SparseTensor) and not isinstance(module, nn.Embedding)]
    with torch.no_grad():
        model(**inputs)
    for hook in hooks:
        hook.remove()
    return problems, count


def error_ratio(module: nn.Module, x: Tensor, output: Tensor) -> float:
    """A layer of sums of products, its input and output -> the worst error / bound of an entry.

    As everywhere in sparseref.bounds: the layer applied to magnitudes gives the sum of the terms' magnitudes, and applied to
    ones where entries are stored the number of terms.
    """
    given = {name: p.detach() for name, p in module.named_parameters()}
    value = {name: (p.to_dense() if isinstance(p, SparseTensor) else p).double() for name, p in given.items()}
    magnitude = {name: p.abs() for name, p in value.items()}
    ones = {name: (p.pattern if isinstance(p, SparseTensor) else torch.ones_like(p)).double() for name, p in given.items()}
    x = x.double()
    plain = copy.deepcopy(module).double()
    plain._forward_hooks.clear()                               # or it would be looked at in turn
    wanted, size, terms = (functional_call(plain, parameters, (operand,)).numpy() for parameters, operand
                           in ((value, x), (magnitude, x.abs()), (ones, torch.ones_like(x))))
    bound = sum_bound(wanted, size, terms, "float32", value_dtype(str(output.dtype).removeprefix("torch.")))
    return float((np.abs(output.double().numpy() - wanted) / bound).max(initial=0))


def step_problems(model: nn.Module, case: Case) -> list[str]:
    """A sparse model -> what is wrong with its gradients' slots, and with one step of AdamW beside the dense model's, float64.

    Both get the same gradients, so each entry goes through the same 16 operations at most, on terms no larger than
    |entry| + lr, because the first step of Adam is a sign times lr.
    """
    model = copy.deepcopy(model).double().train()
    before, dense, lr = patterns(model), masked(model), 0.01
    observe(model, case.inputs(torch.double), gradients=True)
    problems = [f"{name}: gradient {type(p.grad).__name__}" for name, p in model.named_parameters()
                if name in before and p.grad is not None and not (isinstance(p.grad, SparseTensor)
                                                                  and torch.equal(p.grad.pattern, before[name]))]
    for (_, ours), (_, theirs) in zip(model.named_parameters(), dense.named_parameters(), strict=True):
        theirs.grad = None if ours.grad is None else ours.grad.to_dense()
    for one in (model, dense):
        torch.optim.AdamW(one.parameters(), lr, weight_decay=0.1).step()
    relative = float(gamma(np.array(16), UNIT))
    for (name, ours), (_, theirs) in zip(model.named_parameters(), dense.named_parameters(), strict=True):
        away = (ours.detach().to_dense() - theirs.detach()).abs() > 2 * relative * (theirs.detach().abs() + lr)
        if away.any() or (name in before and not torch.equal(before[name], ours.pattern)):
            problems.append(f"{name}: {int(away.sum())} entries away, pattern kept: {torch.equal(before[name], ours.pattern)}")
    return problems


def read_back(model: nn.Module) -> dict[str, Tensor]:
    """The model's state, written by torch.save and read with weights_only=True."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def ties(model: nn.Module) -> list[list[str]]:
    """The names of parameters that are one object."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [shared for shared in names.values() if len(shared) > 1]


def loading_problems(model: nn.Module, case: Case, directory: Path) -> list[str]:
    """A sparse model -> where models differ that were loaded from its file, every bit of the outputs counted.

    By torch.save into a model with other patterns, and into a dense one that takes the tensors over as they are (there torch
    itself drops ties); as sparse safetensors into a dense one.
    """
    assigned, other, dense = case.build().eval(), sparse(case.build(), case.formats[::-1]).eval(), case.build().eval()
    assigned.load_state_dict(read_back(model), assign=True)
    other.load_state_dict(read_back(model))
    load_model(dense, save_model(model, directory / "model.safetensors"))
    expected, problems = observe(model, case.inputs()), []
    for name, loaded in {"torch.save, assigned": assigned, "torch.save, copied": other, "safetensors": dense}.items():
        actual = observe(loaded, case.inputs())
        problems += [f"{name}: {key} differs" for key in expected if not torch.equal(expected[key], actual[key])]
        if loaded is not assigned and ties(model) != ties(loaded):
            problems.append(f"{name}: tied are {ties(loaded)}, not {ties(model)}")
        if loaded is not assigned and patterns(model).keys() != patterns(loaded).keys():
            problems.append(f"{name}: sparse are {[*patterns(loaded)]}")
    return problems
