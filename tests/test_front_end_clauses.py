"""The clauses of the STen front end: each is raised by its code and by a test, and each that is raised is written down."""

import pytest
from linking import ROOT, front_end, links

PACKAGE = "backends/sparseref_torch/"


@pytest.fixture(scope="module")
def found():
    return links()


def test_every_clause_is_named_in_the_package(found):
    """By the code that refuses."""
    expected = []
    actual = [name for name in front_end() if not any(place.startswith(PACKAGE) for place in found.anywhere.get(name, ()))]

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
              if set(clause) != {"id", "since", "text", "errors", "why"} or "SHALL" not in clause["text"]]

    assert expected == actual
    assert not set(front_end()) & set(links().clauses)
    assert (ROOT / "backends/sparseref_torch/clauses.toml").is_file()
