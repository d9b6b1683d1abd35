"""The rows of the card's table, as text: the terminal and the page show the same."""

from __future__ import annotations

from .result import Card, FieldUse, Measurement

Group = list[tuple[str, ...]]


def rows(card: Card) -> list[Group]:
    """Card -> groups of rows (label, one cell a measurement): pattern, storage, indices, energy."""
    every = card.measurements
    return [group for group in (_pattern(every), _storage(every), _indices(every), _energy(every)) if group]


def _pattern(every: tuple[Measurement, ...]) -> Group:
    return [("chosen by", *(m.sparsifier for m in every)),
            ("density", *(percent(m.density) for m in every)),
            ("padding slots", *(percent(m.padding_share) for m in every))]


def _storage(every: tuple[Measurement, ...]) -> Group:
    found = [("bits per entry", *(f"{m.bits_per_entry:.3f}" for m in every)),
             ("bits per stored entry", *(f"{m.bits_per_stored:.2f}" for m in every))]
    for i, even in enumerate(every[0].break_even if every else ()):
        found.append((f"bits / bits of {even.against}", *(f"{m.break_even[i].ratio:.3f}" for m in every)))
        if any(m.break_even[i].density is not None for m in every):
            found.append((f"{even.against} takes as much at", *(_density(m.break_even[i].density) for m in every)))
    return found


def _indices(every: tuple[Measurement, ...]) -> Group:
    names = [field.name for field in every[0].fields if field.limit is not None] if every else []
    return [(f"{name}: largest of limit", *(_limit(_field(m, name)) for m in every)) for name in names]


def _energy(every: tuple[Measurement, ...]) -> Group:
    found = [("energy kept", *(percent(m.energy, 2) for m in every))]
    for i, rival in enumerate(every[0].rivals if every else ()):
        found.append((f"  {rival.name}", *(percent(m.rivals[i].energy, 2) for m in every)))
        if any(m.rivals[i].note for m in every):
            found.append(("", *(m.rivals[i].note for m in every)))
    return found


def _field(measurement: Measurement, name: str) -> FieldUse:
    return next(field for field in measurement.fields if field.name == name)


def _limit(field: FieldUse) -> str:
    return f"{field.largest:,} of {field.limit:,} ({field.dtype})"


def _density(density: float | None) -> str:
    return "no density" if density is None else f"density {density:.3f}"


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
