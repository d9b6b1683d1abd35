"""How the builder's calls say a format: in short, or in STen's four parts; and what that means for a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from sparseref import Dense, KeepAll, Layout, OutputFormat, Sparsifier, SpecError
from sparseref.registry import parse_layout, parse_sparsifier
from sparseref.sparsifiers import own_sparsifier

from ..tensor.make import Format, parse

SAME_FORMAT = "same-format"
"""An external sparsifier that chooses as many entries anew, as the layout does; the array that it follows is the weight."""


class Parts(TypedDict, total=False):
    """STen's four parts as keywords; sparsifiers and layouts may be their short strings."""

    inline_sparsifier: str | Sparsifier
    tmp_format: str | Layout
    external_sparsifier: str | Sparsifier
    out_format: str | Layout


def format_of(form: Format | None, parts: Parts) -> Format:
    """`format=` or the four keywords -> a format; inline and external default to keep-all, temporary to dense.

    Without an external sparsifier the final layout's own is meant.  Errors: BUILD-3, those of the parts.
    """
    unknown = set(parts) - set(Parts.__annotations__)
    if unknown:
        raise TypeError(f"unexpected keywords: {', '.join(sorted(unknown))}")
    given = {name: part for name, part in parts.items() if part is not None}
    if (form is None) == (not given):                                                      # BUILD-3
        raise SpecError("BUILD-3", "a format is said in one way.", wanted="format=..., or the four parts, of which out_format",
                        given=f"format={form!r}, {', '.join(given) or 'no part'}")
    if form is not None:
        if not isinstance(form, OutputFormat):
            parse(form)
        return form
    if "out_format" not in given:                                                          # BUILD-3
        raise SpecError("BUILD-3", "the four parts end in a layout.", wanted="out_format=..., e.g. \"csr\"",
                        given=", ".join(given))
    final = parse_layout(given["out_format"])                  # type: ignore[arg-type]
    external = parse_sparsifier(given.get("external_sparsifier") or own_sparsifier(final))           # type: ignore[arg-type]
    return OutputFormat(parse_sparsifier(given.get("inline_sparsifier", KeepAll())),       # type: ignore[arg-type]
                        parse_layout(given.get("tmp_format", Dense())), external, final)   # type: ignore[arg-type]


@dataclass(frozen=True)
class Later:
    """What each optimizer step's result is stored as; anew: the external sparsifier keeps as many entries as there were."""

    form: OutputFormat
    anew: bool = False


@dataclass(frozen=True)
class WeightFormat:
    """first: what a weight is stored as when the model is made sparse; later: after each step, None: its pattern stays."""

    first: Format
    later: Later | None = None


def weight_format(form: Format | None, initial: str | Sparsifier | None, parts: Parts) -> WeightFormat:
    """The arguments of set_weight -> its formats.

    The initial sparsifier chooses the first pattern; without one the external does.  The pattern stays from then on, unless
    an inline or external sparsifier other than keep-all is named, which then runs after each step.
    Errors: BUILD-3, those of the parts.
    """
    external: Any = parts.get("external_sparsifier")
    if external in ("same", SAME_FORMAT):                      # what they follow is the weight, which is not there yet
        parts = {**parts, "external_sparsifier": None}         # type: ignore[typeddict-item]
    whole = format_of(form, parts)
    if not isinstance(whole, OutputFormat):
        return WeightFormat(whole if initial is None else (parse_sparsifier(initial), parse(whole)[1]))
    first = whole if initial is None else (parse_sparsifier(initial), whole.final)
    is_named = isinstance(form, OutputFormat) or external not in (None, "same")
    moves = (is_named and not isinstance(whole.external, KeepAll)) or not isinstance(whole.inline, KeepAll)
    return WeightFormat(first, Later(whole, external == SAME_FORMAT) if moves else None)


def describe(form: Any) -> str:
    """A format in one line."""
    if isinstance(form, OutputFormat):
        return f"{form.inline} -> {form.temporary} -> {form.external} -> {form.final}"
    return " -> ".join(map(str, form)) if isinstance(form, tuple) else str(form)
