"""Sparse models for programs that know no sparse tensors: dense copies, dense files."""

import copy
import json

import pytest
import torch
from checking import refusal
from file_models import INPUTS, net, state_bits, whole_numbers
from safetensors.torch import load_model as load_plain_model
from sparseref_torch import SparseTensor, sparse_parameter, sparsify
from sparseref_torch.builder import SparsityBuilder
from sparseref_torch.export import dense_copy, save_dense
from sparseref_torch.files import load_model
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:embedding fell back to dense:sparseref.FallbackWarning")


def test_a_dense_copy_computes_the_same_without_sparse_tensors():
    """Parameters are ordinary ones, tied as before, and the original is untouched."""
    model = net()
    before = state_bits(model)
    dense = dense_copy(model)
    expected = model(INPUTS)
    actual = dense(INPUTS)

    assert not [name for name, tensor in dense.state_dict().items() if isinstance(tensor, SparseTensor)]
    assert {type(parameter) for parameter in dense.parameters()} == {nn.Parameter}
    assert dense.head.weight is dense.embedding.weight
    assert state_bits(model) == before
    assert all(torch.equal(tensor.to_dense() if isinstance(tensor, SparseTensor) else tensor, dense.state_dict()[name])
               for name, tensor in model.state_dict().items())
    torch.testing.assert_close(actual, expected)


def test_a_dense_copy_trains_and_keeps_what_is_frozen():
    """Its gradients are dense: no hook of the sparse one is left."""
    model = net()
    model.conv.weight.requires_grad_(False)
    dense = dense_copy(model).train()
    dense(INPUTS).square().sum().backward()

    assert dense.conv.weight.grad is None
    assert type(dense.head.weight.grad) is torch.Tensor


def test_torch_exports_a_dense_copy():
    """The program holds dense weights and no operator of sparseref."""
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8)).eval()
    model[0].weight = sparse_parameter(sparsify(model[0].weight, "nmg:2:4:2"))
    x = whole_numbers(4, 16)
    copied = dense_copy(model)
    program = torch.export.export(copied, (x,))

    assert "sparseref" not in str(program.graph)
    assert torch.equal(program.module()(x), copied(x))


def test_a_dense_file_is_an_ordinary_one(tmp_path):
    """safetensors loads it into a dense model of the same class, ties and all; its other names are in the metadata."""
    model, fresh = net(), net(1, sparse=False)
    path = save_dense(model, tmp_path / "file", {"licence": "MIT"})
    missing, unexpected = load_plain_model(fresh, path)
    length = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8:8 + length])["__metadata__"]

    assert (missing, unexpected) == (set(), [])
    assert state_bits(dense_copy(model)) == state_bits(fresh)
    assert metadata == {"format": "pt", "licence": "MIT", "head.weight": "embedding.weight"}
    assert refusal(load_model, fresh, path) == "FILE-2"


def test_an_ordinary_dense_model_is_its_own_dense_copy():
    """Nothing to do, nothing shared."""
    model = net(sparse=False)
    dense = dense_copy(model)

    assert state_bits(model) == state_bits(dense)
    assert dense.conv.weight is not model.conv.weight


@pytest.mark.parametrize("by", ["output", "node"])
def test_stored_intermediates_are_dropped_on_request_only(by):
    """They are no weights: a dense copy computes something else."""
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    where = {"name": "0"} if by == "output" else {"node": "_0"}
    storing = SparsityBuilder().set_interm(**where, format="csr:0.5").get_sparse_model(copy.deepcopy(model))
    x = whole_numbers(3, 16)
    expected = model(x)
    actual = dense_copy(storing, drop_intermediates=True)(x)

    assert refusal(dense_copy, storing) == "MODEL-5"
    assert torch.equal(expected, actual)
    assert not torch.equal(storing(x), expected)
