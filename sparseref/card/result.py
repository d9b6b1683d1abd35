"""What a format card says, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.run import Measured


@dataclass(frozen=True)
class FieldUse:
    """One array of the format: its share of the bits, and for an index what it may hold and the largest it does."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bits: int
    limit: int | None
    largest: int | None


@dataclass(frozen=True)
class Rival:
    """Another way to choose as many entries: how much it keeps.  note: which n:m it is, or on which part of the weight."""

    name: str
    density: float
    energy: float
    note: str = ""


@dataclass(frozen=True)
class BreakEven:
    """Storage against another layout's.  density: where both take the same bits, None where no density does;
    ratio: this layout's bits over the other's at the density measured."""

    against: str
    density: float | None
    ratio: float
    says: str


@dataclass(frozen=True)
class Measurement:
    """A layout on one weight.  bits_per_entry: bits over all entries, zeros too; bits_per_stored: over the stored ones;
    padding_share: padding slots over slots; curve: (density, bits per entry), of a layout whose density is free."""

    source: str
    shape: tuple[int, ...]
    dtype: str
    sparsifier: str
    density: float
    bits: int
    dense_bits: int
    bits_per_entry: float
    bits_per_stored: float
    padding_share: float
    energy: float
    fields: tuple[FieldUse, ...]
    rivals: tuple[Rival, ...]
    break_even: tuple[BreakEven, ...]
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Conformance:
    """What a backend reaches with a layout.  level: the highest, or none; passed, declined, bad: cases; worst_ratio: of error
    and bound; reason: of the first case that was bad, else of the first that was declined, or why the backend is not there."""

    backend: str
    level: str
    passed: int
    declined: int
    bad: int
    worst_ratio: float
    reason: str


@dataclass(frozen=True)
class Crossing:
    """Where one of our backends is as fast as the fastest dense product on this machine.  over: tokens or density; at: where
    the two are equal, each time that they are; says: that in words."""

    backend: str
    over: str
    at: tuple[float, ...]
    says: str


@dataclass(frozen=True)
class Speed:
    """Linears in a format on this machine, in float32.  processor; threads; rounds: samples each; measured: at each shape and
    token count; family: the same at the first shape and other densities, fewest entries first; missing: name -> why."""

    processor: str
    threads: int
    rounds: int
    measured: tuple[Measured, ...]
    family: tuple[Measured, ...]
    crossings: tuple[Crossing, ...]
    missing: dict[str, str]


@dataclass(frozen=True)
class Card:
    """A layout, what its class says of it, and how it measures up.  picture: a small instance, drawn as text.

    conformance, speed: of the backends that are installed here; empty and None where they were not asked for.
    """

    layout: str
    about: str
    parameters: dict[str, int | float | str]
    takes_any_pattern: bool
    picture: str
    measurements: tuple[Measurement, ...]
    conformance: tuple[Conformance, ...] = ()
    speed: Speed | None = None
