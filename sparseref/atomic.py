"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_text(path: str | Path, text: str) -> Path:
    """Replace the file at `path`, whose folders are made as needed, by `text` in UTF-8."""
    return write_bytes(path, [text.encode("utf-8")])


def write_bytes(path: str | Path, pieces: Iterable[bytes | memoryview]) -> Path:
    """Replace the file at `path`, whose folders are made as needed; a reader sees the old one or the new one.

    pieces: what follows what; they are taken one at a time, so that a file may be larger than the memory that is free.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())                           # or a crash could leave the new name on an empty file
            file.close()
            temporary.chmod(0o644)                            # a temporary file is private, a report is not
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return path
