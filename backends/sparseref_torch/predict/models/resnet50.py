"""resnet50: torchvision's, 23.5 million weights in convolutions; one image of 224 x 224."""

import torch
from torch import Tensor, nn
from torchvision.models import resnet50

PRUNE = ("layer*.weight",)


def load_model() -> nn.Module:
    torch.manual_seed(0)
    return resnet50(weights=None)


def example() -> Tensor:
    """-> images [1, 3, 224, 224]."""
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
