"""What is kept beside the fields: how many bytes for each stored entry, and that it goes when the tensor goes."""

import gc

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from sparse_cases import layer, same, whole_numbers
from sparseref_torch import use_backend
from sparseref_torch.tensor import slots

BYTES = {"csr:0.75": (4, 16), "csc:0.75": (8, 16), "coo:0.75": (4, 16), "nm:1:4": (4, 16), "nmg:1:4:4": (8, 20),
         "vnm:4:1:4": (8, 20), "bsr:4:4:0.75": (8, 20)}
"""Format -> bytes kept for each stored entry to infer, and to train; a few more for each row."""


def kept(weight):
    """The tensors that are kept for a weight."""
    known = slots.slots_of(weight.sparse)
    found = [known.place, known.padding]
    for lines in known.lines.values():
        found += [lines.offsets, lines.across, lines.slots]
    return [tensor for tensor in found if tensor is not None]


@pytest.mark.parametrize("form", BYTES)
def test_bytes_for_each_stored_entry(form):
    """To infer, the lines of one direction; to train, those of both and where each slot's entry lies."""
    model = layer(form, 256, 128)
    for train, expected in zip((False, True), BYTES[form], strict=True):
        x = whole_numbers(3, 256).requires_grad_(train)
        with torch.set_grad_enabled(train), use_backend("torch"):
            y = model(x)
        if train:
            y.sum().backward()
        size = sum(tensor.numel() * tensor.element_size() for tensor in kept(model.weight))
        rows = 4 * (128 + 1 + (256 + 1) * train)
        actual = (size - rows) / model.weight.nnz

        assert actual == expected


def test_what_is_kept_goes_with_the_tensor():
    """Slots with the index tensors, a decoded weight with the values."""
    gc.collect()
    before = len(slots._KNOWN), len(slots._DECODED)
    model, x = layer("masked:0.5"), whole_numbers(3, 64)
    model(x).sum().backward()
    during = len(slots._KNOWN), len(slots._DECODED)
    del model
    gc.collect()

    assert during == (before[0] + 1, before[1] + 1)
    assert (len(slots._KNOWN), len(slots._DECODED)) == before


def test_another_pattern_in_the_same_tensors_is_noticed():
    """Indices written in place have another version."""
    weight, x = layer("csr:0.5", 8, 4).weight.detach(), whole_numbers(3, 8)
    F.linear(x, weight)
    weight.sparse["indices"].copy_(7 - weight.sparse["indices"])

    assert same(x @ weight.to_dense().T, F.linear(x, weight))
