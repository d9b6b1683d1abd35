"""Which implementation runs, why, and at what cost."""

import warnings

import numpy as np
import pytest
from checking import refusal
from hypothesis import assume, given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.backend import unknown_part
from sparseref.conformance import strategies as some
from sparseref.dtypes import bits_of


class Some(sr.Backend):
    """The reference, restricted to the layouts of one name and to the operators not left out."""

    name = "some"

    def __init__(self, layouts, without=()):
        self.layouts, self.without, self.calls = layouts, without, []

    def declines(self, cell):
        if cell.operation in self.without:
            return f"no {cell.operation}"
        return None if set(cell.layouts) <= {"array", *self.layouts} else f"only {', '.join(self.layouts)}"

    def call(self, operation, *operands, **parameters):
        self.calls.append(str(self.cell_of(operation, operands, parameters)))
        return sr.get_backend("reference").call(operation, *operands, **parameters)


class DenseIn(Some):
    """The reference for operands that are plain arrays, whatever the layout of the result."""

    def declines(self, cell):
        return None if cell.layouts[0] == "array" else "only arrays"


@st.composite
def linears(draw):
    """x [3, K] dense and w [O, K] in any layout, float32."""
    layout = draw(some.layouts())
    w = draw(some.sparse_arrays(layout, draw(some.shapes(layout, ndims=(2,))), np.dtype(np.float32), ("exact", "normal")))
    return np.ones((3, w.shape[1]), np.float32), w


@given(linears())
def test_an_implemented_cell_runs_as_it_is(operands):  # DSP-1, DSP-5
    """No conversion, no cost."""
    x, w = operands
    backend = Some([w.layout.name])
    expected = [f"linear[array x {w.layout.name}, float32]"]
    result = sr.linear(x, w, backend=backend)
    actual = backend.calls
    route = sr.explain("linear", x, w, None, backend=backend)

    assert expected == actual
    assert sr.same_bits(sr.linear(x, w), result)
    assert (route.kind, route.cost_bits, route.conversions) == ("exact", 0, ())


@given(linears(), st.lists(st.sampled_from(["masked", "coo", "csr", "csc", "ell"]), min_size=1, unique=True))
def test_otherwise_the_cheapest_lossless_conversion(operands, offered):  # DSP-2, DSP-5
    """Of the layouts that take every pattern and that the backend implements, the one that moves fewest bits."""
    x, w = operands
    assume(w.layout.name not in offered)
    backend = Some(offered)
    cost = {name: w.bits + sr.encode(sr.decode(w), name, w.pattern).bits for name in offered}
    route = sr.explain("linear", x, w, None, backend=backend)
    expected = min(cost.values())
    actual = route.cost_bits

    assert expected == actual
    assert route.kind == "converted"
    assert cost[route.cell.layouts[1]] == expected
    assert not backend.calls
    assert sr.same_bits(sr.linear(x, w), sr.linear(x, w, backend=backend))
    assert backend.calls == [str(route.cell)]


@given(linears())
def test_else_dense_with_a_warning(operands):  # DSP-3, DSP-5, CORE-P4
    """The reason is in the warning, the bits moved in the route."""
    x, w = operands
    backend = Some([])
    with pytest.warns(sr.FallbackWarning, match="fell back to dense: only"):
        actual = sr.linear(x, w, backend=backend)
    route = sr.explain("linear", x, w, None, backend=backend)
    expected = sr.linear(x, sr.decode(w))

    assert sr.same_bits(expected, actual)
    assert (route.kind, route.cell.layouts) == ("dense", ("array", "array"))
    assert route.cost_bits == w.bits + w.shape[0] * w.shape[1] * bits_of(w.dtype)


@given(linears(), st.booleans())
def test_nothing_left_is_an_error(operands, strict):  # DSP-4
    """strict refuses the dense fallback; without it the backend must still do it dense."""
    x, w = operands
    backend = Some([]) if strict else Some([], without=["linear"])
    expected = "DSP-4"
    actual = refusal(sr.linear, x, w, backend=backend, strict=strict)

    assert expected == actual
    assert refusal(sr.explain, "linear", x, w, None, backend=backend, strict=strict) == "DSP-4"
    assert not backend.calls


@given(linears())
def test_a_backend_asked_past_dispatch_refuses_what_it_declines(operands):  # DSP-4
    """The reason that `declines` gives is in the error."""
    x, w = operands
    backend = Some([])

    with pytest.raises(sr.SpecError, match=r"DSP-4(?s:.*)only "):
        backend.call("linear", x, w, None)
    assert not backend.calls


@pytest.mark.parametrize(("cell", "expected"), [
    (sr.Cell("linear.gradient", ("array", "csr"), "int8"), None),
    (sr.Cell("select", ("n-of-m",), "int8"), None),
    (sr.Cell("conv2d", ("array", "csr"), "int8"), "mine has no operator conv2d"),
    (sr.Cell("decode", ("bsr",), "int8"), "mine has no layout bsr"),
    (sr.Cell("select", ("csr",), "int8"), "mine has no sparsifier csr")])
def test_what_a_backend_does_not_know_by_name_it_declines(cell, expected):  # DSP-4
    """Gradients are known with their operator; a plain array is no layout."""
    actual = unknown_part(cell, "mine", ["linear"], ["csr"], ["n-of-m"])

    assert expected == actual


def test_a_conversion_does_not_run_on_what_has_lost_the_pattern():  # DSP-4, CONVERT-1
    """Dense operands would store every zero, so convert is refused where only its dense cell is left."""
    a = sr.sparsify(np.eye(3, dtype=np.float32), "masked")
    expected = "DSP-4"
    actual = refusal(sr.convert, a, "ell", backend=DenseIn([]))

    assert expected == actual


@given(linears())
def test_strict_takes_what_is_lossless(operands):  # DSP-2, DSP-4
    """A conversion loses nothing, so it is no fallback."""
    x, w = operands
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = sr.linear(x, w, backend=Some(["coo"]), strict=True)

    assert sr.same_bits(sr.linear(x, w), actual)


@given(linears(), st.sampled_from(["reference", "some"]))
def test_bad_input_is_refused_alike_on_every_backend(operands, name):  # LINEAR-2, ERR-1
    """The reference's checks run before any other backend is asked."""
    x, w = operands
    backend = name if name == "reference" else Some([w.layout.name])
    expected = "LINEAR-2"
    actual = refusal(sr.linear, x, w, np.ones(w.shape[0] + 1, np.float32), backend=backend)

    assert expected == actual
    grad = np.ones((3, w.shape[0]), np.float32)
    assert refusal(sr.run, "linear.gradient", grad, x, w, np.ones(w.shape[0] + 1, np.float32), backend=backend) == "LINEAR-2"


@given(some.sparse_arrays(dtype=np.dtype(np.float32)))
def test_arrays_of_other_shapes_are_converted_where_a_layout_takes_them(a):  # DSP-2
    """csr takes matrices only; the dense layout, which has no pattern, is never a lossless target."""
    assume(a.layout.name not in ("coo", "csr", "dense"))
    expected = "converted" if len(a.shape) == 2 else "dense"
    actual = sr.explain("sum", a, axis=None, backend=Some(["csr", "dense"])).kind

    assert expected == actual


def test_a_route_reads_as_a_sentence():
    """What runs, why, and what it costs."""
    w = sr.encode(np.eye(2, dtype=np.float32), "csr", np.eye(2) != 0)
    expected = ("linear on some: converted, as linear[array x coo, float32]\n  because only coo\n"
                "  operand 1: csr -> coo, 416 bits moved")
    actual = str(sr.explain("linear", np.ones((1, 2), np.float32), w, None, backend=Some(["coo"])))

    assert expected == actual


@given(st.sampled_from(["encode", "decode", "validate", "select", "linear", "convert"]))
def test_the_reference_as_a_backend(operation):  # OPS-1, CORE-C1
    """One call for everything; it declines no cell and accumulates in float64."""
    reference = sr.get_backend("reference")
    dense, pattern = np.array([[1.0, 0.0], [0.0, -2.0]]), np.eye(2, dtype=bool)
    a = sr.encode(dense, "csr", pattern)
    arguments, parameters, want = {
        "encode": ((dense, pattern), {"layout": "csr"}, a), "decode": ((a,), {}, dense), "validate": ((a,), {}, None),
        "select": ((dense, None, None), {"sparsifier": "scalar-fraction:0.75"}, np.array([[False, False], [False, True]])),
        "linear": ((dense, a, None), {}, np.array([[1.0, 0.0], [0.0, 4.0]])),
        "convert": ((a,), {"layout": "coo"}, sr.encode(dense, "coo", pattern)),
    }[operation]
    cell = sr.backend.cell_of(operation, arguments, parameters)
    got = reference.call(operation, *arguments, **parameters)

    assert reference.declines(cell) is None
    assert reference.accumulator("float16") == "float64"
    assert str(cell).startswith(f"{operation}[")
    assert not reference.densifies(cell)
    assert got is None if want is None else (sr.same_array if isinstance(want, sr.SparseArray) else sr.same_bits)(want, got)


@given(linears())
def test_a_gradient_comes_back_in_the_slots_that_were_given(operands):  # DSP-2, GRAD-1
    """Converted on the way or not, the weight's gradient has the weight's own layout and index arrays."""
    x, w = operands
    grad = np.ones((3, w.shape[0]), np.float32)
    expected = sr.run("linear.gradient", grad, x, w, None)[1]
    actual = sr.run("linear.gradient", grad, x, w, None, backend=Some(["csr" if w.layout.name != "csr" else "coo"]))[1]

    assert sr.same_array(expected, actual)


@given(linears(), st.sampled_from(["relu", "transpose"]))
def test_a_converted_result_is_stored_as_if_it_had_not_been(operands, operation):  # DSP-2, OPS-4
    """relu of an nmg weight is nmg, even where the backend knows csr alone."""
    _, w = operands
    expected = sr.run(operation, w)
    actual = sr.run(operation, w, backend=Some(["csr" if w.layout.name != "csr" else "coo"]))

    assert sr.same_array(expected, actual)
