"""The C library under torch's sparse tensors: no copy of x, and a weight is prepared once for as long as it stays the same."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from sparseref_torch.selection import without_nan
from sparseref_torch.tensor.kernels import ByLines, Kernel, finite, in_training
from sparseref_torch.tensor.slots import Derived, OfPattern, slots_of
from sparseref_torch.tensors import TorchSparse, to_numpy, to_torch
from torch import Tensor

import sparseref as sr
from sparseref.sparsifiers.nmg import GreedyNMG

from . import placing
from .backend import CBackend, not_built
from .convolving import described, placed
from .library import NOWHERE, THREADS, CProduct, Where, likely_set, load, threads_told
from .multiplying import product, run
from .one_token import LOOKS_UP
from .preparing import Prepared, prepare
from .sampling import PreparedPattern, prepare_pattern, sample

REAL = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
HALF = (torch.float16, torch.bfloat16)
"""Stored so, and multiplied and added up in float32."""


class Step(NamedTuple):
    """One product of x [T, K]: activation(x aT + bias) + added, a [O, K], turned [K, O]; then, one of what it gives."""

    a: TorchSparse
    turned: bool = False
    bias: Tensor | None = None
    activation: str | None = None
    added: Tensor | None = None
    then: Step | None = None


class CKernel(Kernel):
    """Products on the host of float32 and float64, outside of training of float16 and bfloat16; the weight in any layout."""

    name, backend = "runs", "c"
    _prepared: ClassVar[dict[bool, Derived]] = {False: Derived(), True: Derived()}
    _patterns: ClassVar[dict[bool, OfPattern]] = {False: OfPattern(), True: OfPattern()}

    def __init__(self, training_too: bool = False) -> None:
        """training_too: also while gradients are recorded or computed, when values may have to be brought into their order at
        every step."""
        self.training_too = training_too
        if not_built() is None:
            borrow_threads()

    def declines(self, a: TorchSparse, x: Tensor, turned: bool) -> str | None:
        if x.device.type != "cpu":
            return f"it works on the host, not on {x.device}"
        if (x.dtype not in REAL and x.dtype not in HALF) or x.dtype != a.values.dtype:
            return f"it multiplies two floating-point operands of one dtype, not {a.values.dtype} and {x.dtype}"
        if not self.training_too and in_training():
            return "a weight in training would be prepared anew at every step (under torch.no_grad() it runs)"
        if x.dtype in HALF and in_training():
            return f"it trains in float32 and float64, not in {x.dtype} (under torch.no_grad() it runs)"
        why_not = _declined(a.layout.name, x.dtype)
        tokens = x.shape[0] * x.shape[2:].numel()              # of an image: its places
        if why_not is None and (density := slots_of(a).density) > self.most_dense(a, tokens) and finite(x):
            return f"at density {density:.2f} the dense product of {tokens} tokens is faster"
        return why_not

    @staticmethod
    def most_dense(a: TorchSparse, tokens: int) -> float:
        """The density up to which it takes a weight.

        Measured: from four tokens on the useful share of the machine's peak is 0.5 to 0.9 here and 0.7 to 0.9 in torch's dense
        product; fewer leave most of a vector empty.  Of float16 and bfloat16 torch's dense product may be done by units of the
        machine's own: 768 to 3072 of 128 tokens take 1.1 ms in bfloat16 on a machine with AMX, 1.7 here at 90 %, and 4.9 ms in
        float16; those of torch for sparse weights 2.7 to 5.7.
        """
        if a.values.dtype in HALF:
            return ByLines.most_dense
        if tokens == 1:                                        # no vector of tokens, but sixteen rows or four block rows in one
            return 0.7 if isinstance(a.layout, sr.NMG) or likely_set() == LOOKS_UP else 0.3
        return 0.3 if tokens < 4 else 0.7

    def run(self, a: TorchSparse, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
        outputs = a.shape[1 if turned else 0]
        if plus is None or plus.shape == (outputs,):
            return self.fused(a, x, turned, plus)
        return self.fused(a, x, turned, added=plus.expand(x.shape[0], outputs))

    def place(self, sparsifier: sr.Sparsifier, layout: sr.Layout, given: TorchSparse | Tensor,
              scores: Tensor | None) -> TorchSparse | None:
        """nmg by its greedy, of a matrix on the host in float32 or float64."""
        if not_built() is not None or type(sparsifier) is not GreedyNMG or sparsifier.layout != layout:
            return None
        if not isinstance(given, Tensor) or given.dim() != 2 or given.dtype not in REAL or given.device.type != "cpu":
            return None
        if scores is not None and scores.shape != given.shape:
            return None                                        # torch says what is wrong (SPF-2)
        ranked = without_nan(given.double().abs() if scores is None else scores.double())  # SPF-2, SPF-3
        found = placing.sparsify(to_numpy(given, []), sparsifier.layout, to_numpy(ranked, []))
        placed: TorchSparse = to_torch(found)
        return placed

    def fused(self, a: TorchSparse, x: Tensor, turned: bool, bias: Tensor | None = None, activation: str | None = None,
              added: Tensor | None = None) -> Tensor:
        """a [R, C], x [T, C], bias [R], added [T, R] -> activation(x aT + bias) + added, [T, R]; turned: C for R."""
        return self.products(x, [Step(a, turned, bias, activation, added)])[0]

    def products(self, x: Tensor, steps: Sequence[Step]) -> list[Tensor]:
        """x [T, K] -> what each step gives, [T, O], in x's dtype; x is turned once for all."""
        if x.dtype in HALF:
            return [y.to(x.dtype) for y in self.products(x.float(), steps)]
        x = x.resolve_neg()
        outs: list[Tensor] = []
        kept: list[Tensor] = []                                # C is given their addresses
        what = None
        for step in reversed(steps):
            then = None if step.then is None else self._described(step.then, x, outs, kept)
            what = self._described(step, x, outs, kept, then, what)
        if what is not None:
            run(what, REAL[x.dtype], torch_threads())
        return outs[::-1]

    def _described(self, step: Step, x: Tensor, outs: list[Tensor], kept: list[Tensor], then: CProduct | None = None,
                   beside: CProduct | None = None) -> CProduct:
        """One step for C; its result, unless another product follows, is the last of outs."""
        weight: Prepared = self.prepared(step.a, step.turned)
        bias = None if step.bias is None else step.bias.to(x.dtype).contiguous().resolve_neg()
        added = None if step.added is None else step.added.to(x.dtype).resolve_neg()
        kept.extend(tensor for tensor in (bias, added) if tensor is not None)
        if then is None:
            outs.append(x.new_empty(x.shape[0], weight.shape[0]))
        y, first_bias = NOWHERE if then else _matrix(outs[-1]), None if bias is None else bias.data_ptr()
        return product(weight, _matrix(x), y, first_bias, step.activation, _matrix(added), x.shape[0], None, then, beside)

    def by_values(self, a: TorchSparse, x: Tensor, grad: Tensor) -> Tensor:
        pattern, dtype = self._pattern(a, False), REAL[x.dtype]
        x, grad = x.resolve_neg(), grad.resolve_neg()          # kept until C has read them
        found = np.zeros(len(pattern.slots), dtype)
        sample(pattern.in_dtype(dtype), _matrix(grad), _matrix(x), found, x.shape[0], torch_threads())
        return torch.from_numpy(pattern.in_slots(found))

    def prepared(self, a: TorchSparse, turned: bool = False) -> Prepared:
        """Prepared once for as long as its values stay; in training its pattern is, and takes the values of each step."""
        def make(a: TorchSparse) -> Prepared:
            if in_training():
                return self._pattern(a, turned).holding(to_numpy(a.values, []))
            return prepare(to_numpy(a, []), turned)

        weight: Prepared = self._prepared[turned].of(a, make)
        return weight

    def _pattern(self, a: TorchSparse, turned: bool) -> PreparedPattern:
        pattern: PreparedPattern = self._patterns[turned].of(a, lambda a: prepare_pattern(to_numpy(a, []), turned))
        return pattern

    def convolve(self, a: TorchSparse, image: Tensor, bias: Tensor | None, kernel: Sequence[int], stride: Sequence[int],
                 padding: Sequence[int], dilation: Sequence[int], sides: Sequence[int], activation: str | None = None,
                 added: Tensor | None = None) -> Tensor | None:
        """a [O, C * k1 * k2], image [B, C, H, W], bias [O], added [B, O, H', W'] -> activation(sums + added), [B, O, H', W'].

        No column is kept longer than for a tile.
        """
        if len(sides) != 2 or not image.numel() or not math.prod(sides):
            return None
        if image.dtype in HALF:
            found = self.convolve(a, image.float(), bias, kernel, stride, padding, dilation, sides, activation, added)
            return None if found is None else found.to(image.dtype)
        weight: Prepared = self.prepared(a)
        out = image.new_empty(image.shape[0], weight.shape[0], *sides)
        image = image.resolve_neg()
        bias = None if bias is None else bias.to(out.dtype).contiguous().resolve_neg()
        added = None if added is None else added.to(out.dtype).contiguous().resolve_neg()
        window = (*kernel, *stride, *padding, *dilation, *sides)
        step, *strides = image.stride()
        what = described(weight, (*image.shape[1:], *strides), window, None if bias is None else bias.data_ptr(), activation)
        for number in range(image.shape[0]):                   # by address: views of torch take longer than a small product
            place = number * out.stride(0)
            run(placed(what, address(image, number * step), address(out, place),
                       None if added is None else address(added, place)), weight.dtype, torch_threads())
        return out


def torch_threads() -> int:
    """As many as SPARSEREF_NUM_THREADS says, else as torch works with.  Errors: CLIB-2."""
    return threads_told(THREADS) or torch.get_num_threads()


def borrow_threads() -> None:
    """Work with the threads of torch's own OpenMP, where it has one.

    Between torch's calls they wait busily, in the way of any others: with threads of our own, a product after one of torch's
    took twice as long on two cores.
    """
    for path in sorted((Path(torch.__file__).parent / "lib").glob("lib*omp*")):
        try:
            region = ctypes.CDLL(str(path)).GOMP_parallel      # loaded already: this is the same one
        except (OSError, AttributeError):
            continue
        load().sparseref_borrow_threads(ctypes.cast(region, ctypes.c_void_p))
        return


@cache
def _declined(layout: str, dtype: torch.dtype) -> str | None:
    return CBackend().declines(sr.Cell("linear", ("array", layout), str(dtype).removeprefix("torch.")))


def address(tensor: Tensor, element: int) -> int:
    return tensor.data_ptr() + element * tensor.element_size()


def _matrix(tensor: Tensor | None) -> Where:
    """A tensor [M, N] of any strides."""
    return NOWHERE if tensor is None else (tensor.data_ptr(), *tensor.stride())
