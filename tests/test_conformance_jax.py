"""The JAX backend against the kit: one case in twenty-four, as XLA compiles anew for every shape.

All of them: `sparseref conform --backend jax`, about an hour.
"""

import zlib

import pytest

from sparseref.conformance.judge import judge
from sparseref.conformance.outcome import LEVELS
from sparseref.conformance.runner import all_cases, filtered
from sparseref.conformance.testing import report
from sparseref.registry import get_backend

pytest.importorskip("jax", reason="the JAX backend needs the extra 'jax'")
ONE_IN = 24


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_a_sample_conforms(level):
    """The same cases every time, chosen by their names."""
    cases = [case for case in filtered(all_cases("quick"), levels=(level,)) if zlib.crc32(case.id.encode()) % ONE_IN == 0]
    outcomes = [judge(case, get_backend("jax")) for case in cases]
    bad = [outcome for outcome in outcomes if outcome.verdict.value != "pass"]

    assert len(cases) > 50
    assert not bad, report(bad)
