"""The dense model of the task resnet-digits: torchvision's resnet18, trained from scratch because no package ships weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from sparseref.errors import MissingDependency

from .data.digits import CLASSES, Images

BATCH = 64
PEAK_LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4

Progress = Callable[[str, int, int], None]
"""Called with the stage, how many steps of it are done, and of how many."""


def untrained(seed: int) -> nn.Module:
    """resnet18 [N, 1, 28, 28] -> [N, 10], initialised from the seed; its stem takes one channel instead of three.

    The weights lie channels_last, in which oneDNN's convolutions are faster at every batch size.
    """
    try:
        from torchvision.models import resnet18
    except ImportError as missing:
        raise MissingDependency("torchvision", "the task resnet-digits", "models") from missing
    with torch.random.fork_rng(devices=[]):                    # torch's generator is left as it was found
        torch.default_generator.manual_seed(seed)
        model = resnet18(num_classes=CLASSES)
        model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")   # as the stem that it replaces
    return model.to(memory_format=torch.channels_last)


@torch.enable_grad()
def trained(train: Images, epochs: int, seed: int, progress: Progress) -> nn.Module:
    """Images, how often to go through them -> the trained model, in eval mode: on one machine the same weights, bit for bit.

    SGD with Nesterov momentum under the one-cycle schedule.  One thread: sums over more would depend on their number.
    """
    steps = epochs * -(-len(train.labels) // BATCH)
    with one_thread():
        model = untrained(seed).train()
        optimizer = torch.optim.SGD(model.parameters(), PEAK_LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, steps)
        for done, batch in zip(range(steps), shuffled(train, seed), strict=False):
            progress("training the dense resnet18, once", done, steps)
            optimizer.zero_grad()
            functional.cross_entropy(model(batch.images), batch.labels).backward()
            optimizer.step()
            schedule.step()
        progress("training the dense resnet18, once", steps, steps)
    return model.eval()


def shuffled(every: Images, seed: int) -> Iterator[Images]:
    """Images -> batches without end: each epoch goes through all of them, in an order that the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for chosen in torch.randperm(len(every.labels), generator=generator).split(BATCH):
            yield Images(every.images[chosen], every.labels[chosen])


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on one thread, then on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
