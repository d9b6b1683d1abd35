"""y = x W^T + b with a sparse W in C, against torch's dense product; seconds, ratio and share of the machine's peak."""

import statistics

import numpy as np
import torch
from sparseref_c import placing
from sparseref_c.multiplying import multiply
from sparseref_c.peers import fma_peak
from sparseref_c.preparing import prepare
from sparseref_c.torch_kernel import borrow_threads

import sparseref as sr
from sparseref.bounds import Expected, error_ratio, sum_bound
from sparseref.registry import parse_layout
from sparseref.sparsifiers.scores import magnitude

from .checked import SAMPLING, drawn, on_threads, seconds, woken

SHAPES = ["768x768", "3072x768", "768x3072"]
FORMATS = ["nmg:1:10:16", "nmg:2:20:4", "nmg:2:8:8", "nmg:2:4:8"]
TOKENS = [1, 8, 128, 1024]
ROUNDS = 9


def made(shape, text):
    """-> x [T, K] of the most tokens, W [O, K], b [O], and W made sparse."""
    rows, columns = map(int, shape.split("x"))
    x, w, bias = drawn(max(TOKENS), columns, seed=1), drawn(rows, columns), drawn(rows, seed=2)
    return x, w, bias, placing.sparsify(w, parse_layout(text), magnitude(w))


def meaning(x, a, bias):
    """As `expected_forward`, by NumPy's product in float64, whose error BOUND-1 counts, too; a hundredth of the time."""
    wide, w, b = x.astype(np.float64), sr.decode(a).astype(np.float64), bias.astype(np.float64)
    value, magnitude = wide @ w.T + b, np.abs(wide) @ np.abs(w).T + np.abs(b)
    count = np.broadcast_to(a.pattern.sum(axis=1) + 1.0, value.shape)
    return Expected(value, sum_bound(value, magnitude, count, "float32", x.dtype), x.dtype)


class Linear:
    """float32, bias included; the ratio is taken in turns, so that what disturbs one side disturbs both."""

    version = "3"
    params = (SHAPES, FORMATS, TOKENS, [1, 2])
    param_names = ("weight", "format", "tokens", "threads")
    timeout, rounds, repeat = 120, 1, SAMPLING

    def setup(self, shape, text, tokens, threads):
        on_threads(threads)
        borrow_threads()
        x, w, self.bias, a = made(shape, text)
        self.x, self.weight, self.nnz = x[:tokens], prepare(a), a.nnz
        self.out = np.empty((tokens, len(w)), np.float32)
        self.dense = [torch.from_numpy(array) for array in (self.x, w, self.bias)]
        error = error_ratio(multiply(self.weight, self.x, self.bias), meaning(self.x, a, self.bias)).max()
        if error > 1:
            raise AssertionError(f"{text}: error / bound is {error:.2f}, so there is nothing to time")
        woken(lambda: self.sparse(threads))

    def sparse(self, threads):
        multiply(self.weight, self.x, self.bias, out=self.out, at_most=threads)

    def time_sparse(self, shape, text, tokens, threads):
        self.sparse(threads)

    def track_ratio_to_dense(self, shape, text, tokens, threads):
        pairs = [(seconds(lambda: torch.nn.functional.linear(*self.dense)), seconds(lambda: self.sparse(threads)))
                 for _ in range(ROUNDS)]
        return statistics.median(dense / own for dense, own in pairs)

    track_ratio_to_dense.unit = "times as fast as torch's dense product"

    def track_share_of_peak(self, shape, text, tokens, threads):
        operations = 2 * tokens * self.nnz
        return statistics.median(operations / seconds(lambda: self.sparse(threads)) / fma_peak(threads) for _ in range(ROUNDS))

    track_share_of_peak.unit = "nonzero operations over the machine's peak"


class Preparing:
    """Once for a weight, before its first product."""

    version = "1"
    params = (SHAPES, FORMATS)
    param_names = ("weight", "format")
    rounds, repeat = 1, SAMPLING

    def setup(self, shape, text):
        *_, self.a = made(shape, text)
        woken(lambda: prepare(self.a))

    def time_prepare(self, shape, text):
        prepare(self.a)


class Errors:
    """Of all tokens; every product that is timed has been judged as well."""

    version = "1"
    params = (SHAPES, FORMATS)
    param_names = ("weight", "format")

    def track_error_over_bound(self, shape, text):
        x, _, bias, a = made(shape, text)
        return float(error_ratio(multiply(prepare(a), x, bias), meaning(x, a, bias)).max())

    track_error_over_bound.unit = "at most 1 conforms"
