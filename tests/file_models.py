"""A small model for the tests of files: tied, sparse in part, with buffers."""

import torch
from sparseref_torch import SparseTensor, sparse_parameter, sparsify
from sparseref_torch.files import array_of
from torch import nn


def whole_numbers(*shape, seed=0, dtype=torch.float32):
    """[shape] of whole numbers from -3 to 3: sums and products of them are exact."""
    return torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


class Net(nn.Module):
    """An embedding that is tied to the head, a convolution, a norm with buffers, and an LSTM that lists its weights."""

    def __init__(self, tied=True, width=16):
        super().__init__()
        self.embedding = nn.Embedding(24, width)
        self.conv = nn.Conv1d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm1d(width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, 24, bias=False)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("cache", torch.zeros(3), persistent=False)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, x):                                      # [B, T] -> [B, T, 24]
        x = self.embedding(x).transpose(1, 2)                  # [B, C, T]
        x = self.norm(self.conv(x).relu()).transpose(1, 2)
        return self.head(self.lstm(x)[0] * self.scale)


INPUTS = torch.arange(12).reshape(2, 6)


def made_sparse(model, conv="nmg:2:4:2", head="csr:0.5"):
    """Tied weight and convolution stored in formats."""
    tied = model.head.weight is model.embedding.weight
    model.conv.weight = sparse_parameter(sparsify(model.conv.weight, conv))
    model.head.weight = sparse_parameter(sparsify(model.head.weight, head))
    if tied:
        model.embedding.weight = model.head.weight
    return model


def net(seed=0, sparse=True, **named):
    torch.manual_seed(seed)
    model = Net(**named)
    model.norm.running_mean.normal_()
    return (made_sparse(model) if sparse else model).eval()


def bits_of(tensor):
    """All that makes a tensor what it is."""
    if isinstance(tensor, SparseTensor):
        return (str(tensor.descriptor), tensor.matrix, tuple(tensor.shape), tensor.turned,
                {name: bits_of(part) for name, part in tensor.sparse.tensors.items()})
    return tuple(tensor.shape), tensor.dtype, array_of("", tensor).tobytes()


def state_bits(model):
    return {name: bits_of(tensor) for name, tensor in model.state_dict().items()}


def output(model):
    with torch.no_grad():
        return bits_of(model(INPUTS))
