"""Schedules, allocations and ladders: when how much, of which tensor, in which format."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch.training import Cubic, Iterative, LayerWise, Linear, OneShot, Pruner, erk, parse_schedule, uniform
from sparseref_torch.training.allocation import at_threshold
from sparseref_torch.training.ladder import DENSE, Ladder
from sparseref_torch.training.schedules import SCHEDULES

import sparseref as sr

steps = st.integers(0, 60)
every = st.integers(1, 20)
SCHEDULE = st.one_of(
    st.builds(OneShot, steps),
    st.builds(lambda kind, begin, length, every: kind(begin, begin + length, every), st.sampled_from([Cubic, Linear]), steps,
              st.integers(1, 60), every),
    st.builds(Iterative, st.integers(1, 6), every),
    st.builds(LayerWise, every, steps, st.integers(1, 5)))
SPARSITY = st.floats(0, 1)
SHAPES = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple).filter(lambda s: math.prod(s) < 10**5),
                  min_size=1, max_size=6)


@given(SCHEDULE, SPARSITY)
def test_a_schedule_never_falls_and_ends_exactly(schedule, final):
    """From its end on the sparsity is the very number that was asked for, for every tensor."""
    count = getattr(schedule, "count", 3)
    for place in range(count):
        course = [schedule.sparsity(step, final, place, count) for step in range(schedule.end + 5)]

        assert course == sorted(course)
        assert all(0 <= sparsity <= final for sparsity in course)
        assert course[schedule.end:] == [final] * 5


@given(SCHEDULE, st.floats(0.1, 1))
def test_the_sparsity_changes_at_updates_alone(schedule, final):
    """And before `begin` nothing is dropped."""
    count = getattr(schedule, "count", 3)
    for place in range(count):
        course = [schedule.sparsity(step, final, place, count) for step in range(schedule.end + 5)]
        expected = []
        actual = [step for step in range(1, len(course)) if course[step] != course[step - 1] and not schedule.updates(step)]

        assert expected == actual
        assert course[:schedule.begin] == [0.0] * schedule.begin


def test_the_cubic_schedule_by_hand():
    """Zhu & Gupta 2017, equation 1: half way all but an eighth of the final sparsity is there."""
    schedule = Cubic(100, 300)
    expected = [0.0, 0.5 * (1 - 0.75 ** 3), 0.4375, 0.5, 0.5]
    actual = [schedule.sparsity(step, 0.5) for step in (100, 150, 200, 300, 400)]

    assert expected == actual


def test_iterative_pruning_drops_the_same_share_of_what_is_left():
    """Two rounds to 0.75: half, then half of the rest."""
    schedule = Iterative(rounds=2, every=10)
    expected = [0.0, 0.0, 0.5, 0.5, 0.75]
    actual = [schedule.sparsity(step, 0.75) for step in (0, 9, 10, 19, 20)]

    assert expected == actual


def test_layers_go_one_after_another():
    schedule = LayerWise(every=10, begin=5).for_tensors(3)
    expected = [[0.0, 0.0, 0.0], [0.9, 0.0, 0.0], [0.9, 0.9, 0.0], [0.9, 0.9, 0.9]]
    actual = [[schedule.sparsity(step, 0.9, place, 3) for place in range(3)] for step in (4, 5, 15, 25)]

    assert expected == actual


@pytest.mark.parametrize("text", [example for kind in SCHEDULES.values() for example in kind.examples])
def test_a_schedule_is_said_by_its_string(text):
    expected = text
    actual = str(parse_schedule(text))

    assert expected == actual
    assert parse_schedule(parse_schedule(text)) == parse_schedule(text)


@pytest.mark.parametrize("make", [
    lambda: parse_schedule("cosine:0:10"), lambda: parse_schedule(7), lambda: Cubic(10, 10), lambda: Cubic(-1, 10),
    lambda: Linear(0, 10, every=0), lambda: Iterative(0, 10), lambda: Iterative(3, 10, rewind=10), lambda: LayerWise(0),
    lambda: OneShot(1.5), lambda: OneShot(True), lambda: parse_schedule("linear:0:ten")])
def test_what_is_no_schedule_is_refused(make):     # TRAIN-1
    with pytest.raises(sr.SpecError) as refused:
        make()

    assert refused.value.clause == "TRAIN-1"


@given(SHAPES, SPARSITY)
def test_erk_adds_up_exactly(shapes, sparsity):
    """Whatever the shapes: the total is the one that a single tensor of that size would have (SFRAC-S1)."""
    size = sum(map(math.prod, shapes))
    expected = sr.ScalarFraction(sparsity).select(torch.zeros(size).double().numpy(), None).sum()
    dropped = erk(shapes, sparsity)
    actual = size - sum(dropped)

    assert expected == actual
    assert all(0 <= count <= math.prod(shape) for count, shape in zip(dropped, shapes, strict=True))


@given(SHAPES, SPARSITY)
def test_erk_densities_are_in_proportion(shapes, sparsity):
    """Evci et al. 2020: of the tensors that are not full, kept / sum(shape) is one number, up to the rounding of the counts."""
    dropped = erk(shapes, sparsity)
    kept = [math.prod(shape) - count for shape, count in zip(shapes, dropped, strict=True)]
    free = [(count, sum(shape)) for count, shape in zip(kept, shapes, strict=True) if count < math.prod(shape)]
    most_scale = min(((count + 1) / side for count, side in free), default=math.inf)
    least_scale = max(((count - 1) / side for count, side in free), default=0)
    full = [count / sum(shape) for count, shape in zip(kept, shapes, strict=True) if count == math.prod(shape)]

    assert least_scale <= most_scale
    assert all(ratio - 1e-9 <= most_scale + 1 for ratio in full) or not free


@given(SHAPES, st.lists(SPARSITY, min_size=2, max_size=5).map(sorted))
def test_erk_never_gives_back(shapes, rising):
    """With what was kept before as `most`, no tensor's share rises while the sparsity does."""
    most = [math.prod(shape) for shape in shapes]
    for sparsity in rising:
        kept = [math.prod(shape) - count for shape, count in zip(shapes, erk(shapes, sparsity, most), strict=True)]

        assert all(now <= before for now, before in zip(kept, most, strict=True))
        most = kept


def test_erk_by_hand():
    """4 x 4 and 2 x 2 with 10 entries kept: 8 : 4 would be 6.67 and 3.33, whole numbers 7 and 3."""
    expected = [16 - 7, 4 - 3]
    actual = erk([(4, 4), (2, 2)], 0.5)

    assert expected == actual


def test_erk_clips_what_would_be_more_than_full():
    """100 x 100 and 2 x 2, 5,002 kept: in proportion the small one would have 98 of its 4 entries."""
    expected = [10000 - 4998, 0]
    actual = erk([(100, 100), (2, 2)], 0.5)

    assert expected == actual


@given(SHAPES, SPARSITY)
def test_uniform_drops_what_the_sparsifier_drops(shapes, sparsity):
    expected = [int((~sr.ScalarFraction(sparsity).select(torch.zeros(shape).double().numpy(), None)).sum()) for shape in shapes]
    actual = uniform(shapes, sparsity)

    assert expected == actual


@given(st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=12), min_size=1, max_size=4), SPARSITY)
def test_one_threshold_for_all_is_one_long_tensor(scores, sparsity):
    """Counts are those of the concatenation, ties included."""
    parts = [torch.tensor(numbers).double() for numbers in scores]
    pattern = torch.from_numpy(sr.ScalarFraction(sparsity).select(torch.cat(parts).numpy(), None))
    expected = [int((~part).sum()) for part in pattern.split([len(part) for part in parts])]
    actual = at_threshold(parts, sparsity)

    assert expected == actual


def test_a_ladder_is_never_sparser_than_asked():
    ladder = Ladder(["nmg:4:8:8", "nmg:2:8:8"])
    expected = ["dense", "dense", "nmg:4:8:8", "nmg:4:8:8", "nmg:2:8:8"]
    actual = [str(ladder.at(sparsity)[1]) for sparsity in (0.0, 0.49, 0.5, 0.74, 0.75)]

    assert expected == actual
    assert ladder.final == 0.75
    assert not ladder.divides


def test_a_fraction_has_every_level():
    ladder = Ladder("csr:0.9")
    expected = (sr.ScalarFraction(0.25), "csr")
    sparsifier, layout = ladder.at(0.25)

    assert expected == (sparsifier, str(layout))
    assert ladder.at(0.0) == DENSE
    assert ladder.divides


@pytest.mark.parametrize(("form", "final"), [
    (("nmg:2:8:8", "masked"), 0.75), ("nm:1:4", 0.75), ("bsr:4:4:0.5", 0.5), ("vnm:4:2:8", 0.75),
    (sr.OutputFormat(sr.KeepAll(), sr.Dense(), sr.ScalarFraction(0.3), sr.CSR()), 0.3), (["masked:0.5", "nm:1:4"], 0.75)])
def test_the_final_sparsity_is_the_formats(form, final):
    expected = final
    actual = Ladder(form).final

    assert expected == actual


@pytest.mark.parametrize("form", [
    "csr", ("random-fraction:0.5", "csr"), ["nmg:2:8:8", "nmg:4:8:8"], [], ["nm:2:4", "nm:4:8"], "masked",
    sr.OutputFormat(sr.ScalarThreshold(0.1), sr.Dense(), sr.ScalarFraction(0.3), sr.CSR())])
def test_what_is_no_ladder_is_refused(form):       # TRAIN-4
    with pytest.raises(sr.SpecError) as refused:
        Ladder(form)

    assert refused.value.clause == "TRAIN-4"


def test_a_format_without_levels_takes_no_gradual_schedule():      # TRAIN-4
    """The error shows a ladder that would do."""
    with pytest.raises(sr.SpecError) as refused:
        Pruner(torch.nn.Linear(16, 16), "weight", "nmg:2:8:8", Cubic(0, 10))

    assert refused.value.clause == "TRAIN-4"
    assert '["nmg:4:8:8", "nmg:2:8:8"]' in str(refused.value)


@pytest.mark.parametrize(("form", "allocation", "schedule"), [
    ("nm:2:4", "erk", "one-shot"), (["nm:4:8", "nm:2:8"], "global", "one-shot"), ("bsr:2:2:0.5", "global", "one-shot"),
    ("csr:0.5", "erk", LayerWise(10)), ("csr:0.5", "fair", "one-shot")])
def test_an_allocation_that_has_no_meaning_is_refused(form, allocation, schedule):     # TRAIN-2
    with pytest.raises(sr.SpecError) as refused:
        Pruner(torch.nn.Linear(16, 16), "weight", form, schedule, allocation=allocation)

    assert refused.value.clause == "TRAIN-2"
