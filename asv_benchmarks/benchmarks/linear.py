"""y = x W^T + b with a sparse W in C, against torch's dense product; seconds, ratio and share of the machine's peak."""

import statistics
from time import perf_counter

import numpy as np
import torch
from sparseref_c import placing
from sparseref_c.multiplying import multiply
from sparseref_c.peers import fma_peak
from sparseref_c.preparing import prepare
from sparseref_c.torch_kernel import borrow_threads

from sparseref.bench.machine import cores
from sparseref.bounds import error_ratio, expected_forward
from sparseref.registry import get_operator, parse_layout
from sparseref.sparsifiers.scores import magnitude

FORMATS = ["nmg:1:10:16", "nmg:2:20:4", "nmg:2:8:8", "nmg:2:4:8"]
PARAMS = [["768x768", "3072x768", "768x3072"], FORMATS, [1, 8, 128, 1024], [1, 2]]
ROUNDS = 9


class Linear:
    """float32, bias included; the ratio is taken in turns, so that what disturbs one side disturbs both."""

    version = "2"
    params = PARAMS
    param_names = ("weight", "format", "tokens", "threads")
    timeout = 120

    def setup(self, shape, text, tokens, threads):
        if threads > cores():
            raise NotImplementedError(f"this process may not use {threads} cores")
        rows, columns = (int(side) for side in shape.split("x"))
        rng = np.random.default_rng(0)
        w, x, bias = (rng.standard_normal(side).astype(np.float32) for side in ((rows, columns), (tokens, columns), rows))
        self.a = placing.sparsify(w, parse_layout(text), magnitude(w))
        self.weight, self.x, self.bias, self.out = prepare(self.a), x, bias, np.empty((tokens, rows), np.float32)
        self.dense = [torch.from_numpy(array) for array in (x, w, bias)]
        torch.set_num_threads(threads)
        borrow_threads()
        expected, _ = expected_forward(get_operator("linear"), (x, self.a, bias), {}, "float32")
        self.error = error_ratio(multiply(self.weight, x, bias), expected).max()
        if self.error > 1:
            raise AssertionError(f"{text}: error / bound is {self.error:.2f}, so there is nothing to time")

    def sparse(self, threads):
        multiply(self.weight, self.x, self.bias, out=self.out, at_most=threads)

    def time_sparse(self, shape, text, tokens, threads):
        self.sparse(threads)

    def time_prepare(self, shape, text, tokens, threads):
        prepare(self.a)

    def track_ratio_to_dense(self, shape, text, tokens, threads):
        pairs = [(seconds(lambda: torch.nn.functional.linear(*self.dense)), seconds(lambda: self.sparse(threads)))
                 for _ in range(ROUNDS)]
        return statistics.median(dense / own for dense, own in pairs)

    track_ratio_to_dense.unit = "times as fast as torch's dense product"

    def track_share_of_peak(self, shape, text, tokens, threads):
        operations = 2 * tokens * self.a.nnz
        return statistics.median(operations / seconds(lambda: self.sparse(threads)) / fma_peak(threads) for _ in range(ROUNDS))

    track_share_of_peak.unit = "nonzero operations over the machine's peak"

    def track_error_over_bound(self, shape, text, tokens, threads):
        return float(self.error)

    track_error_over_bound.unit = "at most 1 conforms"


def seconds(call, least=0.01):
    """Of one call, of so many in a row that they take `least`."""
    calls, start = 0, perf_counter()
    while perf_counter() - start < least:
        call()
        calls += 1
    return (perf_counter() - start) / calls
