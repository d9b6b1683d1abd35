"""Output formats in four parts, and their short strings."""

import numpy as np
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st
from meanings import takes

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.sparsifiers import own_sparsifier

FLOAT32 = np.dtype(np.float32)
TEMPORARIES = st.sampled_from([sr.Dense(), sr.Masked(), sr.COO()])
STREAMING = st.one_of(st.just(sr.KeepAll()), st.floats(0, 1).map(sr.ScalarThreshold), st.floats(0, 1).map(sr.RandomFraction))


@given(some.arrays((5, 7), FLOAT32), STREAMING, TEMPORARIES, st.floats(0, 1), st.integers(0, 99))
def test_an_output_format_is_its_four_parts_in_order(result, inline, temporary, fraction, seed):  # FMT-1
    """Inline: what it drops is +0; temporary; external: chooses among what is stored there; final."""
    written = np.where(sr.select(result, inline, rng=np.random.default_rng(seed)), result, np.float32(0))
    stored = np.ones(result.shape, bool) if temporary == sr.Dense() else sr.select(
        result, inline, rng=np.random.default_rng(seed))
    external = sr.ScalarFraction(fraction)
    expected = sr.encode(written, "csr", sr.select(written, external) & stored)
    actual = sr.OutputFormat(inline, temporary, external, sr.CSR()).apply(result, np.random.default_rng(seed))

    assert sr.same_array(expected, actual)


@given(some.sparse_arrays(dtype=FLOAT32), STREAMING.filter(lambda sparsifier: not sparsifier.needs_draws))
def test_a_sparse_result_has_its_pattern_respected(a, inline):  # FMT-1, SPF-6
    """What the operator did not store is not chosen by a temporary that takes any pattern."""
    expected = sr.select(a, inline)
    actual = sr.OutputFormat(inline, sr.Masked(), sr.KeepAll(), sr.Masked()).apply(a)

    assert sr.same_bits(expected, actual.pattern)
    assert sr.same_bits(np.where(expected, sr.decode(a), np.float32(0)), sr.decode(actual))


@given(st.sampled_from([sr.ScalarFraction(0.5), sr.PerBlockNM(2, 4), sr.GreedyNMG(1, 2, 2), sr.BlockThreshold(2, 2)]))
def test_the_inline_sparsifier_streams(sparsifier):  # FMT-2
    """It runs while the operator writes, so it cannot look ahead."""
    expected = "FMT-2"
    actual = refusal(sr.OutputFormat, sparsifier, sr.Dense(), sr.KeepAll(), sr.CSR())

    assert expected == actual


@given(some.layouts(), st.data())
def test_the_short_form_is_sparsify(layout, data):  # FMT-3
    """Keep-all into dense, then the sparsifier, then the layout; as an operator's `out` too."""
    dense = data.draw(some.arrays(data.draw(some.shapes(layout)), FLOAT32))
    out = sr.short_format(own_sparsifier(layout), layout)
    expected = sr.sparsify(dense, layout)
    actual = out.apply(dense)

    assert sr.same_array(expected, actual)
    assert sr.same_array(sr.sparsify(sr.relu(dense), layout), sr.relu(dense, out=out))
    assert sr.same_array(sr.relu(dense, out=out), sr.relu(dense, out=str(layout)))


def test_what_is_no_output_format_is_refused():  # CORE-L1
    """Before anything is computed."""
    expected = "CORE-L1"
    actual = refusal(sr.relu, np.ones((2, 2)), out=3)

    assert expected == actual


@given(some.layouts())
def test_a_format_without_a_fraction_is_the_layouts_own(layout):  # FMT-4
    """The short string of a layout is a format."""
    expected = (own_sparsifier(layout), layout)
    actual = sr.parse_format(str(layout))

    assert expected == actual


@given(some.layouts(), st.sampled_from(["0.0", "0.5", "0.75", "1.0", ".25"]))
def test_a_last_part_with_a_point_is_a_fraction(layout, fraction):  # FMT-4
    """Of blocks for bsr, of entries for a layout that takes every pattern; others leave nothing to choose."""
    head, *named = str(layout).split(",")
    text = ",".join([f"{head}:{fraction}", *named])
    if isinstance(layout, sr.BSR):
        assert sr.parse_format(text) == (sr.BlockFraction(layout.r, layout.c, float(fraction)), layout)
    elif layout.any_pattern:
        assert sr.parse_format(text) == (sr.ScalarFraction(float(fraction)), layout)
    else:
        assert refusal(sr.parse_format, text) == "FMT-4"


@given(st.sampled_from(["csr:1.5", "csr:0.x", "bsr:2:2:nan.", "coo:-0.1"]))
def test_the_fraction_of_a_format_is_one(text):  # SPF-8, FMT-4
    """From 0 to 1, as for the sparsifier."""
    expected = "SPF-8"
    actual = refusal(sr.parse_format, text)

    assert expected == actual


@given(some.arrays((4, 6), FLOAT32), st.sampled_from(["csr:0.75", "bsr:2:3:0.5", "nm:1:2", "nmg:1:2:3", "dense"]))
def test_sparsify_takes_a_format(dense, text):  # FMT-4, SPF-10
    """The sparsifier and the layout that the string names."""
    sparsifier, layout = sr.parse_format(text)
    expected = sr.sparsify(dense, layout, sparsifier)
    actual = sr.sparsify(dense, text)

    assert takes(layout, dense.shape)
    assert sr.same_array(expected, actual)
