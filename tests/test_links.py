"""Clause, code, vectors and property hang together: what one names the others have, in both directions."""

from dataclasses import replace

import pytest
from linking import NO_CLAUSES, Links, links, properties_in

from sparseref import spec
from sparseref.conformance.vectors import load


@pytest.fixture(scope="module")
def found():
    return links()


def test_every_clause_is_named_where_it_is_implemented(found):
    """In sparseref/, the kit aside; the kit's own clauses in the kit."""
    expected = []
    actual = found.without_code()

    assert expected == actual


def test_every_clause_has_a_positive_vector(found):
    """A call that is answered."""
    expected = []
    actual = found.without_positive()

    assert expected == actual


def test_every_clause_that_refuses_has_a_negative_vector(found):
    """A call that it refuses."""
    expected = []
    actual = found.without_negative()

    assert expected == actual


def test_every_clause_has_a_property(found):
    """A function under @given that names it beside its `def`."""
    expected = []
    actual = found.without_property()

    assert expected == actual


def test_whatever_is_named_is_a_clause(found):
    """In code, backends, tests and vectors."""
    expected = []
    actual = found.unknown()

    assert expected == actual


def test_no_exception_is_idle(found):
    """The list of what looks like a clause and is none can't go stale."""
    expected = []
    actual = found.idle_exceptions()

    assert expected == actual


def test_a_vector_is_refused_by_a_clause_that_can_refuse():
    """The error is one that the clause's text lists."""
    clauses = spec.clauses()
    expected = []
    actual = [vector.id for vector in load() if vector.kind == "negative"
              and vector.expect["error"] not in clauses[vector.clauses[0]].errors]

    assert expected == actual


# The checker itself: each kind of orphan is found, and named.

NEW = f"NEW-{1}"                                               # written so that it is not found in this file


@pytest.mark.parametrize("check", ["without_code", "without_positive", "without_negative", "without_property"])
def test_a_new_clause_is_an_orphan(found, check):
    """It is named nowhere."""
    expected = [NEW]
    actual = getattr(replace(found, clauses={**found.clauses, NEW: True}), check)()

    assert expected == actual


def test_a_clause_that_refuses_nothing_needs_no_negative_vector(found):
    """Its errors are empty."""
    expected = []
    actual = replace(found, clauses={**found.clauses, NEW: False}).without_negative()

    assert expected == actual


@pytest.mark.parametrize("linked", ["code", "positive", "negative", "properties"])
def test_a_link_that_is_cut_is_missed(found, linked):
    """Whichever it is."""
    name = "NMG-C6"
    cut = replace(found, **{linked: {key: places for key, places in getattr(found, linked).items() if key != name}})
    expected = [name]
    actual = cut.without_code() + cut.without_positive() + cut.without_negative() + cut.without_property()

    assert expected == actual


def test_a_withdrawn_clause_is_an_orphan_where_it_is_named(found):
    """With every place that names it."""
    clauses = {name: errors for name, errors in found.clauses.items() if name != "NMG-C6"}
    [orphan] = replace(found, clauses=clauses).unknown()
    expected = "NMG-C6"
    actual, _, places = orphan.partition(": ")

    assert expected == actual
    assert {"sparseref/layouts/nmg_assign.py", "nmg-fibre-empty"} <= set(places.split(", "))


def test_an_exception_is_idle_once_it_is_a_clause_or_named_nowhere():
    """It must go."""
    clause, unnamed, *others = NO_CLAUSES
    expected = [clause, unnamed]
    actual = Links({clause: False}, {}, {name: [] for name in (clause, *others)}, {}, {}, {}).idle_exceptions()

    assert expected == actual


@pytest.mark.parametrize(("source", "expected"), [
    ("@given(x)\ndef f(x):  # NM-C1, NM-C2\n    pass", [("f", "NM-C1"), ("f", "NM-C2")]),
    ("@settings()\n@hypothesis.given(x)\ndef f(x,\n      y):  # NM-C1\n    pass", [("f", "NM-C1")]),
    ("def f(x):  # NM-C1\n    pass", []),
    ("@given(x)\ndef f(x):\n    pass  # NM-C1", []),
    ("@parametrize(x)\ndef f(x):  # NM-C1\n    pass", [])])
def test_a_property_names_its_clauses_beside_its_def(source, expected):
    """A test of fixed examples is none, and a comment further down does not count."""
    actual = list(properties_in(source))

    assert expected == actual
