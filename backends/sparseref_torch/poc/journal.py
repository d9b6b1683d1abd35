"""What is measured is written down at once, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from sparseref.atomic import write_text

from .cache import digest

PACKAGE = Path(__file__).parent.parent


class Journal:
    """A folder with one JSON file a measurement, under a key of all that decides them.

    made_of: what decides the figures besides this package's source, which always does.
    """

    def __init__(self, work: Path, name: str, made_of: list[bytes]) -> None:
        self.folder = work / f"{name}-{digest([*made_of, _code()])[:16]}"
        self.resumed = 0

    def once(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was measured under this name before, else what `measure` gives now."""
        path = self._path(name, "json")
        if path.is_file():
            self.resumed += 1
            return dict(json.loads(path.read_text(encoding="utf-8")))
        found = measure()
        write_text(path, json.dumps(found, indent=1))
        return found

    def file(self, name: str) -> Path:
        """Where a model of this name is kept."""
        return self._path(name, "safetensors")

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.{ending}"


@cache
def _code() -> bytes:
    """Of this package's source, as it is when first asked for: what runs does not change under a running process."""
    return digest(path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))).encode()
