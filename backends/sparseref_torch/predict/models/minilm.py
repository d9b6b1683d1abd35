"""minilm: the architecture of all-MiniLM-L6-v2, 10.6 million weights in the encoder's Linears; one sequence of 128 tokens."""

import torch
from torch import nn
from transformers import BertConfig, BertModel

from .bert_base import PRUNE, example

__all__ = ["PRUNE", "example", "load_model"]


def load_model() -> nn.Module:
    torch.manual_seed(0)
    return BertModel(BertConfig(hidden_size=384, intermediate_size=1536, num_hidden_layers=6))
