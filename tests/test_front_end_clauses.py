"""What backends demand beside the specification: each clause is named by code and by a test, each that is raised is written."""

import pytest
from linking import front_end, links


@pytest.fixture(scope="module")
def found():
    return links()


def test_every_clause_is_named_in_the_package(found):
    """By the code that refuses."""
    expected = []
    actual = [name for name, clause in front_end().items()
              if not any(place.startswith(f"{clause['package']}/") for place in found.anywhere.get(name, ()))]

    assert expected == actual


def test_every_clause_is_named_by_a_test(found):
    """One that makes the call which it refuses."""
    expected = []
    actual = [name for name in front_end() if not any(place.startswith("tests/") for place in found.anywhere.get(name, ()))]

    assert expected == actual


def test_a_clause_is_one_sentence_with_its_reason():
    """In the form of the specification's, whose ids it does not take."""
    expected = []
    actual = [name for name, clause in front_end().items()
              if set(clause) != {"id", "since", "text", "errors", "why", "package"} or "SHALL" not in clause["text"]]

    assert expected == actual
    assert not set(front_end()) & set(links().clauses)
    assert {clause["package"] for clause in front_end().values()} >= {"backends/sparseref_torch", "backends/sparseref_c"}
