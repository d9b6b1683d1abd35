"""bert-base: 110 million weights, of which 85 million are in the encoder's Linears; one sequence of 128 tokens."""

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

PRUNE = ("encoder.*.weight",)


def load_model() -> nn.Module:
    torch.manual_seed(0)
    return BertModel(BertConfig())


def example() -> Tensor:
    """-> input_ids [1, 128]."""
    return torch.randint(30_000, (1, 128), generator=torch.Generator().manual_seed(0))
