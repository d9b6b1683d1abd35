"""What `sparseref bench` times of torch: its dense product, its CSR, and our own kernels in torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import linear

from sparseref.bench.contender import Contender, Problem

from .tensor import SparseTensor, use_backend
from .tensors import to_torch


def dense(problem: Problem) -> Callable[[], Any]:
    """The product that the others are measured by."""
    torch.set_num_threads(problem.threads)
    x, w, bias = map(torch.from_numpy, (problem.x, problem.dense, problem.bias))
    return lambda: linear(x, w, bias)


def csr(problem: Problem) -> Callable[[], Any]:
    """MKL's product from the left; x and y are turned round, which F.linear(x, csr) does worse."""
    x, w, bias = torch.from_numpy(problem.x), _csr(problem), torch.from_numpy(problem.bias)
    return lambda: (w @ x.T.contiguous()).T.contiguous() + bias


def csr_turned(problem: Problem) -> Callable[[], Any]:
    x, w, bias = torch.from_numpy(problem.x).T.contiguous(), _csr(problem), torch.from_numpy(problem.bias)[:, None]
    return lambda: w @ x + bias


def ours(problem: Problem) -> Callable[[], Any]:
    """A SparseTensor on the torch kernels alone, as they run where there is no C compiler."""
    x, bias = torch.from_numpy(problem.x), torch.from_numpy(problem.bias)
    weight = SparseTensor(to_torch(problem.a))

    def call() -> Any:
        with torch.no_grad(), use_backend("torch"):
            return linear(x, weight, bias)
    return call


def _csr(problem: Problem) -> torch.Tensor:
    a = problem.csr
    parts = (torch.from_numpy(part) for part in (a.indptr, a.indices, a.data))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(*parts, size=a.shape, check_invariants=True)


CONTENDERS = (
    Contender("torch dense", dense, ("torch",), dense=True),
    Contender("torch csr", csr, ("torch",)),
    Contender("torch csr", csr_turned, ("torch",), feature_major=True),
    Contender("sparseref_torch", ours, ours=True))

ABSENT = {"torch 2:4": "torch's semi-structured kernels are for CUDA alone"}
