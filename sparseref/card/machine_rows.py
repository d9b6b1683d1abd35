"""Conformance and speed of the backends as rows of text: the terminal and the page show the same."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..bench.run import Measured
from ..conformance.report.summary import count, ratio_text
from .result import Card, Conformance, Speed
from .speed import STANDARD, against_dense, backends_of

Rows = list[tuple[str, ...]]


def machine_tables(card: Card) -> dict[str, Rows]:
    """title -> rows, a heading first; nothing that was not asked for."""
    found = {}
    if card.conformance:
        found["conformance of encode, decode and linear, whatever the layout's parameters"] = conformance_rows(card.conformance)
    if card.speed and card.speed.measured:
        found["linears on this machine: times as fast as the fastest dense product"] = speed_rows(card.speed.measured)
        if card.speed.family:
            found[f"at other densities, {STANDARD} tokens"] = speed_rows(card.speed.family)
    return found


def conformance_rows(lines: Iterable[Conformance]) -> Rows:
    """A heading, then a row a backend."""
    found: Rows = [("backend", "level", "cases", "error / bound", "reason")]
    for line in lines:
        cases = ", ".join(count for count in (f"{line.passed:,} pass", f"{line.declined:,} declined" * bool(line.declined),
                                              f"{line.bad:,} bad" * bool(line.bad)) if count)
        found.append((line.backend, line.level, cases, ratio_text(line.worst_ratio), line.reason))
    return found


def speed_rows(measured: Iterable[Measured]) -> Rows:
    """A heading, then a row a problem: the fastest dense product in ms, then how many times as fast each of our backends is."""
    every = list(measured)
    backends = backends_of(every)
    found: Rows = [("", "density", "tokens", "fastest dense", *backends)]
    for one in every:
        dense = one.fastest_dense
        ratios = [against_dense(one, backend) for backend in backends]
        cells = ["" if math.isnan(ratio) else f"{ratio:.2f}x" for ratio in ratios]
        found.append((f"{one.format}, {one.shape[0]} x {one.shape[1]}", f"{one.density:.3f}", f"{one.tokens}",
                      f"{dense.median * 1e3:.3f} ms, {dense.name.removesuffix(' dense')}" if dense else "none", *cells))
    return found


def sentences(speed: Speed) -> list[str]:
    """Break-even in words, what was not timed and why, and what the figures are."""
    every = (*speed.measured, *speed.family)
    untimed = {f"{one.name}: {one.wrong}": None for measured in every for one in measured.timed if one.wrong}
    first = f" at {' x '.join(map(str, speed.measured[0].shape))}" if speed.measured else ""
    return [*(f"{crossing.backend}{first}, over {crossing.over}: {crossing.says}" for crossing in speed.crossings),
            *(f"not timed: {why}" for why in untimed), *(f"missing: {name}, {why}" for name, why in speed.missing.items()),
            f"medians of {speed.rounds}, in turns, {count(speed.threads, 'thread')}, float32, {speed.processor}"]


def fastest(card: Card) -> dict[tuple[int, ...], str]:
    """shape -> the fastest of our backends at the standard token count, e.g. "sparseref_c 2.41x"."""
    found: dict[tuple[int, ...], str] = {}
    for one in card.speed.measured if card.speed else ():
        ratios = {backend: against_dense(one, backend) for backend in backends_of([one])}
        if one.tokens == STANDARD and ratios and one.fastest_dense:
            best = max(ratios, key=lambda name: ratios[name])
            found[one.shape] = f"{best} {ratios[best]:.2f}x"
    return found
