"""The sparse tensor is a tensor: shape and entries, products, broadcasting, dtypes, views and writes behave as torch's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st
from sparse_calls import ANY, IN_PLACE, KEEPING, PRODUCTS, REFUSED_WRITES, WRITES, calls, evaluate
from sparse_cases import ALL_FORMS, FORMS, dense_twin, entries, form_id, layer, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, from_pattern, sparse_parameter, sparsify, strict
from sparseref_torch.tensor.parts import SparsePart
from sparseref_torch.tensors import to_torch

import sparseref as sr
from sparseref import SpecError
from sparseref.conformance import strategies as some

every_form = pytest.mark.parametrize("form", ALL_FORMS, ids=form_id)
quietly = pytest.mark.filterwarnings("ignore::sparseref.FallbackWarning")
some_forms = pytest.mark.parametrize("form", ["masked:0.7", "csr:0.9", "nmg:2:8:8"])


@every_form
def test_a_sparse_tensor_holds_what_its_pattern_keeps(form):
    """Shape, dtype, device and strides are those of the dense tensor."""
    dense = whole_numbers(48, 64)
    tensor = sparsify(dense, form)
    expected = torch.where(tensor.pattern, dense, 0)
    actual = tensor.to_dense()

    assert torch.equal(expected, actual)
    assert (tensor.shape, tensor.dtype, tensor.stride()) == (dense.shape, dense.dtype, dense.stride())
    assert tensor.nnz == int(tensor.pattern.sum())
    assert tensor.sparsity == pytest.approx(1 - tensor.nnz / dense.numel())


@every_form
def test_it_is_what_the_reference_encodes(form):
    """The same fields, bit for bit."""
    dense = whole_numbers(48, 64)
    expected = sr.sparsify(dense.numpy(), *((form[1], form[0]) if isinstance(form, tuple) else (form,)))
    actual = sparsify(dense, form).sparse.tensors

    assert list(expected.arrays) == list(actual)
    assert all(np.array_equal(expected.arrays[name], tensor.numpy()) for name, tensor in actual.items())


@every_form
@pytest.mark.parametrize("sides", [(5,), (2, 3), (), (0,), (2, 2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_gives_what_its_dense_twin_gives(form, sides, bias):
    """For any number of tokens, without falling back."""
    model, x = layer(form, bias=bias), whole_numbers(*sides, 64, seed=2)
    expected = dense_twin(model)(x)
    with strict():
        actual = model(x)

    assert same(expected, actual)
    assert actual.is_contiguous()


@given(st.data())
def test_any_array_multiplies_as_its_dense_entries(data):      # LINEAR-1, MATMUL-1, CORE-P5
    """Any layout with any parameters, patterns without an entry among them, and padding that holds NaN; TENSOR-2."""
    layout = data.draw(some.layouts([layout.name for layout in sr.layouts.ALL]))
    shape = data.draw(some.shapes(layout, ndims=(2,)))
    array = data.draw(some.sparse_arrays(layout, shape, np.dtype("f4")))
    tensor = SparseTensor(to_torch(array))
    place = array.layout.positions(array)
    if len(set(place[place >= 0].tolist())) < (place >= 0).sum():
        assert refusal(lambda: tensor.nnz) == "TENSOR-2"
        return
    if not torch.isfinite(tensor.to_dense()).all():
        return
    w = tensor.like(torch.from_numpy(sr.decode(array)).sign())
    x = whole_numbers(3, shape[1])
    expected = x @ w.to_dense().T
    actual = F.linear(x, w)

    assert same(expected, actual)


@every_form
@pytest.mark.parametrize("call", calls(PRODUCTS))
def test_products_are_those_of_the_entries(form, call):
    """From the left and the right, with a batch, a vector, through einsum, whatever lies how in memory."""
    w = sparse(form, 48, 64)
    expected = evaluate(call, w.to_dense())
    with strict():
        actual = evaluate(call, w)

    assert same(expected, actual)


def test_two_sparse_matrices_multiply():
    """In any two layouts."""
    for one in FORMS:
        a, b = sparse(one, 16, 32), sparse("csr:0.5", 32, 8, seed=1)
        with strict():
            assert same(a.to_dense() @ b.to_dense(), a @ b)
            assert same(b.to_dense().T @ a.to_dense().T, b.T @ a.T)


@every_form
@pytest.mark.parametrize("what", [{}, {"stride": 2, "padding": 1}, {"padding": "same", "dilation": 2},
                                  {"stride": (1, 2), "padding": (0, 1)}])
def test_a_convolution_gives_what_its_dense_twin_gives(form, what):
    """The weight is stored as a matrix; 0, 1 and 3 images, and one without its batch."""
    w, b, x = sparse(form, 16, 8, 3, 3), whole_numbers(16), whole_numbers(3, 8, 9, 7)
    for image in (x, x[:1], x[0], x[:0], x.to(memory_format=torch.channels_last)):
        with strict():
            assert same(F.conv2d(image, w.to_dense(), b, **what), F.conv2d(image, w, b, **what))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.int8])
@every_form
def test_every_dtype_multiplies(form, dtype):
    """Whole numbers are exact in each of them."""
    w, x = sparse(form, 48, 16, dtype=dtype), whole_numbers(5, 16, dtype=dtype)
    expected = (x.double() @ w.to_dense().double().T).to(dtype)
    actual = x @ w.T

    assert same(expected, actual)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool, torch.int64])
def test_a_dtype_that_the_specification_does_not_know_is_refused(dtype):
    """CORE-D1, not later."""
    assert refusal(sparsify, torch.ones(4, 4, dtype=dtype), "csr:0.5") == "CORE-D1"


@every_form
def test_operands_that_do_not_fit_are_refused(form):
    """As torch refuses them; a kernel that looks entries up would not notice."""
    w = sparse(form, 48, 64)
    for x in (torch.ones(2, 100), torch.ones(2, 5), torch.ones(2, 64, dtype=torch.float64)):
        for gradients in (False, True):
            with torch.set_grad_enabled(gradients), pytest.raises(RuntimeError, match=r"cannot be multiplied|same dtype"):
                F.linear(x, w)
    with pytest.raises(RuntimeError, match="channels"):
        F.conv2d(torch.ones(1, 5, 9, 9), sparse(form, 16, 8, 3, 3))
    with pytest.raises(RuntimeError):
        w + torch.ones(3, 5)
    with pytest.raises(RuntimeError):
        w.clone().add_(torch.ones(5))


@every_form
def test_a_structural_zero_annihilates(form):                  # CORE-P2
    """NaN and infinity reach only those outputs that store an entry for them; backwards, too."""
    model = layer(form)
    x = whole_numbers(3, 64)
    x[0, 5], x[1, 7] = float("nan"), float("inf")
    pattern, w = model.weight.pattern, model.weight.to_dense()
    expected = torch.where(pattern, w * x[:, None], 0).sum(-1) + model.bias                # [T, R]
    x.requires_grad_()
    actual = model(x)
    grad = torch.ones(3, 48)
    grad[2, 3] = float("inf")
    actual.backward(grad)

    assert same(expected, actual)
    assert same(torch.where(pattern, w * grad[:, :, None], 0).sum(1), x.grad)


@pytest.mark.parametrize("stored", [True, False])
def test_patterns_without_and_with_every_entry(stored):
    """Both are patterns."""
    for layout in ("masked", "coo", "csr", "csc", "bsr:4:4", "ell"):
        w = from_pattern(whole_numbers(8, 16), layout, torch.full((8, 16), stored))
        x = whole_numbers(3, 16)
        assert same(x @ w.to_dense().T, x @ w.T)
        assert w.nnz == 128 * stored
        assert same(w.to_dense() * 2, w * 2)
        assert w.add_(1).nnz == w.nnz


@some_forms
def test_modes_and_copies(form):
    """no_grad, inference mode, half a dozen ways to copy."""
    model, x = layer(form), whole_numbers(5, 64)
    expected = dense_twin(model)(x)
    with strict():
        with torch.no_grad():
            assert same(expected, model(x))
        with torch.inference_mode():
            assert same(expected, model(x))
            made = sparsify(model.weight.to_dense(), form)
            assert same(expected, F.linear(x, made, model.bias))
        for weight in (model.weight.clone(), model.weight.detach(), model.weight.data, model.weight.contiguous(),
                       model.weight.view(48, 64), model.weight.reshape(48, -1), model.weight.float(), model.weight.cpu()):
            assert isinstance(weight, SparseTensor)
            assert same(expected, F.linear(x, weight, model.bias))
    assert model.weight.data.sparse.values is model.weight.sparse.values
    assert model.weight.clone().sparse.values is not model.weight.sparse.values


@some_forms
@pytest.mark.parametrize("call", calls(KEEPING))
def test_elementwise_operators_keep_the_pattern(form, call):
    """Where zero stays zero."""
    w = sparse(form, 48, 64)
    expected = evaluate(call, w.to_dense())
    with strict():
        actual = evaluate(call, w)

    assert same(expected, actual)
    assert isinstance(actual, SparseTensor)
    assert actual.sparse["values"].numel() == w.sparse["values"].numel()


@some_forms
@pytest.mark.parametrize("call", calls(IN_PLACE))
def test_arithmetic_in_place_keeps_the_pattern(form, call):
    """What would arise elsewhere is dropped."""
    w = sparse(form, 48, 64)
    pattern, values = w.pattern, w.sparse.values
    expected = torch.where(pattern, evaluate(call, w.to_dense()), 0)
    with strict():
        actual = evaluate(call, w)

    assert same(expected, actual)
    assert actual is w
    assert w.sparse.values is values


@quietly
@some_forms
@pytest.mark.parametrize("call", calls(ANY))
def test_whatever_has_no_sparse_implementation_is_computed_from_the_entries(form, call):
    """The result is torch's."""
    w = sparse(form, 48, 64)
    expected = evaluate(call, w.to_dense())
    actual = evaluate(call, w)

    assert same(expected, actual)


@quietly
@some_forms
@pytest.mark.parametrize("call", calls(WRITES))
def test_a_write_to_a_part_reaches_the_slots(form, call):
    """A row, a block, a value: the write is not lost, and the pattern stays."""
    w = sparse(form, 48, 64)
    expected, pattern, values = w.to_dense(), w.pattern, w.sparse.values
    evaluate(call, expected)
    evaluate(call, w)

    assert same(expected, w)
    assert torch.equal(pattern, w.pattern)
    assert w.sparse.values is values


@quietly
@some_forms
@pytest.mark.parametrize("call", calls(REFUSED_WRITES))
def test_an_assignment_that_would_be_lost_is_refused(form, call):
    """TENSOR-3: to a part or to the whole; nothing has changed then."""
    w = sparse(form, 48, 64)
    expected = w.to_dense()

    assert refusal(evaluate, call, w) == "TENSOR-3"
    assert same(expected, w)


@quietly
def test_rows_and_entries_are_numbers_to_python():
    """tolist, item, numpy."""
    w = sparse("nmg:2:8:8", 48, 64)
    expected = w.to_dense().tolist()
    actual = [row.tolist() for row in w]

    assert expected == actual
    assert w[0, 0].item() == expected[0][0]
    assert w[1].numpy().tolist() == expected[1]


def test_a_part_is_a_part():
    """It is read as torch's views are: later writes to the whole are seen."""
    w = sparse("csr:0.5", 8, 8)
    row = w[2]
    w.zero_()

    assert isinstance(row, SparsePart)
    assert row.tolist() == [0] * 8
    assert repr(row).startswith("SparsePart(of SparseTensor(csr")


@some_forms
def test_data_can_be_set(form):
    """To a sparse tensor: its pattern and values are taken over; a dense one is refused."""
    w, other = sparse_parameter(sparse(form, 48, 64)), sparse("coo:0.7", 48, 64, seed=4)
    w.data = other

    assert same(other, w)
    assert str(w.descriptor) == "coo"
    w.data = other.half()
    assert w.dtype == w.sparse.dtype == torch.float16
    w.data = w.to_dense().mul_(2)
    assert same(other.half() * 2, w)
    with pytest.raises(SpecError, match="TENSOR-3"):
        w.data = torch.ones(48, 64)


def test_a_sparse_tensor_says_what_it_is():
    """Layout, shape, dtype, what is stored; without data, too."""
    w = sparse("nmg:2:8:8", 48, 64)

    assert repr(w) == "SparseTensor(nmg:2:8:8, shape=(48, 64), dtype=torch.float32, stored=768 (25.0%))"
    assert repr(w.to("meta")) == "SparseTensor(nmg:2:8:8, shape=(48, 64), dtype=torch.float32, no data)"
    assert "requires_grad=True" in repr(sparse_parameter(w))


def test_a_tensor_without_data_computes_shapes():
    """On the meta device."""
    model = layer("nmg:2:8:8").to("meta")
    expected = (5, 48)
    actual = tuple(model(torch.empty(5, 64, device="meta")).shape)

    assert expected == actual
    assert isinstance(model.weight, SparseTensor)


def test_numpy_is_asked_for_through_the_entries():
    """As torch's own sparse tensors say."""
    w = sparse("csr:0.5", 8, 8)
    for call in (w.numpy, w.tolist, lambda: np.asarray(w)):
        with pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
            call()
    assert np.array_equal(entries(w).numpy(), w.to_dense().numpy())


@pytest.mark.parametrize("turned", [False, True])
def test_shapes_that_do_not_belong_together_are_refused(turned):
    """TENSOR-1; an entry that is stored twice, TENSOR-2; a pattern that does not fit, CORE-E1."""
    array = sparse("csr:0.5", 4, 8).sparse
    assert refusal(SparseTensor, array, (4, 9), turned) == "TENSOR-1"
    assert refusal(SparseTensor, array, (4, 8), True) == "TENSOR-1"
    assert refusal(sparse("csr:0.5", 4, 8).set_sparse_, sparse("csr:0.5", 8, 4)) == "TENSOR-1"
    assert refusal(from_pattern, torch.ones(4, 4), "csr", torch.ones(4, 5, dtype=torch.bool)) == "CORE-E1"
    arrays = {"coords": np.array([[0, 0], [1, 1]], "i4"), "values": np.ones(2, "f4")}
    twice = sr.SparseArray(sr.COO(), (2, 2), np.dtype("f4"), arrays)
    assert refusal(lambda: SparseTensor(to_torch(twice)).nnz) == "TENSOR-2"


def test_a_turned_tensor_is_the_transpose_of_what_is_stored():
    """A Hugging Face Conv1D's weight [K, O]."""
    dense = whole_numbers(64, 48)
    w = sparsify(dense, "nmg:2:8:8", turned=True)
    x = whole_numbers(2, 5, 64)
    with strict():
        assert same(x @ w.to_dense(), x @ w)
        assert same(torch.addmm(torch.ones(48), x[0], w.to_dense()), torch.addmm(torch.ones(48), x[0], w))
    assert w.stride() == (1, 64)
    assert same(w.to_dense() * 2, w.add_(w))
