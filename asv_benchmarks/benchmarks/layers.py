"""Layers of real architectures under torch, dense and sparse, as a user's model runs them; weights are random."""

import copy
import statistics

import torch
from sparseref_torch import SparsityBuilder, dense_copy, explain
from torch import nn
from torchvision.models.resnet import BasicBlock
from transformers import BertConfig, BertModel

from .checked import SAMPLING, on_threads, seconds, woken

FORMATS = ["nmg:2:20:4", "nmg:2:8:8", "nmg:2:4:8", "csr:0.9"]
ROUNDS = 7
TOLERANCE = 1e-3
"""Of outputs of about 1: a layer in float32, its products summed in another order."""


def bert(width, inner, heads):
    config = BertConfig(hidden_size=width, intermediate_size=inner, num_attention_heads=heads, num_hidden_layers=1)
    layer = BertModel(config).encoder
    return layer, torch.randn(1, 128, width)


def resnet():
    return BasicBlock(128, 128), torch.randn(1, 128, 28, 28)


LAYERS = {"BERT-base": lambda: bert(768, 3072, 12), "MiniLM": lambda: bert(384, 1536, 12), "resnet18": resnet}


class Layer:
    """The ratio is taken in turns, so that what disturbs one side disturbs both."""

    version = "2"
    params = (list(LAYERS), FORMATS, [1, 2])
    param_names = ("layer", "format", "threads")
    timeout, rounds, repeat = 180, 1, SAMPLING

    def setup(self, layer, text, threads):
        on_threads(threads)
        torch.manual_seed(0)
        self.dense, self.x = LAYERS[layer]()
        self.dense.eval()
        kinds = {"module": nn.Conv2d} if layer == "resnet18" else {"module": nn.Linear}
        builder = SparsityBuilder().set_weight("*.weight", format=text, **kinds)
        self.sparse = builder.get_sparse_model(copy.deepcopy(self.dense)).eval()
        error = float((self.run(self.sparse) - self.run(dense_copy(self.sparse))).abs().max())
        if not error <= TOLERANCE:
            raise AssertionError(f"{layer} in {text} is off by {error:.1e}, so there is nothing to time")

        for model in (self.dense, self.sparse):
            woken(lambda model=model: self.run(model))

    @torch.no_grad()
    def run(self, model):
        y = model(self.x)
        return y if isinstance(y, torch.Tensor) else y[0]

    def time_dense(self, layer, text, threads):
        self.run(self.dense)

    def time_sparse(self, layer, text, threads):
        self.run(self.sparse)

    def track_ratio_to_dense(self, layer, text, threads):
        pairs = [(seconds(lambda: self.run(self.dense)), seconds(lambda: self.run(self.sparse))) for _ in range(ROUNDS)]
        return statistics.median(dense / sparse for dense, sparse in pairs)

    track_ratio_to_dense.unit = "times as fast as torch's dense layer"

    def track_fallbacks(self, layer, text, threads):
        return sum(record.kind == "dense" for record in explain(self.sparse, self.x))

    track_fallbacks.unit = "operators that ran on densified operands"
