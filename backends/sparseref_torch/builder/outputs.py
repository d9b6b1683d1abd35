"""The outputs of modules: a forward hook that stores one element of what a module returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sparseref import SpecError

from .store import StoreAs

Element = int | str | None
"""Which element of an output: a place in a tuple, a name in a dict or dataclass, None: the first tensor."""


class StoreOutput:
    """A forward hook; a class, so that a model with it can be copied and pickled."""

    def __init__(self, name: str, element: Element, how: StoreAs) -> None:
        self.name, self.element, self.how = name, element, how

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, Tensor) and self.element in (None, 0):
            return self.how(output)
        key = self._key(output)
        return replaced(output, key, self.how(elements(output)[key]))

    def _key(self, output: Any) -> int | str:
        """The element that is meant.  Errors: BUILD-4, with the elements that are tensors."""
        found = elements(output)
        tensors = [key for key, item in found.items() if isinstance(item, Tensor)]
        key = self.element if self.element is not None else next(iter(tensors), None)
        if isinstance(key, int) and key not in found and -len(found) <= key < len(found):
            key = list(found)[key]                             # a dataclass by place, a tuple from behind
        if key not in tensors:                                                             # BUILD-4
            raise SpecError("BUILD-4", f"the output of {self.name or 'the model'} has no such tensor.",
                            wanted=f"one of {', '.join(map(repr, tensors)) or 'none'} of a {type(output).__name__}",
                            given=f"output={self.element!r}")
        return key


def elements(output: Any) -> dict[Any, Any]:
    """What a module returns -> {place or name: element}."""
    if isinstance(output, Mapping):                            # Hugging Face's ModelOutput is one, too
        return dict(output)
    if dataclasses.is_dataclass(output):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return dict(enumerate(output)) if isinstance(output, tuple | list) else {}


def replaced(output: Any, key: Any, new: Any) -> Any:
    """The same output, of the same type, with another element."""
    if isinstance(output, Mapping):
        return type(output)(**{**output, key: new}) if dataclasses.is_dataclass(output) else type(output)({**output, key: new})
    if dataclasses.is_dataclass(output):
        return dataclasses.replace(output, **{key: new})       # type: ignore[type-var]
    items = [new if place == key else item for place, item in enumerate(output)]
    return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)


def outputs_stored(module: nn.Module) -> list[StoreOutput]:
    """The hooks of this kind that a module has."""
    return [hook for hook in module._forward_hooks.values() if isinstance(hook, StoreOutput)]
