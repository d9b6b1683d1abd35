"""Models in files: what was saved is what is loaded, into a dense model or a sparse one, and what is tied stays tied."""

import numpy as np
import pytest
import torch
from file_models import INPUTS, Net, bits_of, made_sparse, net, output, state_bits, whole_numbers
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch import SparseTensor, sparse_parameter, sparsify
from sparseref_torch.builder import SparsityBuilder
from sparseref_torch.export import dense_copy, save_dense
from sparseref_torch.files import Keys, load_model, load_state, save_model
from sparseref_torch.tensors import to_torch
from torch import nn

from sparseref.conformance import strategies as some
from sparseref.files import View, load_file, read_header

pytestmark = pytest.mark.filterwarnings("ignore:embedding fell back to dense:sparseref.FallbackWarning")

FORMS = ("dense", "masked:0.7", "coo:0.5", "csr:0.9", "csc:0.9", "bsr:4:4:0.5", "ell:0.8", "nm:2:4", "nmg:2:4:2",
         "nmg:1:4:2,tail=short", "vnm:4:2:8")
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


# ---- Tensors


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "turned"), [((16, 24), False), ((24, 16), True), ((8, 3, 2, 2), False)])
def test_a_sparse_tensor_comes_back(tmp_path, form, dtype, shape, turned):
    """Every layout, a matrix, a transposed one, a convolution's weight: shape, fields, every bit."""
    tensor = sparsify(whole_numbers(*shape, dtype=dtype), form, turned=turned)
    expected = bits_of(tensor)
    actual = bits_of(load_state(save_model({"w": tensor}, tmp_path / "file"))["w"])

    assert expected == actual


@given(some.layouts(["csr", "coo", "ell", "nmg", "vnm", "masked"]), st.data())
def test_any_valid_array_comes_back_as_a_tensor(tmp_path_factory, layout, data):
    """With padding, explicit zeros, NaN."""
    a = data.draw(some.sparse_arrays(layout, dtype=np.dtype(np.float32), canonical=True))
    tensor = SparseTensor(to_torch(a))
    expected = bits_of(tensor)
    actual = bits_of(load_state(save_model({"w": tensor}, tmp_path_factory.getbasetemp() / "tensor"))["w"])

    assert expected == actual


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bool, torch.uint8, torch.int16, torch.int64], ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 4), (2, 0, 3)], ids=str)
def test_a_dense_tensor_comes_back(tmp_path, dtype, shape):
    """0-d and empty ones, and views of any stride."""
    tensor = torch.arange(24).to(dtype)[1:].as_strided(shape, [2] * len(shape))
    expected = bits_of(tensor)
    actual = bits_of(load_state(save_model({"w": tensor}, tmp_path / "file"))["w"])

    assert expected == actual


def test_numpy_reads_the_matrix_and_the_header_the_shape(tmp_path):
    """A convolution's weight [8, 3, 2, 2] is a matrix [8, 12] in the file, with a view (FILE-8)."""
    flat = whole_numbers(8, 4)
    path = save_model({"w": sparsify(whole_numbers(8, 3, 2, 2), "csr:0.5"), "t": sparsify(flat, "csr:0.5", turned=True),
                       "plain": sparsify(flat, "csr:0.5")}, tmp_path / "file")
    arrays, entries = load_file(path), read_header(path).arrays

    assert {name: array.shape for name, array in arrays.items()} == {"w": (8, 12), "t": (4, 8), "plain": (8, 4)}
    assert {name: entry.view for name, entry in entries.items()} == {
        "w": View((8, 3, 2, 2)), "t": View((8, 4), True), "plain": None}


# ---- Models


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("into", ["dense", "the same formats", "other formats"])
def test_a_model_comes_back(tmp_path, into, tied):
    """Whatever the model was before: every parameter, every buffer, the output, the ties."""
    saved, fresh = net(tied=tied), net(1, sparse=False, tied=tied)
    if into != "dense":
        made_sparse(fresh, *(("csr:0.5", "nm:2:4") if into == "other formats" else ()))
    expected = state_bits(saved), output(saved)
    keys = load_model(fresh, save_model(saved, tmp_path / "file"))
    actual = state_bits(fresh), output(fresh)

    assert expected == actual
    assert keys == Keys([], [])
    assert (fresh.head.weight is fresh.embedding.weight) == tied


def test_a_dense_model_takes_the_place_of_a_sparse_one(tmp_path):
    """Then its parameters are ordinary ones."""
    saved, fresh = net(sparse=False), net(1)
    expected = state_bits(saved), output(saved)
    load_model(fresh, save_model(saved, tmp_path / "file"))
    actual = state_bits(fresh), output(fresh)

    assert expected == actual
    assert fresh.head.weight is fresh.embedding.weight


def test_parameters_stay_the_same_objects_where_they_can(tmp_path):
    """Dense stays dense and sparse stays sparse: an optimizer made before goes on with them."""
    model = net(1)
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    load_model(model, save_model(net(), tmp_path / "file"))
    expected = state_bits(net())
    after = {name: id(parameter) for name, parameter in model.named_parameters()}

    assert before == after
    assert expected == state_bits(model)

    model.train()(INPUTS).square().sum().backward()
    optimizer.step()

    assert isinstance(model.conv.weight.grad, SparseTensor)
    assert state_bits(model)["conv.weight"] != expected["conv.weight"]


def test_a_loaded_model_trains(tmp_path):
    """A new sparse parameter gets gradients in its own slots, and a frozen one stays frozen."""
    model = net(1, sparse=False)
    model.conv.weight.requires_grad_(False)
    load_model(model, save_model(net(), tmp_path / "file"))
    model.train()(INPUTS).square().sum().backward()

    assert model.conv.weight.grad is None
    assert isinstance(model.head.weight.grad, SparseTensor)
    assert model.lstm.weight_ih_l0.grad is not None


@pytest.mark.parametrize("sparse", [True, False])
def test_a_model_on_the_meta_device_becomes_real(tmp_path, sparse):
    """Nothing is allocated twice; what no file holds has to be made by the user."""
    saved = net(sparse=sparse)
    with torch.device("meta"):
        fresh = Net().eval()
    load_model(fresh, save_model(saved, tmp_path / "file"))
    fresh.cache = torch.zeros(3)

    assert state_bits(saved) == state_bits(fresh)
    assert output(saved) == output(fresh)
    assert fresh.head.weight is fresh.embedding.weight


def test_what_the_file_ties_the_model_ties(tmp_path):
    """Two names, one tensor, whatever the model had."""
    fresh = net(1, sparse=False, tied=False)
    load_model(fresh, save_model(net(), tmp_path / "file"))

    assert fresh.head.weight is fresh.embedding.weight


def test_what_the_model_ties_may_stand_twice_in_the_file(tmp_path):
    """If both are equal; or under one of the names alone, as other programs write it."""
    saved, fresh = net(), net(1)
    state = saved.state_dict()
    state["head.weight"] = state["head.weight"].clone()
    load_model(fresh, save_model(state, tmp_path / "file"))

    assert read_header(tmp_path / "file").ties == {}
    assert state_bits(saved) == state_bits(fresh)
    assert fresh.head.weight is fresh.embedding.weight

    del state["head.weight"]
    again = net(2)

    assert load_model(again, save_model(state, tmp_path / "file")) == Keys([], [])
    assert state_bits(saved) == state_bits(again)


def test_ties_of_the_model_and_of_the_file_add_up(tmp_path):
    """a is c in the model, b is c in the file: all three are one, if the file has one value for them."""
    def three(seed, **tied):
        torch.manual_seed(seed)
        model = nn.ParameterDict({name: torch.randn(4, 4) for name in "abc"})
        for name, other in tied.items():
            model[name] = model[other]
        return model

    saved, fresh, again = three(0, c="b"), three(1, c="a"), three(2, c="a")
    other = save_model(saved, tmp_path / "file")

    with pytest.raises(ValueError, match="MODEL-4"):
        load_model(fresh, other)
    with torch.no_grad():
        saved.a.copy_(saved.b)
    load_model(again, save_model(saved, tmp_path / "file"))

    assert again.a is again.b is again.c
    assert state_bits(saved) == state_bits(again)


def test_the_size_of_a_model_is_that_of_its_tensors(tmp_path):
    """What is tied once, what is sparse as its card says, and the index (FILE-7, CORE-B1)."""
    model = net()
    path = save_model(model, tmp_path / "file")
    content = path.read_bytes()
    dense = [*model.buffers(), *(parameter for parameter in model.parameters() if not isinstance(parameter, SparseTensor))]
    expected = (8 + int.from_bytes(content[:8], "little") + model.conv.weight.bits // 8 + model.head.weight.bits // 8
                + sum(tensor.numel() * tensor.element_size() for tensor in dense if tensor is not model.cache))
    actual = len(content)

    assert expected == actual
    assert read_header(path).ties == {"head.weight": "embedding.weight"}


def test_equal_models_give_equal_files(tmp_path):
    """Bit for bit, with the strings that go with them."""
    expected, actual = (save_model(net(), tmp_path / name, {"b": "1", "a": "2"}).read_bytes() for name in "xy")

    assert expected == actual


def test_names_with_dots_and_modules_that_stand_twice(tmp_path):
    """As a checkpoint without its modules has them, and as a shared layer has."""
    def shared(seed):
        torch.manual_seed(seed)
        layer = nn.Linear(8, 8)
        model = nn.ModuleDict({"first": layer, "second": layer})
        model._parameters["free.name"] = nn.Parameter(torch.randn(8, 8))
        return model

    saved, fresh = shared(0), shared(1)
    for module, name in ((saved, "free.name"), (saved["first"], "weight")):
        module._parameters[name] = sparse_parameter(sparsify(module._parameters[name], "csr:0.5"))
    load_model(fresh, save_model(saved, tmp_path / "file"))

    assert state_bits(saved) == state_bits(fresh)
    assert read_header(tmp_path / "file").ties == {"second.weight": "first.weight", "second.bias": "first.bias"}


# ---- Real models


@pytest.mark.slow
def test_gpt2_comes_back(tmp_path):
    """Transposed weights of Conv1D, and an embedding that is tied to the head: the same logits, in half of the space."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=2, n_embd=64, n_head=4, vocab_size=128, n_positions=32)
    torch.manual_seed(0)
    dense, fresh = GPT2LMHeadModel(config).eval(), GPT2LMHeadModel(config).eval()
    saved = SparsityBuilder().set_weight("transformer.h.*.c_*.weight", format="nm:2:8").set_weight(
        "transformer.wte.weight", format="csr:0.9").get_sparse_model(dense)
    path = save_model(saved, tmp_path / "file")
    load_model(fresh, path)
    x = torch.arange(20).reshape(2, 10)
    expected = saved(x).logits
    actual = fresh(x).logits

    assert torch.equal(expected, actual)
    assert fresh.lm_head.weight is fresh.transformer.wte.weight
    assert read_header(path).arrays["transformer.h.0.attn.c_attn.weight"].view == View((64, 192), True)
    assert read_header(path).ties == {"lm_head.weight": "transformer.wte.weight"}
    assert path.stat().st_size < save_dense(saved, tmp_path / "dense").stat().st_size / 2


@pytest.mark.slow
def test_resnet18_comes_back(tmp_path):
    """Convolutions as matrices, statistics of the norms as buffers: the same output; size as the card says."""
    from torchvision.models import resnet18

    torch.manual_seed(0)
    saved = SparsityBuilder().set_weight(module="Conv2d", min_size=2000, format="nm:2:8").get_sparse_model(resnet18().eval())
    fresh = resnet18().eval()
    path = save_model(saved, tmp_path / "file")
    load_model(fresh, path)
    x = whole_numbers(1, 3, 64, 64)
    with torch.no_grad():
        expected, actual = saved(x), fresh(x)
    tensors = saved.state_dict().values()
    bits = sum(tensor.bits if isinstance(tensor, SparseTensor) else 8 * tensor.element_size() * tensor.numel()
               for tensor in tensors)

    assert torch.equal(expected, actual)
    assert 0 < path.stat().st_size - bits // 8 < 60_000
    assert torch.equal(dense_copy(fresh).layer4[1].conv2.weight, saved.layer4[1].conv2.weight.to_dense())
