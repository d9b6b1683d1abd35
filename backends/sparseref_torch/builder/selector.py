"""Which tensors of a model are meant: by name, by the type of their module, by size."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from torch import Tensor, nn

from sparseref import SpecError


class Place(NamedTuple):
    """Where a model holds a parameter: `module.attribute`, and the full name."""

    name: str
    module: nn.Module
    attribute: str


@dataclass(frozen=True)
class Selector:
    """The weights of a model that fit all conditions; a weight is a parameter of at least two dimensions.

    Parameters: name, one pattern or several as fnmatch reads them (`encoder.layer.*.dense.weight`), None: every name;
    module, a type or the name of a class, of which the module that holds the weight is one, None: any; min_size and
    max_size, in entries.  Errors: BUILD-1 where a condition fits nothing, BUILD-2 for what is no condition.
    """

    name: str | Iterable[str] | None = None
    module: type[nn.Module] | str | None = None
    min_size: int = 0
    max_size: int | None = None

    def __post_init__(self) -> None:
        names = (self.name,) if isinstance(self.name, str) else self.name
        if names is not None:
            object.__setattr__(self, "name", names := tuple(names))
        if names == () or not all(isinstance(name, str) for name in names or ()):          # BUILD-2
            raise SpecError("BUILD-2", "these are no name patterns.", wanted="a pattern, or a list of at least one",
                            given=repr(self.name), fix='e.g. name="encoder.layer.*.dense.weight"')
        is_type = isinstance(self.module, type) and issubclass(self.module, nn.Module)
        if not (self.module is None or isinstance(self.module, str) or is_type):           # BUILD-2
            raise SpecError("BUILD-2", "this is no type of module.", wanted='a type such as nn.Linear, or its name "Linear"',
                            given=repr(self.module))

    def parameters(self, model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
        """model -> {full name: (module, attribute)}, in the model's order.

        A tied weight is listed once, under the name that `model.named_parameters()` gives it, if one of its places fits;
        the place is the first that does.  Errors: BUILD-1, with close names.
        """
        found: dict[str, tuple[nn.Module, str]] = {}
        used: set[str] = set()
        holders = [places for places in places_of(model) if getattr(places[0].module, places[0].attribute).dim() > 1]
        for places in holders:
            for place in places:
                patterns = [name for name in self._names if fnmatchcase(place.name, name)]
                if patterns and self._fits(place):
                    found.setdefault(places[0].name, (place.module, place.attribute))
                    used.update(patterns)
        known = [place.name for places in holders for place in places]
        self._refuse_unused(used, known, "weight", sorted({type(p.module).__name__ for places in holders for p in places}))
        return found

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        """model -> {full name: module}; sizes do not count.  Errors: BUILD-1, with close names."""
        known = {name: module for name, module in model.named_modules() if name}
        used: set[str] = set()
        found = {}
        for name, module in known.items():
            patterns = [pattern for pattern in self._names if fnmatchcase(name, pattern)]
            if patterns and is_a(module, self.module):
                found[name] = module
                used.update(patterns)
        self._refuse_unused(used, list(known), "module", sorted({type(module).__name__ for module in known.values()}))
        return found

    @property
    def _names(self) -> tuple[str, ...]:
        return ("*",) if self.name is None else tuple(self.name)

    def _fits(self, place: Place) -> bool:
        size = getattr(place.module, place.attribute).numel()
        return is_a(place.module, self.module) and self.min_size <= size <= (size if self.max_size is None else self.max_size)

    def _refuse_unused(self, used: set[str], known: list[str], what: str, types: list[str]) -> None:
        """Every pattern must fit something: a misspelt one would leave a model dense without a word."""
        for pattern in self._names:
            if pattern in used:
                continue
            named = [name for name in known if fnmatchcase(name, pattern)]
            if named:                                                                      # BUILD-1: the other conditions
                more = ", ..." if len(named) > 5 else ""
                raise SpecError("BUILD-1", f"no {what} of that name fits the other conditions.", wanted=self._conditions(),
                                given=f"{', '.join(named[:5])}{more} in a model of {', '.join(types)}")
            raise SpecError("BUILD-1", f"the model has no {what} {pattern!r}.", wanted=close(pattern, known), given=pattern,
                            fix="a weight has two dimensions or more; * stands for any part of a name")

    def _conditions(self) -> str:
        kind = self.module.__name__ if isinstance(self.module, type) else self.module
        most = "" if self.max_size is None else f" and at most {self.max_size:,}"
        return f"{kind or 'any module'}, at least {self.min_size:,}{most} entries"


def places_of(model: nn.Module) -> Iterator[list[Place]]:
    """model -> for each parameter the places that hold it, in the model's order; a tied weight has several."""
    places: dict[int, list[Place]] = {}
    parameters: dict[int, Tensor] = {}                         # an id is one tensor's only while the tensor lives
    for prefix, module in model.named_modules():
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                parameters[id(parameter)] = parameter
                name = f"{prefix}.{attribute}" if prefix else attribute
                places.setdefault(id(parameter), []).append(Place(name, module, attribute))
    yield from places.values()


def is_a(module: nn.Module, kind: type[nn.Module] | str | None) -> bool:
    """True where the module is of this type, or of a class of this name."""
    if isinstance(kind, str):
        return any(base.__name__ == kind for base in type(module).__mro__)
    return kind is None or isinstance(module, kind)


def is_turned(module: nn.Module, attribute: str) -> bool:
    """True for a weight that lies as [K, O], so that its matrix [O, K] is the transpose: that of Hugging Face's Conv1D."""
    return attribute == "weight" and any(
        base.__name__ == "Conv1D" and base.__module__.startswith("transformers.") for base in type(module).__mro__)


def close(name: str, known: Iterable[str], count: int = 6) -> str:
    """The known names that look most like this one, for an error; the first few where none does."""
    names = list(dict.fromkeys(known))
    alike = difflib.get_close_matches(name, names, count, cutoff=0.5)
    return ("a name such as " + ", ".join(alike or names[:count])) if names else "a model that has some"
