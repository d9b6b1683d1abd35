"""Weights that a task trains itself: kept whole or made again, never a damaged copy."""

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch.poc.cache import cache_folder, cached_state, digest

STATE = {"weight": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(3)}


class Maker:
    """Gives STATE, and counts how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return STATE


def same(state):
    return state.keys() == STATE.keys() and all(torch.equal(state[name], STATE[name]) for name in STATE)


def test_what_was_made_is_read_the_next_time(tmp_path):
    """A tensor that lies in memory in another order, and one without dimensions, too."""
    make = Maker()
    states = [cached_state("it", [b"data"], make, tmp_path / "new") for _ in range(3)]

    assert make.calls == 1
    assert all(same(state) for state in states)
    assert [file.suffix for file in (tmp_path / "new").iterdir()] == [".safetensors"]


def test_what_is_made_of_something_else_is_another_file(tmp_path):
    make = Maker()
    for made_of in ([b"data", b"1"], [b"data", b"2"], [b"data1"], [b"data", b"1"]):
        cached_state("it", made_of, make, tmp_path)

    assert make.calls == 3
    assert len(list(tmp_path.iterdir())) == 3


@given(st.data())
def test_a_damaged_file_is_replaced(tmp_path_factory, data):
    """Cut off anywhere, or with any one byte changed."""
    make, folder = Maker(), tmp_path_factory.mktemp("cache")
    cached_state("it", [b"data"], make, folder)
    file, = folder.iterdir()
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    file.write_bytes(data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1:]])))
    with pytest.warns(UserWarning, match="cannot be used, the weights are trained anew"):
        state = cached_state("it", [b"data"], make, folder)

    assert make.calls == 2
    assert same(state)
    assert file.read_bytes() == whole


def test_a_file_of_other_weights_is_not_believed(tmp_path):
    """Even a whole one under the right name."""
    for made_of in (b"data", b"other"):
        cached_state("it", [made_of], Maker(), tmp_path)
    mine, other = (tmp_path / f"it-{digest([made_of])[:16]}.safetensors" for made_of in (b"data", b"other"))
    os.replace(other, mine)
    make = Maker()
    with pytest.warns(UserWarning, match="other weights than its name says"):
        cached_state("it", [b"data"], make, tmp_path)

    assert make.calls == 1


def test_a_folder_that_cannot_be_written_costs_the_time_and_nothing_else(tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="could not be written .* the next call trains again"):
        state = cached_state("it", [b"data"], Maker(), tmp_path / "file" / "folder")

    assert same(state)


def test_what_failed_leaves_nothing_behind(tmp_path):
    """As when the training is interrupted."""
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_state("it", [b"data"], interrupted, tmp_path)

    assert not list(tmp_path.iterdir())


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_a_digest_tells_all_lists_apart(one, other):
    assert (digest(one) == digest(other)) == (one == other)


def test_the_cache_is_this_users():
    expected = "sparseref"
    actual = cache_folder().name

    assert expected == actual
    assert cache_folder().is_absolute()
