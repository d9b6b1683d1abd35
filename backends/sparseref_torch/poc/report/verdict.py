"""The verdict: does it pay?  One sentence for each format, from its figures alone."""

from __future__ import annotations

from dataclasses import dataclass

from .variant import Study, Variant

GOOD, MIXED, BAD = "good", "mixed", "bad"
FLOORS = ((0.75, 0.97), (0.875, 0.90))
"""Up to this sparsity, at least this share of the dense score is wanted; above the last one, as much as there."""
NOISE = 0.03
"""A median latency that is nearer to dense's than this is not called faster."""


@dataclass(frozen=True)
class Verdict:
    """A format, how it is: good, mixed or bad; and the sentence that says why."""

    format: str
    kind: str
    sentence: str


def wanted(sparsity: float) -> float:
    """sparsity of the pruned weights -> the share of the dense score that has to be kept."""
    return next((floor for upto, floor in FLOORS if sparsity <= upto + 0.005), FLOORS[-1][1])


def verdicts(study: Study) -> list[Verdict]:
    """One for each format, by its best variant."""
    return [judge(study, study.best(form)) for form in study.formats]


def judge(study: Study, variant: Variant) -> Verdict:
    """A variant -> whether its quality is kept, and whether time or storage are gained for it."""
    size, time, floor = study.size(variant), study.time(variant), wanted(variant.sparsity)
    keeps, smaller, faster = study.kept(variant) >= floor, size < 1, time is not None and time < 1 - NOISE
    quality = _quality(study, variant, floor)
    cost = f"{size:.1%} of the storage and {'a latency that was not measured' if time is None else f'{time:.2f} of the time'}"
    if not keeps:
        kind, sentence = BAD, f"does not pay: only {quality}, for {cost}"
    elif not (smaller or faster):
        kind, sentence = BAD, f"does not pay: {quality}, but it takes {cost}"
    elif smaller and faster:
        kind, sentence = GOOD, f"pays: {quality}, for {cost}"
    else:
        kind, sentence = MIXED, f"pays in {'storage' if smaller else 'time'} only: {quality}, for {cost}"
    return Verdict(variant.format, kind, f"{variant.format} {sentence}.")


def _quality(study: Study, variant: Variant, floor: float) -> str:
    """"98.0% of the dense recall@1 is kept (0.856 of 0.874, spread 0.005 over 3 seeds; 97% is wanted at 75.0% sparsity)"."""
    seeds = len(variant.scores)
    spread = f"spread {variant.spread:.3f} over {seeds} seeds" if seeds > 1 else "one seed"
    return (f"{study.kept(variant):.1%} of the dense {study.metric} is kept ({variant.score:.3f} of {study.dense.score:.3f}, "
            f"{spread}; {floor:.0%} is wanted at {variant.sparsity:.1%} sparsity)")
