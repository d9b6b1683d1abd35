"""The kit as pytest classes: subclass, name what is tested, and pytest finds the rest.

    from sparseref.conformance.testing import BackendConformance, LayoutConformance

    class TestMyBackend(BackendConformance):
        backend = "mine"                        # a registered name, or a Backend

    class TestMyLayout(LayoutConformance):
        layouts = ("diag:4",)
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from ..errors import MissingDependency

try:
    import pytest
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
except ImportError as missing:
    raise MissingDependency(str(missing.name), "the kit's pytest classes", "conformance") from missing

from ..backend import Backend
from ..registry import get_backend, parse_layout
from .case import Ask, Case
from .judge import judge
from .laws import run_laws
from .outcome import LEVELS, Outcome
from .runner import all_cases, filtered

PROPERTY_EXAMPLES = 20
"""How many random shapes each operation is tried at, beyond the cases of the profile."""


@cache
def cases_by_operation(profile: str, level: str) -> dict[str, list[Case]]:
    """profile, level -> {operation: its cases}."""
    found: dict[str, list[Case]] = {}
    for case in filtered(all_cases(profile), levels=(level,)):
        found.setdefault(case.cell.operation, []).append(case)
    return found


def pytest_params(profile: str) -> list[tuple[str, str]]:
    """(level, operation) of every group of cases."""
    return [(level, operation) for level in LEVELS for operation in cases_by_operation(profile, level)]


class BackendConformance:
    """One test for each level and operation of the quick profile, and one property for each operation.

    Class attributes: backend, a registered name or a Backend; known_failures, ids of cases that are known to fail.
    """

    backend: ClassVar[str | Backend]
    known_failures: ClassVar[tuple[str, ...]] = ()

    @pytest.mark.parametrize(("level", "operation"), pytest_params("quick"))
    def test_conforms(self, level: str, operation: str) -> None:
        """Every case of the group passes, and a known failure that passes is taken off the list."""
        backend = get_backend(self.backend)
        outcomes = [judge(case, backend) for case in cases_by_operation("quick", level)[operation]]
        bad = [outcome for outcome in outcomes if outcome.bad and outcome.case not in self.known_failures]
        stale = [outcome.case for outcome in outcomes if not outcome.bad and outcome.case in self.known_failures]

        assert not bad, report(bad)
        assert not stale, f"known failures that pass: {stale}"

    @pytest.mark.parametrize("operation", sorted(cases_by_operation("quick", "L2")))
    @settings(max_examples=PROPERTY_EXAMPLES, deadline=None, derandomize=True, database=None,
              phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_property(self, operation: str, data: Any) -> None:
        """At a random shape the answer is within its bound; a failure is shrunk to a small shape."""
        cases = [case for case in cases_by_operation("quick", "L2")[operation] if case.shape and case.ask is Ask.ANSWER]
        case = data.draw(st.sampled_from(cases))
        shape = tuple(data.draw(st.integers(1, 12)) for _ in case.shape)
        outcome = judge(case.at(shape), get_backend(self.backend))

        assert not outcome.bad, report([outcome])


class LayoutConformance:
    """One test for each layout: all the laws, at every shape where its code takes another turn.

    Class attributes: layouts, short strings (of registered layouts) or Layouts.
    """

    layouts: ClassVar[tuple[Any, ...]]

    def test_laws(self) -> None:
        """Every law holds."""
        bad = [outcome for layout in self.layouts for outcome in run_laws(parse_layout(layout)) if outcome.bad]

        assert not bad, report(bad)


def report(bad: list[Outcome]) -> str:
    """The first few bad outcomes, each with its counterexample."""
    shown = "\n\n".join(f"{o.case}: {o.verdict.value}: {o.reason}\n{o.counterexample}" for o in bad[:3])
    return f"{len(bad)} cases do not conform\n{shown}"
