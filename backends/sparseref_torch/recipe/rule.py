"""One rule of a recipe: which tensors, and in which format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from sparseref import Dense, OutputFormat, SpecError
from sparseref.formats import parse_format
from sparseref.output import short_format
from sparseref.registry import parse_layout, parse_sparsifier
from sparseref.sparsifiers import own_sparsifier

from ..builder import Selector

DENSE = "dense"
"""The format of a rule that leaves its tensors as they are."""
SAME = "same"
"""The format of a gradient in the slots of its weight."""
KEEPING = ("same", "same-format")
"""External sparsifiers of a weight: after an optimizer step it keeps its pattern, or chooses as many entries anew."""
PARTS = {"inline": "inline_sparsifier", "temporary": "tmp_format", "external": "external_sparsifier", "final": "out_format"}
"""STen's four parts -> the keywords of `SparsityBuilder.set_weight`."""


@dataclass(frozen=True)
class Rule:
    """The tensors that fit name, module and size are stored in `format`; the last rule that fits a tensor decides.

    name, module: patterns and class names of which one must fit, None: any; optional: True where the model may have nothing
    that fits; format: "nmg:2:8:8", or {"inline", "temporary", "external", "final"}: short strings; initial: the sparsifier
    that chooses the pattern of a weight at first, None: that of the format; ladder: the formats that training passes through
    on the way to it; node, output: of an intermediate, as `SparsityBuilder.set_interm` has them.  Errors: RECIPE-5, RECIPE-6.
    """

    format: str | dict[str, str]
    name: tuple[str, ...] | None = None
    module: tuple[str, ...] | None = None
    min_size: int = 0
    max_size: int | None = None
    optional: bool = False
    initial: str | None = None
    ladder: tuple[str, ...] = ()
    node: str | None = None
    output: int | str | None = None
    where: str = field(default="a rule", compare=False)
    """The file and the key, for errors."""

    @property
    def output_format(self) -> OutputFormat:
        """In four parts (FMT-1)."""
        if isinstance(self.format, str):
            return short_format(*parse_format(self.format))
        final, external = parse_layout(self.format["final"]), self.format["external"]
        return OutputFormat(parse_sparsifier(self.format["inline"]), parse_layout(self.format["temporary"]),
                            own_sparsifier(final) if external in KEEPING else parse_sparsifier(external), final)

    @property
    def keywords(self) -> dict[str, Any]:
        """The format as a `SparsityBuilder` takes it."""
        if isinstance(self.format, str):
            return {"format": self.format}
        return {keyword: self.format[part] for part, keyword in PARTS.items()}

    @property
    def formats(self) -> Any:
        """What a `Pruner` takes: the last format, or the list that ends with it."""
        last = self.format if isinstance(self.format, str) else self.output_format
        return [*self.ladder, last] if self.ladder else last

    @property
    def is_dense(self) -> bool:
        return self.format == DENSE or self.output_format.final == Dense()

    def check(self, kind: str) -> Rule:
        """The same, if its format and its sparsifiers are known for tensors of this kind, "weight" ... "interm_grad".

        Errors: RECIPE-5, which quotes the clause that refuses.
        """
        with quoted(f"{self.where}.format"):
            if not (kind.endswith("_grad") and self.format == SAME):
                _ = self.output_format
            if kind != "weight" and isinstance(self.format, dict):
                parse_sparsifier(self.format["external"])
        with quoted(f"{self.where}.initial"):
            if self.initial is not None:
                parse_sparsifier(self.initial)
        with quoted(f"{self.where}.ladder"):
            for form in self.ladder:
                parse_format(form)
        return self

    def selectors(self) -> Iterator[list[Selector]]:
        """For each name pattern, the selectors of which at least one must fit something: one for each class of modules."""
        for name in self.name or (None,):
            yield [Selector(name, module, self.min_size, self.max_size) for module in self.module or (None,)]

    def parameters(self, model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
        """model -> {full name: (module, attribute)} of what fits.  Errors: RECIPE-6, with close names."""
        found: dict[str, tuple[nn.Module, str]] = {}
        for selectors in self.selectors():
            fitting, refusal = _fitting(selectors, model)
            if not fitting and not self.optional and refusal is not None:                  # RECIPE-6
                wanted = refusal.wanted.replace(self.module[-1], " or ".join(self.module), 1) if self.module else refusal.wanted
                raise SpecError("RECIPE-6", f"{self.where}: {refusal.what}", wanted=wanted, given=refusal.given,
                                fix=refusal.fix or "or write optional = true, if some models have none") from refusal
            found |= fitting
        return found

    def to_dict(self) -> dict[str, Any]:
        """What the recipe's file says of it; defaults are left out."""
        said = {"name": _one_or_many(self.name), "module": _one_or_many(self.module), "min_size": self.min_size or None,
                "max_size": self.max_size, "optional": self.optional or None, "format": self.format, "initial": self.initial,
                "ladder": list(self.ladder) or None, "node": self.node, "output": self.output}
        return {key: value for key, value in said.items() if value is not None}


def make_rule(said: dict[str, Any], where: str, kind: str) -> Rule:
    """A checked table of the file -> the rule for tensors of this kind.  Errors: RECIPE-5."""
    many = {key: (said[key],) if isinstance(said[key], str) else tuple(said[key])
            for key in ("name", "module", "ladder") if key in said}
    return Rule(**{**said, **many}, where=where).check(kind)


@contextmanager
def quoted(key: str) -> Iterator[None]:
    """What is refused inside is refused with the file and the key in front.  Errors: RECIPE-5."""
    try:
        yield
    except SpecError as refused:                                                           # RECIPE-5
        raise SpecError("RECIPE-5", f"{key}: {refused.clause}: {refused.what}", wanted=refused.wanted, given=refused.given,
                        fix=refused.fix) from refused


def _fitting(selectors: list[Selector], model: nn.Module) -> tuple[dict[str, tuple[nn.Module, str]], SpecError | None]:
    """-> what any of the selectors fits, and what the last one that fits nothing said."""
    found: dict[str, tuple[nn.Module, str]] = {}
    refusal = None
    for selector in selectors:
        try:
            found |= selector.parameters(model)
        except SpecError as refused:                           # BUILD-1
            refusal = refused
    return found, refusal


def _one_or_many(names: tuple[str, ...] | None) -> str | list[str] | None:
    return names[0] if names is not None and len(names) == 1 else names and list(names)
