"""STen's four parts on torch tensors: results, gradients, and what is kept with a parameter."""

import io
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sparseref_torch import SparseTensor, from_pattern, sparse_parameter, sparsify
from torch.nn import functional

import sparseref as sr

FORMATS = [
    sr.OutputFormat(sr.KeepAll(), sr.Dense(), sr.GreedyNMG(2, 4, 2), sr.NMG(2, 4, 2)),
    sr.OutputFormat(sr.KeepAll(), sr.Dense(), sr.ScalarFraction(0.75), sr.CSR()),
    sr.OutputFormat(sr.ScalarThreshold(2.0), sr.CSR(), sr.KeepAll(), sr.CSC()),
    sr.OutputFormat(sr.ScalarThreshold(2.0), sr.COO(), sr.ScalarFraction(0.5), sr.CSR()),
    sr.OutputFormat(sr.ScalarThreshold(2.0), sr.Dense(), sr.KeepAll(), sr.CSR()),
    sr.OutputFormat(sr.ScalarThreshold(2.0), sr.Masked(), sr.PerBlockNM(2, 4, 1), sr.NM(2, 4, 1)),
]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.external}-{form.final}")
@given(seed=st.integers(0, 99), sparse=st.booleans())
def test_four_parts_store_what_the_reference_stores(form, seed, sparse):
    """From dense results and from sparse ones (FMT-1, SPF-6)."""
    rng = np.random.default_rng(seed)
    values, pattern = rng.integers(-4, 5, (8, 24)).astype("f4"), rng.random((8, 24)) < 0.5
    tensor = torch.from_numpy(values)
    expected = form.apply(sr.encode(values, "csr", pattern) if sparse else values)
    given_tensor = from_pattern(tensor, "csr", torch.from_numpy(pattern)) if sparse else tensor
    actual = sparsify(given_tensor, form)

    assert actual.descriptor == form.final
    assert np.array_equal(expected.pattern, actual.pattern.numpy())
    assert np.array_equal(sr.decode(expected), actual.to_dense().numpy())


def test_chance_draws_from_the_generator():
    """Once for each sparsifier that needs it, inline first."""
    form = sr.OutputFormat(sr.RandomFraction(0.5), sr.CSR(), sr.RandomFraction(0.5), sr.CSR())
    values = np.random.default_rng(0).normal(size=(8, 8)).astype("f4")
    expected = form.apply(values, np.random.default_rng(3))
    actual = sparsify(torch.from_numpy(values), form, rng=np.random.default_rng(3))

    assert np.array_equal(expected.pattern, actual.pattern.numpy())


GRADIENTS = ["csr:0.75", ("scalar-fraction:0.75", "csr"), (sr.ScalarFraction(0.75), sr.CSR()), FORMATS[1]]


@pytest.mark.parametrize("form", GRADIENTS, ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_a_gradient_is_stored_in_any_format(form, turned):
    """And still is after deepcopy and torch.save, which know the format by its strings."""
    torch.manual_seed(0)
    dense = torch.randn(8, 16)
    parameter = sparse_parameter(sparsify(dense, "csr:0.5", turned=turned), form)
    file = io.BytesIO()
    torch.save(parameter, file)
    file.seek(0)
    expected = sparsify(torch.ones(2, 8).T @ torch.arange(32.0).reshape(2, 16), "csr:0.75", turned=turned)
    for same in (parameter, deepcopy(parameter), torch.load(file, weights_only=True)):
        functional.linear(torch.arange(32.0).reshape(2, 16), same).sum().backward()

        assert isinstance(same.grad, SparseTensor)
        assert same.grad.turned == turned
        assert torch.equal(expected.to_dense(), same.grad.to_dense())


def test_gradients_that_add_up_are_brought_into_their_format_again():
    """A second backward pass whose large entries lie elsewhere: they are not lost; zeroing keeps the form."""
    parameter = sparse_parameter(sparsify(torch.randn(4, 8), "csr:0.5"), "csr:0.75")
    one, two = torch.zeros(1, 8), torch.zeros(1, 8)
    one[0, :2], two[0, 2:4] = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 8.0])
    for x, expected in ((one, one), (two, two), (two, 2 * two)):
        functional.linear(x, parameter).sum().backward()

        assert isinstance(parameter.grad, SparseTensor)
        assert torch.equal(expected.expand(4, 8), parameter.grad.to_dense())
    parameter.grad.zero_()
    functional.linear(one, parameter).sum().backward()

    assert parameter.grad.nnz == 8
    assert torch.equal(one.expand(4, 8), parameter.grad.to_dense())


def test_a_gradient_in_the_slots_of_its_parameter_adds_up_there():
    parameter = sparse_parameter(sparsify(torch.randn(4, 8), "csr:0.5"))
    x = torch.arange(8.0).reshape(1, 8)
    for count in (1, 2):
        functional.linear(x, parameter).sum().backward()

        assert torch.equal(count * x * parameter.pattern, parameter.grad.to_dense())


def test_a_format_that_strings_do_not_say_is_kept_as_it_is():
    """same-pattern holds an array."""
    like = sr.sparsify(np.eye(8, dtype="f4"), "csr")
    parameter = sparse_parameter(sparsify(torch.randn(8, 8), "csr:0.5"), (sr.SamePattern(like), "csr"))
    functional.linear(torch.ones(1, 8), parameter).sum().backward()

    assert torch.equal(torch.eye(8), parameter.grad.to_dense())


@pytest.mark.parametrize(("form", "clause"), [
    (3, "TENSOR-4"), (("csr",), "TENSOR-4"), ("csr:1.5", "SPF-8"), (("csr", 4), "REG-2")])
def test_what_is_no_gradient_format_is_refused(form, clause):
    with pytest.raises(sr.SpecError, match=clause):
        sparse_parameter(sparsify(torch.ones(4, 4), "csr"), form)
