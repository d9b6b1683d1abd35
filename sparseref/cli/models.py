"""What commands on whole models run: found through the entry-point group sparseref.models, so that no backend is named here."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from ..errors import MissingDependency, SpecError

GROUP = "sparseref.models"


def implementation(command: str) -> Callable[..., Any]:
    """The name of a command -> the function that does its work, loaded now.  Errors: REG-2; MissingDependency."""
    points = entry_points(group=GROUP)
    if command not in points.names:                                                        # REG-2
        raise SpecError("REG-2", f"nothing that is installed implements `sparseref {command}`.",
                        wanted=f"an entry point {command!r} of the group {GROUP}",
                        given=", ".join(sorted(points.names)) or "none",
                        fix="pip install --force-reinstall 'sparseref[models]'")
    try:
        found: Callable[..., Any] = points[command].load()
    except MissingDependency as missing:
        raise MissingDependency(missing.package, f"sparseref {command}", "models") from missing
    return found
