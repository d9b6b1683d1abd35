"""The contraction behind every linear, matmul and convolution of a sparse tensor, and the kernels that can run it.

One form serves all: x [T, C] with a matrix a [R, C] gives x aT [T, R]; turned, x [T, R] gives x a [T, C].  What is added to
it, a bias for one, is added before the sum is rounded (BOUND-1).  A kernel says what it declines and why; the first that does
not decline runs.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from typing import ClassVar

import torch
from torch import Tensor

import sparseref as sr
from sparseref import Layout, Sparsifier
from sparseref.registry import get_backend

from ..tensors import TorchSparse, to_numpy, to_torch
from .slots import decoded, lines_of, slots_of, wide


class Kernel(ABC):
    """One implementation of the contraction."""

    name: ClassVar[str]
    backend: ClassVar[str]

    @abstractmethod
    def declines(self, a: TorchSparse, x: Tensor, turned: bool) -> str | None:
        """Why this kernel does not take the call; None: it does."""

    @abstractmethod
    def run(self, a: TorchSparse, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
        """a [R, C], x [T, C], plus [T, R], [R] or None -> [T, R]; turned: x [T, R], plus [T, C], [C] or None -> [T, C]."""

    def place(self, sparsifier: Sparsifier, layout: Layout, given: Tensor | TorchSparse,
              scores: Tensor | None) -> TorchSparse | None:
        """A matrix, scores [R, C] or None for its magnitudes -> what torch would make of it, to the bit; None: torch is to."""
        return None

    def convolve(self, a: TorchSparse, image: Tensor, bias: Tensor | None, kernel: Sequence[int], stride: Sequence[int],
                 padding: Sequence[int], dilation: Sequence[int], sides: Sequence[int]) -> Tensor | None:
        """a [O, C * k1 * k2 ..], image [B, C, *S], bias [O] or None -> [B, O, *sides]; None: by columns and `run`."""
        return None

    def by_values(self, a: TorchSparse, x: Tensor, grad: Tensor) -> Tensor | None:
        """a [R, C], x [T, C], grad [T, R] -> of grad^T x what a's slots hold, [shape of `values`], +0 in padding (GRAD-1,
        GRAD-2); None: torch computes all of it.  Asked after a product that the kernel ran."""
        return None


class ByLines(Kernel):
    """Each output is the weighted sum of the inputs that its line stores: torch's embedding_bag.

    Measured on an AVX2 core in float32 (csr; time of the dense product over time of this one, least of 25, taken in turn):
    at densities of 0.1, 0.2, 0.25, 0.3, 0.5 for 768 x 768 and 128 tokens 2.2, 1.4, 1.3, 1.0, 0.7, and 1,024 tokens 2.0, 1.1,
    0.9, 0.8, 0.5; for 3,072 x 768 and 128 tokens 3.6, 2.1, 1.7, 1.6, 0.9, and 1,024 tokens 2.3, 1.2, 1.0, 0.7, 0.4.
    """

    name, backend = "lines", "torch"
    most_dense = 1 / 4

    def declines(self, a: TorchSparse, x: Tensor, turned: bool) -> str | None:
        if not x.is_floating_point():
            return f"it adds floating-point numbers, not {x.dtype}"
        density = slots_of(a).density
        if density > self.most_dense and finite(x):
            return f"at density {density:.2f} the dense product is faster"
        return None

    def run(self, a: TorchSparse, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
        lines = lines_of(a, turned)
        out = lines.times(wide(a.values), wide(x).T.contiguous()).T
        return (out if plus is None else out.add_(plus)).to(x.dtype)


class Decoded(Kernel):
    """Decode once, keep the dense matrix until the values change, and multiply densely."""

    name, backend = "decoded", "torch"

    def declines(self, a: TorchSparse, x: Tensor, turned: bool) -> str | None:
        return None if finite(x) else "a structural zero would meet NaN or infinity (CORE-P2)"

    def run(self, a: TorchSparse, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
        dense = decoded(a, keep=True)
        dense = dense if turned else dense.T
        return x @ dense if plus is None else torch.addmm(plus, x, dense)


class Plugin(Kernel):
    """Any backend that speaks sparseref's protocol: NumPy arrays in and out, through `use_backend(name)`."""

    name = "linear"

    def __init__(self, backend: sr.Backend) -> None:
        self.chosen, self.backend = backend, backend.name      # type: ignore[misc]  # one name for each instance

    def declines(self, a: TorchSparse, x: Tensor, turned: bool) -> str | None:
        if x.device.type != "cpu":
            return f"it works on the host, not on {x.device}"
        cell = sr.Cell("linear", ("array", a.layout.name, "absent"), str(x.dtype).removeprefix("torch."))
        return "its linear takes no transposed weight" if turned else self.chosen.declines(cell)

    def run(self, a: TorchSparse, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
        operands = to_numpy(x.detach(), []), to_numpy(a, [])
        product = to_torch(self.chosen.call("linear", *operands, None))
        return product if plus is None else product.add_(plus)


KERNELS: list[Kernel] = [ByLines(), Decoded()]
"""torch's own, in order of preference."""

_CHOSEN: ContextVar[tuple[Kernel, ...] | None] = ContextVar("chosen", default=None)


@cache
def installed() -> tuple[Kernel, ...]:
    """Kernels that other packages bring: entry points of the group sparseref_torch.kernels, each a Kernel class.

    Errors: what a kernel has clauses for.
    """
    found = []
    for entry in sorted(entry_points(group="sparseref_torch.kernels"), key=lambda entry: entry.name):
        try:
            found.append(entry.load()())
        except sr.SpecError:                                   # what it was told is wrong: nothing takes its place in silence
            raise
        except Exception as error:
            warnings.warn(f"the kernel {entry.name} ({entry.value}) cannot be used: {error}", RuntimeWarning, stacklevel=2)
    return tuple(found)


@contextmanager
def use_backend(backend: str | sr.Backend) -> Iterator[None]:
    """Inside, contractions run on this backend where it does not decline, else on torch's own kernels; "torch": on these alone.

    By default kernels of installed packages come first, such as those of sparseref_c.  A backend with a method `torch_kernel`
    brings a Kernel of its own, which takes tensors as they are.
    """
    chosen = get_backend(backend)
    own = getattr(chosen, "torch_kernel", lambda: Plugin(chosen))
    token = _CHOSEN.set(() if chosen.name == "torch" else (own(),))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def choose(a: TorchSparse, x: Tensor, turned: bool) -> tuple[Kernel, str]:
    """-> the kernel that runs, and why those before it do not."""
    return first_of([*preferred(), *KERNELS], a, x, turned)


def preferred() -> tuple[Kernel, ...]:
    """Those that come before torch's own: what `use_backend` names, by default what is installed."""
    chosen = _CHOSEN.get()
    return installed() if chosen is None else chosen


def first_of(kernels: list[Kernel], a: TorchSparse, x: Tensor, turned: bool) -> tuple[Kernel, str]:
    """-> the first that does not decline, and why those before it do."""
    reasons = []
    for kernel in kernels:
        why_not = kernel.declines(a, x, turned)
        if why_not is None:
            return kernel, "; ".join(reasons)
        reasons.append(f"{kernel.backend} {kernel.name}: {why_not}")
    raise sr.SpecError("DSP-4", "no kernel takes this contraction.", wanted="a kernel that does not decline",
                       given="; ".join(reasons), fix="cast the input to a floating-point dtype")


_TRAINING: ContextVar[bool] = ContextVar("training", default=False)


@contextmanager
def as_in_training(training: bool) -> Iterator[None]:
    """Inside, kernels are told that this product belongs to a training step, or is not known to."""
    token = _TRAINING.set(training)
    try:
        yield
    finally:
        _TRAINING.reset(token)


def in_training() -> bool:
    """True while gradients are recorded or computed: the weight may have other values at the next call."""
    return _TRAINING.get() or torch.is_grad_enabled() or torch._C._current_graph_task_id() != -1


def contract(a: TorchSparse, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
    """a [R, C], x [T, C] -> plus + x aT [T, R]; turned: x [T, R] -> plus + x a [T, C] (MATMUL-1, LINEAR-1)."""
    return choose(a, x, turned)[0].run(a, x, turned, plus)


def finite(x: Tensor) -> bool:
    """False where a value is NaN or infinite, or where the sum overflows, which only costs the faster kernel."""
    return not x.is_floating_point() or bool(torch.isfinite(x.sum(dtype=torch.float32 if x.element_size() < 4 else None)))
