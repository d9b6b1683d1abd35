"""Formats: the short strings that name a sparsifier together with a layout."""

from __future__ import annotations

from .errors import SpecError
from .layouts import BSR
from .layouts.base import Layout
from .registry import parse_layout
from .sparsifiers import own_sparsifier
from .sparsifiers.base import Sparsifier
from .sparsifiers.block import BlockFraction
from .sparsifiers.fraction import ScalarFraction


def parse_format(text: str) -> tuple[Sparsifier, Layout]:
    """`"nmg:2:8:8"`, `"csr:0.9"`, `"bsr:4:4:0.75"` -> (sparsifier, layout) (FMT-4).

    A last positional part with a point in it is a fraction to drop: of blocks for bsr, of entries for a layout that takes
    every pattern.  Without one the layout's own sparsifier is meant.  Errors: FMT-4, CORE-L1, REG-2, SPF-8.
    """
    if not isinstance(text, str):
        raise SpecError("CORE-L1", "this is no format.", wanted="a short string such as 'nmg:2:8:8'", given=repr(text))
    head, *named = text.split(",")
    parts = head.split(":")
    if "." not in parts[-1]:
        layout = parse_layout(text)
        return own_sparsifier(layout), layout
    layout = parse_layout(",".join([":".join(parts[:-1]), *named]))
    try:
        fraction = float(parts[-1])
    except ValueError:
        fraction = -1.0                                                                    # SPF-8 names it below
    if isinstance(layout, BSR):
        return BlockFraction(layout.r, layout.c, fraction), layout
    if not layout.any_pattern:                                                             # FMT-4
        raise SpecError("FMT-4", f"{layout} leaves no fraction to choose.", wanted="a layout that takes every pattern, or bsr",
                        given=text, fix=f"write {layout}")
    return ScalarFraction(fraction), layout
