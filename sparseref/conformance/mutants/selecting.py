"""Bugs in the sparsifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...array import SparseArray
from ...coding import decode
from ...layouts import NMG
from ...registry import parse_sparsifier
from ...sparsifiers import magnitude
from ...sparsifiers.base import keep_largest
from ...sparsifiers.nmg import GreedyNMG
from ..wire import Call
from .mutant import Run, mutant, with_operand


def sparsifier_of(call: Call) -> Any:
    return parse_sparsifier(call.parameters["sparsifier"])


def dense_of(call: Call) -> np.ndarray:
    values = call.operands[0]
    return decode(values) if isinstance(values, SparseArray) else values


def scores_of(call: Call) -> np.ndarray:
    return magnitude(dense_of(call)) if call.operands[1] is None else call.operands[1]


def with_scores(call: Call, scores: np.ndarray) -> Call:
    return with_operand(call, 1, scores)


def _with_kind(run: Run, call: Call, name: str, kind: type[GreedyNMG]) -> Any:
    """The call with a sparsifier of another kind, where it is the one of that name."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name != name:
        return run(call)
    return run(replace(call, parameters={"sparsifier": kind(**vars(sparsifier))}))


def backwards(array: np.ndarray) -> np.ndarray:
    return array[tuple(slice(None, None, -1) for _ in array.shape)]


@mutant("SPF-4", "select")
def fraction_ties_to_higher_index(run: Run, call: Call) -> Any:
    """Of equal scores the later entry is kept."""
    if sparsifier_of(call).name != "scalar-fraction":
        return run(call)
    return backwards(run(with_scores(with_operand(call, 0, backwards(dense_of(call))), backwards(scores_of(call)))))


@mutant("SPF-4", "select")
def nm_ties_to_higher_index(run: Run, call: Call) -> Any:
    """In a block, of equal scores the later entry is kept."""
    sparsifier = sparsifier_of(call)
    scores = scores_of(call)
    if sparsifier.name != "nm" or scores.size == 0:
        return run(call)
    place = np.arange(scores.shape[sparsifier.axis])
    step = np.expand_dims(place, tuple(i for i in range(scores.ndim) if i != sparsifier.axis % scores.ndim))
    return run(with_scores(call, scores + step * 1e-9))


@mutant("SPF-3", "select")
def nan_never_kept(run: Run, call: Call) -> Any:
    """NaN ranks below everything."""
    return run(with_scores(call, np.where(np.isnan(dense_of(call).astype(np.float64)), -np.inf, scores_of(call))))


@mutant("SPF-3", "select")
def inf_above_nan(run: Run, call: Call) -> Any:
    """NaN ranks just below inf instead of with it."""
    most = np.finfo(np.float64).max
    return run(with_scores(call, np.where(np.isnan(dense_of(call).astype(np.float64)), most, scores_of(call))))


@mutant("SFRAC-S1", "select")
def fraction_floored(run: Run, call: Call) -> Any:
    """The number of dropped entries is rounded down."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name != "scalar-fraction" or isinstance(call.operands[0], SparseArray):
        return run(call)
    scores = np.nan_to_num(scores_of(call), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    return keep_largest(scores.reshape(-1), scores.size - int(sparsifier.fraction * scores.size)).reshape(scores.shape)


@mutant("SFRAC-S1", "select")
def fraction_by_quantile(run: Run, call: Call) -> Any:
    """The cut is a threshold, so that ties make the count inexact."""
    sparsifier, scores = sparsifier_of(call), scores_of(call)
    pattern = run(call)
    if sparsifier.name != "scalar-fraction" or not pattern.any() or isinstance(call.operands[0], SparseArray):
        return pattern
    ranked = np.where(np.isnan(scores), np.inf, scores)
    return ranked >= ranked[pattern].min()


@mutant("STHR-S1", "select")
def threshold_strict(run: Run, call: Call) -> Any:
    """A score equal to the threshold is dropped."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name == "scalar-threshold":
        return run(call) & ~(scores_of(call) == sparsifier.threshold)
    return run(call)


@mutant("NMGS-S1", "select")
def scores_in_float32(run: Run, call: Call) -> Any:
    """Scores are rounded to float32 before they are summed."""
    return run(with_scores(call, scores_of(call).astype(np.float32).astype(np.float64)))


@mutant("SPF-2", "select")
def scores_ignored(run: Run, call: Call) -> Any:
    """The magnitude is used whatever scores are given."""
    return run(with_operand(call, 1, None))


@mutant("SPF-2", "select")
def scores_by_magnitude(run: Run, call: Call) -> Any:
    """A score far below zero counts as one far above."""
    return run(with_scores(call, np.abs(scores_of(call))))


@mutant("SPF-2", "select")
def int8_magnitude_overflows(run: Run, call: Call) -> Any:
    """|-128| is taken in int8, where it is -128."""
    dense = dense_of(call)
    if dense.dtype != np.int8 or call.operands[1] is not None:
        return run(call)
    return run(with_scores(call, np.abs(dense).astype(np.float64)))


@mutant("BLK-S1", "select")
def block_mean_instead_of_sum(run: Run, call: Call) -> Any:
    """A block at the edge is judged by its mean."""
    sparsifier = sparsifier_of(call)
    scores = scores_of(call)
    if not sparsifier.name.startswith("block") or scores.ndim != 2:
        return run(call)
    heavier = scores.copy()
    heavier[scores.shape[0] // sparsifier.r * sparsifier.r:] *= 2
    return run(with_scores(call, heavier))


@mutant("BLK-S1", "select")
def block_signed_sum(run: Run, call: Call) -> Any:
    """A block is scored by its sum, signs included, where the sum of magnitudes is meant."""
    if sparsifier_of(call).name.startswith("block") and call.operands[1] is None:
        return run(with_scores(call, dense_of(call).astype(np.float64)))
    return run(call)


@mutant("VNMS-S1", "select")
def vnm_largest_row_decides(run: Run, call: Call) -> Any:
    """A column is scored by its largest entry."""
    sparsifier, scores = sparsifier_of(call), scores_of(call)
    return run(with_scores(call, scores**8)) if sparsifier.name == "vnm" else run(call)


@mutant("NMS-S1", "select")
def filling_ranks_as_zero(run: Run, call: Call) -> Any:
    """Filling competes as a zero, and beats real entries with negative scores."""
    sparsifier, scores = sparsifier_of(call), scores_of(call)
    pattern = run(call)
    if sparsifier.name != "nm":
        return pattern
    side = scores.shape[sparsifier.axis]
    tail = np.arange(side) >= side // sparsifier.m * sparsifier.m
    tail = np.expand_dims(tail, tuple(i for i in range(scores.ndim) if i != sparsifier.axis % scores.ndim))
    return pattern & ~(tail & (scores < 0))


@mutant("NMGS-S2", "select")
def greedy_fibre_by_fibre(run: Run, call: Call) -> Any:
    """Fibres take their best free pattern in order, instead of the best pair first."""
    return _with_kind(run, call, "nmg", _FibreByFibre)


class _FibreByFibre(GreedyNMG):
    def assign(self, scores: np.ndarray, g: int) -> np.ndarray:
        fibres = np.arange(scores.shape[1])[:, None]
        return super().assign(np.where(np.isinf(scores), 1e30, scores) - 1e40 * fibres, g)


@mutant("NMGS-S3", "select")
def greedy_ties_to_higher_fibre(run: Run, call: Call) -> Any:
    """Of equal pairs the one with the higher fibre is taken."""
    return _with_kind(run, call, "nmg", _HigherFibre)


class _HigherFibre(GreedyNMG):
    # The other mix-up, the lower pattern before the lower fibre, is no bug that shows: with one order of fibres and one of
    # patterns, serving pairs by fibre or by pattern ends in the same assignment (the stable matching is unique).
    def assign(self, scores: np.ndarray, g: int) -> np.ndarray:
        return super().assign(scores[:, ::-1], g)[:, ::-1]


@mutant("NMGS-S2", "select")
def greedy_one_too_many(run: Run, call: Call) -> Any:
    """The first pattern may own g + 1 fibres."""
    return _with_kind(run, call, "nmg", _OneMore)


class _OneMore(GreedyNMG):
    def assign(self, scores: np.ndarray, g: int) -> np.ndarray:
        owner = super().assign(scores, g)
        if owner.shape[1] > g:
            np.put_along_axis(owner, np.argmax(owner, axis=1)[:, None], 0, axis=1)
        return owner


@mutant("NMGO-S1", "select")
def optimal_is_greedy(run: Run, call: Call) -> Any:
    """nmg-optimal runs the greedy."""
    return _with_kind(run, call, "nmg-optimal", GreedyNMG)


@mutant("RAND-S1", "select")
def random_upside_down(run: Run, call: Call) -> Any:
    """random-fraction keeps what it should drop."""
    return ~run(call) if sparsifier_of(call).name == "random-fraction" else run(call)


@mutant("SPF-5", "select")
def random_with_its_own_generator(run: Run, call: Call) -> Any:
    """random-fraction draws numbers of its own."""
    if sparsifier_of(call).name != "random-fraction":
        return run(call)
    return run(with_operand(call, 2, np.random.default_rng().random(dense_of(call).shape)))


@mutant("SAME-S1", "select")
def same_pattern_from_values(run: Run, call: Call) -> Any:
    """same-pattern keeps the entries that are not zero now."""
    return dense_of(call) != 0 if sparsifier_of(call).name == "same-pattern" else run(call)


@mutant("SAME-S2", "select")
def same_format_keeps_old_pattern(run: Run, call: Call) -> Any:
    """same-format gives back the old pattern."""
    sparsifier = sparsifier_of(call)
    return sparsifier.like.pattern if sparsifier.name == "same-format" else run(call)


@mutant("SPF-6", "select")
def structural_zeros_chosen(run: Run, call: Call) -> Any:
    """An unstructured sparsifier may choose an entry that is not stored."""
    return run(with_operand(call, 0, dense_of(call)))


@mutant("NMGS-S4", "select")
def nmg_axes_ignored(run: Run, call: Call) -> Any:
    """nmg always blocks rows and groups columns."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name != "nmg" or sparsifier.layout.sparse_axis == 0:
        return run(call)
    return run(replace(call, parameters={"sparsifier": replace(sparsifier, sparse_axis=0, group_axis=1)}))


@mutant("NMGS-S4", "select")
def nmg_tail_policy_ignored(run: Run, call: Call) -> Any:
    """The short last chunk is chosen as if it were filled up."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name != "nmg" or not isinstance(sparsifier.layout, NMG):
        return run(call)
    return run(replace(call, parameters={"sparsifier": replace(sparsifier, tail="pad")}))


@mutant("KEEP-S1", "select")
def keep_all_drops_zeros(run: Run, call: Call) -> Any:
    """keep-all keeps what is not zero."""
    return run(call) & (dense_of(call) != 0) if sparsifier_of(call).name == "keep-all" else run(call)


@mutant("BTHR-S1", "select")
def block_threshold_strict(run: Run, call: Call) -> Any:
    """A block whose score equals the threshold is dropped."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name != "block-threshold":
        return run(call)
    above = float(np.nextafter(sparsifier.threshold, np.inf))
    return run(replace(call, parameters={"sparsifier": replace(sparsifier, threshold=above)}))


@mutant("BFRAC-S1", "select")
def block_fraction_one_more(run: Run, call: Call) -> Any:
    """One block more than the fraction says is kept."""
    sparsifier, scores = sparsifier_of(call), scores_of(call)
    if sparsifier.name != "block-fraction" or scores.ndim != 2 or scores.size == 0:
        return run(call)
    blocks = -(-scores.shape[0] // sparsifier.r) * -(-scores.shape[1] // sparsifier.c)
    fewer = max(np.rint(sparsifier.fraction * blocks) - 1, 0) / blocks
    return run(replace(call, parameters={"sparsifier": replace(sparsifier, fraction=float(fewer))}))


@mutant("SPF-8", "select")
def fraction_is_what_is_kept(run: Run, call: Call) -> Any:
    """The fraction is read as the share that stays."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name != "scalar-fraction":
        return run(call)
    return run(replace(call, parameters={"sparsifier": replace(sparsifier, fraction=1.0 - sparsifier.fraction)}))


@mutant("SPF-9", "select")
def infinite_threshold_keeps_all(run: Run, call: Call) -> Any:
    """A threshold that is not finite is taken for none."""
    sparsifier = sparsifier_of(call)
    if sparsifier.name == "scalar-threshold" and np.isinf(sparsifier.threshold):
        return np.ones(dense_of(call).shape, bool)
    return run(call)


@mutant("SPF-1", "select")
def pattern_of_numbers(run: Run, call: Call) -> Any:
    """The pattern comes as int8 instead of bool."""
    return run(call).astype(np.int8)
