"""The inventory tripwire: how many cases the kit is known to have, so that a suite that shrank unseen is no pass."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from .case import Case

INVENTORY = Path(__file__).with_name("inventory.json")


def group(case: Case) -> str:
    """Cases are counted by level and operation, e.g. "L2 linear"."""
    return f"{case.level} {case.cell.operation}"


@cache
def inventory(profile: str) -> dict[str, int]:
    """profile -> {group: how many cases}, for the layouts, sparsifiers, operators and vectors of the specification."""
    counts: dict[str, int] = json.loads(INVENTORY.read_text())[profile]
    return counts


def missing_cases(profile: str, made: Iterable[Case]) -> int:
    """How many cases the inventory foresees and the kit did not make."""
    counts = Counter(map(group, made))
    return sum(max(count - counts[name], 0) for name, count in inventory(profile).items())


def main() -> None:
    """`python -m sparseref.conformance.inventory` counts anew: for whoever adds cases, and reads the difference."""
    from .runner import PROFILES, all_cases

    counts = {profile: dict(sorted(Counter(map(group, all_cases(profile))).items())) for profile in PROFILES}
    INVENTORY.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
