"""Looking at what modules get and give while a part of a model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Call(NamedTuple):
    """What a module is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, module: nn.Module) -> Any:
        """The module -> what it gives."""
        return module(*self.args, **self.kwargs)

    def with_first(self, hidden: Tensor) -> Call:
        """The same call with another first argument."""
        return Call((hidden, *self.args[1:]), self.kwargs)


def call_of(batch: Any) -> Call:
    """A batch -> how a model takes it: a dict by keyword, a tuple or list by position, anything else alone."""
    if isinstance(batch, dict):
        return Call((), batch)
    return Call(tuple(batch) if isinstance(batch, tuple | list) else (batch,), {})


def first_tensor(output: Any) -> Tensor:
    """A tensor, a tuple or an output of Hugging Face -> its first tensor."""
    return output if isinstance(output, Tensor) else output[0]


class _AllSeen(Exception):
    """No error: the rest of the forward pass is not needed."""


def tapped(run: Callable[[], Any], inputs: Sequence[nn.Module] = (), outputs: Sequence[nn.Module] = ()) \
        -> tuple[list[Tensor], list[Tensor]]:
    """What these modules get first, and what these give, while `run` runs; it is left as soon as all is seen."""
    got: dict[nn.Module, Tensor] = {}
    gave: dict[nn.Module, Tensor] = {}

    def see(found: dict[nn.Module, Tensor], module: nn.Module, tensor: Tensor) -> None:
        found.setdefault(module, tensor)
        if len(got) == len(set(inputs)) and len(gave) == len(set(outputs)):
            raise _AllSeen

    with ExitStack() as hooks:
        for module in set(inputs):
            hooks.enter_context(module.register_forward_pre_hook(lambda module, args: see(got, module, args[0])))
        for module in set(outputs):
            hooks.enter_context(module.register_forward_hook(
                lambda module, args, output: see(gave, module, first_tensor(output))))
        with suppress(_AllSeen):
            run()
    return [got[module] for module in inputs], [gave[module] for module in outputs]


def calls_of(run: Callable[[], Any], modules: Sequence[nn.Module]) -> list[tuple[nn.Module, Call]]:
    """Every call of one of these modules while `run` runs, in order."""
    calls: list[tuple[nn.Module, Call]] = []
    with ExitStack() as hooks:
        for module in set(modules):
            hooks.enter_context(module.register_forward_pre_hook(
                lambda module, args, kwargs: calls.append((module, Call(args, kwargs))), with_kwargs=True))
        run()
    return calls


@torch.no_grad()
def where_added(run: Callable[[], Any], block: nn.Module, linear: nn.Module) -> nn.Module | None:
    """The first module of the block that gets the output of `linear` plus something else, as behind a residual connection.

    The block itself stands for its own output.  None: nothing is added to it.  It is found by an experiment: what is added to
    the output of `linear` arrives there as it is.
    """
    output, plain = _after(run, block, linear, torch.zeros(()))
    nudge = torch.randn(output.shape[-1], generator=torch.Generator().manual_seed(0)).to(output) * output.std()
    _, moved = _after(run, block, linear, nudge)
    for (module, before), (_, after) in zip(plain, moved, strict=True):
        alone = torch.equal(before, output)                    # the input of an activation, or of dropout: no sum
        if not alone and torch.allclose(after - before, nudge.expand_as(before), 1e-3, 1e-3 * float(nudge.abs().max())):
            return module
    return None


def _after(run: Callable[[], Any], block: nn.Module, linear: nn.Module, nudge: Tensor) \
        -> tuple[Tensor, list[tuple[nn.Module, Tensor]]]:
    """What `linear` gives, and what modules get once it has run and `nudge` is added, where the shape is the same."""
    given: list[Tensor] = []
    seen: list[tuple[nn.Module, Tensor]] = []

    def see(module: nn.Module, tensor: Any) -> None:
        if given and isinstance(tensor, Tensor) and tensor.shape == given[0].shape:
            seen.append((module, tensor))

    def nudged(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        given.append(output)
        return output + nudge.to(output)

    with ExitStack() as hooks:
        hooks.enter_context(linear.register_forward_hook(nudged))
        for module in block.modules():
            if module is not linear and module is not block:
                hooks.enter_context(module.register_forward_pre_hook(
                    lambda module, args: see(module, args[0] if args else None)))
        see(block, first_tensor(run()))
    return given[0], seen
