"""Small models and loops that the tests of training share."""

import torch
from torch import nn
from torch.nn import functional

OPTIMIZERS = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, foreach=False),
    "adamw-foreach": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, foreach=True, amsgrad=True),
    "adamw-fused": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
    "sgd-momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
}


def convnet(seed=0):
    """[B, 3, 8, 8] -> [B, 10]: a convolution and two linear layers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 32), nn.ReLU(),
                         nn.Linear(32, 10))


def images(seed=0):
    """x [16, 3, 8, 8], classes [16]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(16, 3, 8, 8, generator=generator), torch.randint(10, (16,), generator=generator)


def train(model, optimizer, steps, batch=None):
    """That many steps; a generator, so that a test can look after each."""
    x, classes = images() if batch is None else batch
    for step in range(steps):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), classes)
        loss.backward()
        optimizer.step()
        yield step, float(loss.detach())


def run(model, optimizer, steps, batch=None):
    """As `train`, to its end: the losses."""
    return [loss for _, loss in train(model, optimizer, steps, batch)]
