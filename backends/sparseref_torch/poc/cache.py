"""Weights that a task must train itself: trained once, kept in the user's cache folder, believed only if they are whole."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from sparseref import SpecError
from sparseref.errors import MissingDependency
from sparseref.files import read_file, save_file

State = dict[str, Tensor]


def cached_state(name: str, made_of: Iterable[bytes], make: Callable[[], State], folder: Path | None = None) -> State:
    """The state dict that `make` gave the last time it was made of the same, else that it gives now, which is kept.

    made_of: all that decides what `make` gives, such as its source, its data and torch's version; where one of them has
    changed, another file is asked for.  folder: where the files are, None for the user's cache folder.
    A file that is damaged is no error: a warning says what is wrong with it, and a new one takes its place.  Where none can
    be written, a warning says that, too.
    """
    key = digest(made_of)
    path = (folder or cache_folder()) / f"{name}-{key[:16]}.safetensors"
    state = _kept(path, key)
    if state is None:
        state = make()
        try:
            save_file({entry: tensor.contiguous().numpy() for entry, tensor in state.items()}, path, {"key": key})
        except OSError as problem:
            warnings.warn(f"{path} could not be written ({problem.strerror}); the next call trains again.", stacklevel=2)
    return state


def digest(pieces: Iterable[bytes]) -> str:
    """SHA-256 of the pieces, each with its length before it, so that ("ab", "c") differs from ("a", "bc")."""
    total = hashlib.sha256()
    for piece in pieces:
        total.update(len(piece).to_bytes(8, "little"))
        total.update(piece)
    return total.hexdigest()


def cache_folder() -> Path:
    """Where this user's programs keep what they can make again; on Linux $XDG_CACHE_HOME decides."""
    try:
        import platformdirs
    except ImportError as missing:
        raise MissingDependency("platformdirs", "keeping trained weights", "models") from missing
    return Path(platformdirs.user_cache_path("sparseref"))


def _kept(path: Path, key: str) -> State | None:
    """The weights in the file, or None where there are none to be believed."""
    try:
        header, arrays = read_file(path)                       # checks every array against its hash
        if header.metadata.get("key") == key:
            return {name: torch.from_numpy(array) for name, array in arrays.items()}
        problem = "it holds other weights than its name says"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (SpecError, OSError) as refused:
        problem = str(refused)
    warnings.warn(f"{path} cannot be used, the weights are trained anew: {problem}", stacklevel=3)
    return None
