"""Contenders that cannot share this process: each in a worker of its own, which times itself, pinned to the same cores."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from threading import Timer
from typing import Any

import numpy as np

from ..errors import MissingDependency
from .contender import Contender, Problem

PATIENCE = 120.0
"""Seconds until a worker that does not answer is ended; compiling a model is in it."""


class Remote:
    """A worker with one problem: call it for y, ask `timed` for the seconds of one product, `close` it in the end."""

    def __init__(self, command: list[str], problem: Problem) -> None:
        """Errors: RuntimeError, where it does not get ready."""
        self._folder = tempfile.TemporaryDirectory()
        path, told = Path(self._folder.name), Path(self._folder.name) / "told"
        np.savez(path / "problem.npz", x=problem.x, w=problem.dense, bias=problem.bias)
        with told.open("w") as log:
            self._process = subprocess.Popen([*command, str(path / "problem.npz"), str(problem.threads)], stderr=log,
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def __call__(self) -> np.ndarray:
        path = Path(self._folder.name) / "y.npy"
        self._ask(str(path))
        y: np.ndarray = np.load(path)
        return y

    def timed(self, times: int) -> float:
        """Seconds of one product, of so many in a row."""
        return float(self._ask(str(times))["seconds"]) / times

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None                 # it is a pipe
        try:
            self._process.stdin.write(what + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass                                               # what it said last tells more
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None                # it is a pipe
        late = Timer(PATIENCE, self._process.kill)
        late.daemon = True                                     # Ctrl-C does not wait for it
        late.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._last_words()}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        if self._process.returncode == -SIGKILL:
            return f"its process was ended: no answer within {PATIENCE:g} s"
        told = (Path(self._folder.name) / "told").read_text(errors="replace").strip().splitlines()
        return f"its process ended with {self._process.returncode}: {told[-1] if told else 'without a word'}"


def environment(name: str) -> Path:
    """Where a peer's own environment is looked for, in the user's cache folder.  Errors: MissingDependency."""
    try:
        from platformdirs import user_cache_path  # the folder that the platform has for it
    except ImportError as missing:
        raise MissingDependency("platformdirs", "peers with an environment of their own", "conformance") from missing
    return user_cache_path("sparseref") / "peers" / name


def contender(name: str, worker: Path, folder: Callable[[], Path], installs: str) -> Contender:
    """A peer whose worker runs in the environment that `folder` names; installs: what pip has to bring there."""
    def python() -> Path:
        return folder() / "bin" / "python"

    def lacks() -> str:
        return "" if python().exists() else (
            f"no environment of its own: python3.11 -m venv {folder()} && {folder()}/bin/pip install {installs}")

    return Contender(name, lambda problem: Remote([str(python()), str(worker)], problem), lacks=lacks)
