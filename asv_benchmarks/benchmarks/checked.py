"""What every benchmark does before it measures: the kit judges the very call that is going to be timed."""

from time import perf_counter

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import sparseref as sr
from sparseref.backend import cell_of
from sparseref.bench.machine import cores, use_cores
from sparseref.conformance.case import Case
from sparseref.conformance.judge import judge
from sparseref.conformance.wire import Call
from sparseref.dtypes import value_dtype

SAMPLING = (3, 10, 1.0)
"""`repeat` of what is timed: at least, at most, seconds; of these setup, which asv calls before each sample, is a part."""


def woken(call):
    """What is timed is asv's first call after setup: caches, threads and branches have seen it before."""
    start = perf_counter()
    for _ in range(3):
        call()
        if perf_counter() - start > 0.1:                       # slow enough not to need more
            break


def seconds(call, least=0.02):
    """Of one call, of so many in a row that they take `least`."""
    calls, start = 0, perf_counter()
    while perf_counter() - start < least:
        call()
        calls += 1
    return (perf_counter() - start) / calls


def on_threads(count):
    """This process, which is the benchmark's own, goes on with so many: every library in it, and those that it loads later."""
    if count > cores():
        raise NotImplementedError(f"this process may not use {count} cores")
    use_cores(count)
    threadpool_limits(count)
    torch.set_num_threads(count)


def checked(backend, operation, *operands, **parameters):
    """-> the Backend, and the worst error / bound of the call.

    NotImplementedError, which asv shows as n/a, where the backend is not installed or declines the cell; AssertionError, which
    asv shows as a failure, where its answer does not conform.
    """
    try:
        chosen = sr.get_backend(backend)
    except ImportError as missing:
        raise NotImplementedError(str(missing)) from None
    call = Call(operation, operands, parameters)
    case = Case("L2", cell_of(operation, operands, parameters), "benchmark", ("BOUND-1",), lambda shape, rng: call)
    outcome = judge(case, chosen)
    if outcome.verdict.name == "UNSUPPORTED":
        raise NotImplementedError(outcome.reason)
    if outcome.bad:
        raise AssertionError(f"{case.id} on {backend} does not conform, so there is nothing to time: {outcome.reason}")
    return chosen, outcome.ratio


def drawn(*shape, dtype="float32", seed=0):
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(value_dtype(dtype))


def made_sparse(formats, *shape, dtype="float32"):
    """{format: the same numbers, made sparse by the reference}; for a setup_cache, as it takes a while."""
    return {text: sr.sparsify(drawn(*shape, dtype=dtype), text) for text in formats}
