"""Models and files that do not fit each other: refused with what is wanted, and nothing has changed (ERR-2)."""

import pytest
import torch
from checking import refusal
from file_models import bits_of, net, state_bits, whole_numbers
from sparseref_torch import sparsify
from sparseref_torch.files import Keys, load_model, save_model
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

pytestmark = pytest.mark.filterwarnings("ignore:embedding fell back to dense:sparseref.FallbackWarning")


def refused(model, content, tmp_path):
    """The clause that refuses to load; the model is as it was."""
    path = save_model(content, tmp_path / "file")
    before = state_bits(model)
    clause = refusal(load_model, model, path)

    assert state_bits(model) == before
    return clause


def changed(model, **changes):
    """The state of a model with tensors replaced, added (a dot as two underscores) or, by None, left out."""
    state = model.state_dict() | {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(("expected", "changes"), [
    ("MODEL-2", {"norm__weight": None}), ("MODEL-2", {"more": torch.ones(1)}), ("MODEL-2", {"conv__weight": None}),
    ("MODEL-3", {"norm__weight": torch.ones(3)}), ("MODEL-3", {"norm__weight": torch.ones(16).half()}),
    ("MODEL-3", {"conv__weight": sparsify(whole_numbers(16, 16), "csr:0.5")}),
    ("MODEL-3", {"conv__weight": sparsify(whole_numbers(16, 16, 3).double(), "csr:0.5")}),
    ("MODEL-3", {"scale": torch.ones(1)}), ("MODEL-3", {"norm__num_batches_tracked": torch.tensor(3.0)}),
    ("MODEL-4", {"head__weight": torch.ones(24, 16)}),
    ("MODEL-4", {"head__weight": sparsify(whole_numbers(24, 16), "csr:0.5")})])
@pytest.mark.parametrize("into", [True, False], ids=["sparse", "dense"])
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, expected, changes, into):
    """Names, shapes, dtypes, ties (ERR-2)."""
    actual = refused(net(1, sparse=into), changed(net(), **changes), tmp_path)

    assert expected == actual


def test_what_is_not_strict_loads_what_matches(tmp_path):
    """And gives the other names back, as torch does; shapes count all the same."""
    saved, fresh = net(), net(1, sparse=False)
    state = changed(saved, norm__weight=None, more=torch.ones(1))
    keys = load_model(fresh, save_model(state, tmp_path / "file"), strict=False)

    assert keys == Keys(["norm.weight"], ["more"])
    assert bits_of(fresh.conv.weight) == bits_of(saved.conv.weight)
    assert refusal(load_model, fresh, save_model(changed(saved, scale=torch.ones(2)), tmp_path / "file"), False) == "MODEL-3"


@pytest.mark.parametrize(("saved", "loaded", "fix"), [
    (lambda model: nn.ModuleDict({"module": model}), lambda model: model, "save_model(model.module, path)"),
    (lambda model: model, lambda model: nn.ModuleDict({"module": model}), "load_model(model.module, path)"),
    (lambda model: {**model.state_dict(), "head.wieght": torch.ones(1)}, lambda model: model, "head.weight")])
def test_the_error_says_what_to_write(tmp_path, saved, loaded, fix):
    """A wrapper's prefix, a misspelt name."""
    path = save_model(saved(net()), tmp_path / "file")
    with pytest.raises(ValueError, match="MODEL-2") as caught:
        load_model(loaded(net(1)), path)

    assert fix in str(caught.value)


class Loud(nn.Linear):
    """A module whose state is more than its tensors."""

    def get_extra_state(self):
        return {"a": 1}

    def set_extra_state(self, state):
        pass


@pytest.mark.parametrize(("expected", "model"), [
    ("MODEL-1", Loud(2, 2)), ("MODEL-1", None), ("MODEL-1", [torch.ones(1)]), ("MODEL-1", {"w": 1}),
    ("MODEL-1", {"w": torch.ones(2, device="meta")}), ("MODEL-1", {"w": torch.ones(2, 2).to_sparse()}),
    ("MODEL-1", {"w": TwoTensor(torch.ones(2), torch.ones(2))}),
    ("FILE-7", {"w": torch.ones(2).to(torch.float8_e4m3fn)}), ("FILE-7", {"w": torch.ones(2, dtype=torch.complex64)}),
    ("FILE-6", {"w": sparsify(whole_numbers(4, 4), "csr:0.5"), "w.values": torch.ones(1)}), ("FILE-6", {3: torch.ones(1)})],
    ids=str)
def test_what_no_file_can_hold_is_refused(tmp_path, expected, model):
    """Nothing is left out without a word, and nothing is pickled."""
    actual = refusal(save_model, model, tmp_path / "file")

    assert expected == actual
    assert not list(tmp_path.iterdir())
