"""torch's own modules with sparse weights: what they share with every model, and the ones that call fused kernels."""

import copy
from itertools import product

import pytest
import torch
from models import Case, error_ratio, moved_too_far, step_problems
from sparseref_torch import SparseTensor, explain, sparse_parameter, sparsify, strict
from sparseref_torch.tensor import convolutions
from torch import nn
from torch.nn import functional

from sparseref import SpecError


def sparse_linear(form="csr:0.75"):
    linear = nn.Linear(16, 8)
    linear.weight = sparse_parameter(sparsify(linear.weight, form))
    return linear


@pytest.mark.parametrize("convert", [nn.Module.double, nn.Module.half, nn.Module.bfloat16], ids=["double", "half", "bfloat16"])
def test_a_converted_model_keeps_the_gradient_format(convert):
    """model.half() swaps the contents of a parameter; the hook that turns gradients must see what is in it from then on."""
    model = convert(sparse_linear())
    model.weight.set_sparse_(sparsify(torch.randn(8, 16).to(model.weight.dtype), "csr:0.5"))
    model(torch.randn(3, 16).to(model.weight.dtype)).sum().backward()
    expected = (SparseTensor, model.weight.dtype, model.weight.pattern.tolist())
    actual = (type(model.weight.grad), model.weight.grad.dtype, model.weight.grad.pattern.tolist())

    assert expected == actual


def test_an_unfrozen_weight_turns_its_gradient_once():
    """Freezing and unfreezing a model leaves one hook."""
    model = sparse_linear().requires_grad_(False).requires_grad_(True)
    model(torch.randn(3, 16)).sum().backward()

    assert isinstance(model.weight.grad, SparseTensor)
    assert len(model.weight._backward_hooks) == 1


@pytest.mark.parametrize("form", ["csr:0.9", "masked:0.5"])
@pytest.mark.parametrize("sides", [1, 2, 3], ids=["conv1d", "conv2d", "conv3d"])
def test_a_convolution_is_exact_on_integers(sides, form):
    """CONV2D-1 in one to three dimensions: whole numbers leave no rounding, so every bit is decided."""
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[sides - 1]
    generator = torch.Generator().manual_seed(0)
    for kernel, stride, padding, dilation, batch in product((1, 3), (1, 2), (0, 2), (1, 2), (0, 3)):
        weight = sparsify(torch.randint(-3, 4, (8, 6) + (kernel,) * sides, generator=generator).double(), form)
        x = torch.randint(-3, 4, (batch, 6) + (7,) * sides, generator=generator).double()
        bias = torch.arange(8.0, dtype=torch.double)
        expected = convolve(x, weight.to_dense(), bias, stride, padding, dilation)
        actual = convolve(x, weight, bias, stride, padding, dilation)

        assert torch.equal(expected, actual)
        assert actual.is_contiguous()


def test_a_large_batch_is_convolved_in_parts(monkeypatch):
    """So that the columns stay in the cache; the parts are put together in order."""
    monkeypatch.setattr(convolutions, "COLUMN_ENTRIES", 1)
    weight = sparsify(torch.randint(-3, 4, (8, 6, 3, 3)).float(), "csr:0.9")
    x = torch.randint(-3, 4, (5, 6, 9, 9)).float()
    expected = functional.conv2d(x, weight.to_dense())
    actual = functional.conv2d(x, weight)

    assert torch.equal(expected, actual)


@pytest.mark.parametrize("inference", [False, True], ids=["no_grad", "inference"])
def test_a_checkpoint_with_other_patterns_is_loaded(inference):
    """load_state_dict copies below autograd, where `to` arrives as one operator."""
    source, target = sparse_linear(), sparse_linear("nm:2:4").double()
    with torch.inference_mode(inference):
        target.load_state_dict(source.state_dict())
    expected = source.weight.detach().to_dense().double()
    actual = target.weight.detach().to_dense()

    assert torch.equal(expected, actual)
    assert target.weight.nnz == source.weight.nnz


@pytest.mark.parametrize("turned", [False, True], ids=["[N, D]", "stored as [D, N]"])
@pytest.mark.parametrize("form", ["csr:0.9", "nm:2:4", "nmg:2:8:8", "csc:0.9"])
def test_rows_of_an_embedding_are_looked_up(form, turned):
    """Bit for bit the rows of the decoded weight, without decoding it."""
    weight = sparsify(torch.randn(40, 24), form, turned=turned)
    for indices in (torch.randint(0, 40, (3, 5)), torch.tensor(7), torch.zeros(0, 2, dtype=torch.int32)):
        with strict():
            actual = functional.embedding(indices, weight)
        expected = functional.embedding(indices, weight.to_dense())

        assert torch.equal(expected, actual)


@pytest.mark.parametrize("index", [-1, 40])
def test_a_row_that_is_none_is_refused(index):
    """As torch refuses it."""
    with pytest.raises(IndexError, match="out of range"):
        functional.embedding(torch.tensor([index]), sparsify(torch.randn(40, 24), "csr:0.9"))


def test_a_torch_sparse_gradient_is_refused():
    """TENSOR-4: a hook may not change its type, so the error names the switch that makes it dense."""
    embedding = nn.Embedding(40, 24, sparse=True)
    embedding.weight = sparse_parameter(sparsify(embedding.weight, "csr:0.9"))
    with pytest.raises(SpecError, match=r"(?s)TENSOR-4.*sparse=False"):
        embedding(torch.tensor([1, 2])).sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("form", ["csr:0.9", "nm:2:4", "masked:0.5"])
def test_a_bias_is_added_before_the_sum_is_rounded(form, dtype):
    """BOUND-1: where the bias cancels the sum, a sum that was rounded to half precision before is far off."""
    for layer, x in ((nn.Linear(64, 64), torch.randn(200, 64)), (nn.Conv2d(16, 16, 3), torch.randn(4, 16, 12, 12))):
        nn.init.normal_(layer.bias)
        layer.weight = sparse_parameter(sparsify(5 * layer.weight, form))
        layer, x = layer.to(dtype), x.to(dtype)
        with torch.no_grad():
            actual = error_ratio(layer, x, layer(x))

        assert actual <= 1


class Call(nn.Module):
    """A module that is called with views of one input: x [B, T, D] -> module(*take(x), **settings)."""

    def __init__(self, module, take=lambda x: (x,), **settings):
        super().__init__()
        self.module, self.take, self.settings = module, take, settings

    def forward(self, x):
        return self.module(*self.take(x), **self.settings)


def every_matrix(module, name):
    return "weight" in name and not isinstance(module, nn.LayerNorm)


def words():
    return {"x": torch.randn(2, 5, 16)}


def case(build, make_inputs=words):
    return Case(build, make_inputs, ("csr:0.75", "nm:2:4", "csc:0.5"), every_matrix)


class Words(nn.Module):
    """An encoder that is told which words are padding, and what it makes of the others.

    Dense, torch's fused encoder gives zeros for padding; sparse, it runs as in training.
    """

    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)

    def forward(self, x):
        padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
        return self.encoder(x, src_key_padding_mask=padding)[~padding]


ATTENTION = {"batch_first": True, "dropout": 0.1}
MODULES = {
    "attention": case(lambda: Call(nn.MultiheadAttention(16, 4, **ATTENTION), lambda x: (x, x, x))),
    "attention without weights": case(lambda: Call(nn.MultiheadAttention(16, 4, **ATTENTION), lambda x: (x, x, x),
                                                   need_weights=False)),
    "attention across": case(lambda: Call(nn.MultiheadAttention(16, 4, **ATTENTION), lambda x: (x, x.flip(0), x.flip(0)))),
    "attention, three inputs": case(lambda: Call(nn.MultiheadAttention(16, 4, **ATTENTION),
                                                 lambda x: (x, x.flip(0), x.flip(1)))),
    "attention, other sides": case(lambda: Call(nn.MultiheadAttention(16, 4, kdim=8, vdim=12, **ATTENTION),
                                                lambda x: (x, x[..., :8], x[..., 4:]))),
    "encoder layer": case(lambda: Call(nn.TransformerEncoderLayer(16, 4, 32, **ATTENTION))),
    "encoder layer, norm first": case(lambda: Call(nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", norm_first=True,
                                                                              **ATTENTION))),
    "encoder with padding": case(Words),
    "transformer": case(lambda: Call(nn.Transformer(16, 4, 1, 1, 32, **ATTENTION), lambda x: (x, x.flip(1)))),
    "lstm with projection": case(lambda: Call(nn.LSTM(16, 32, 2, batch_first=True, proj_size=8))),
    "gru": case(lambda: Call(nn.GRU(16, 32, 2, batch_first=True, bidirectional=True))),
    "rnn": case(lambda: Call(nn.RNN(16, 32, batch_first=True))),
    "lstm cell": case(lambda: Call(nn.LSTMCell(16, 32), lambda x: (x[:, 0],))),
    "convolution, reflected": case(lambda: Call(nn.Conv1d(5, 8, 3, padding=1, padding_mode="reflect"))),
    "convolution, same": case(lambda: Call(nn.Conv1d(5, 8, 4, padding="same", dilation=2))),
    "convolution, channels last": case(lambda: Call(nn.Conv2d(4, 8, 3)), lambda: {
        "x": torch.randn(2, 4, 6, 6).to(memory_format=torch.channels_last)}),
}

DENSE = {
    "lstm": (case(lambda: Call(nn.LSTM(16, 32, 2, batch_first=True, bidirectional=True))), "there is no sparse implementation"),
    "bilinear": (case(lambda: Call(nn.Bilinear(16, 16, 8), lambda x: (x, x.flip(0)))), "there is no sparse implementation"),
    "transposed": (case(lambda: Call(nn.ConvTranspose1d(5, 8, 3))), "it is a transposed convolution"),
}
"""Modules that run densely, and why; torch's LSTM calls one fused operator of oneDNN in eval mode."""

pytestmark = [pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning"),     # dense, padded encoder
              pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")]

NAMED = [pytest.param(case, id=name) for name, case in MODULES.items()]
EVERY = NAMED + [pytest.param(case, id=name, marks=pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning"))
                 for name, (case, _) in DENSE.items()]


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("case", EVERY)
def test_a_module_computes_what_the_masked_one_does(case, training):
    """Outputs and gradients, in float64; in eval mode dense modules take their fused paths."""
    expected = []
    actual = moved_too_far(copy.deepcopy(case.sparse()).train(training), case, gradients=training)

    assert expected == actual


@pytest.mark.parametrize("case", EVERY)
def test_a_training_step_keeps_to_the_slots(case):
    """Gradients arrive in the parameter's slots, and AdamW does there what it does to a dense weight."""
    expected = []
    actual = step_problems(case.sparse(), case)

    assert expected == actual


@pytest.mark.parametrize("case", NAMED)
def test_nothing_falls_back(case):
    """Neither in inference mode, where operators arrive whole, nor outside of it."""
    for inference in (False, True):
        with strict(), torch.inference_mode(inference):
            records = explain(case.sparse(), **case.inputs())

        assert records
        assert all("is faster" in record.reason for record in records if record.kind == "dense")


@pytest.mark.parametrize("name", DENSE)
def test_what_runs_densely_is_reported(name):
    """With the reason, and refused where strict."""
    case, expected = DENSE[name]
    records = explain(case.sparse(), **case.inputs())
    actual = {record.reason for record in records if record.kind == "dense"}

    assert any(reason.startswith(expected) for reason in actual)
    with strict(), pytest.raises(SpecError, match="DSP-4"):
        case.sparse()(**case.inputs())
