"""A worker process: a line out, a line back, before a deadline.  Its death is a result, not an accident."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
import weakref
from collections.abc import Sequence
from typing import IO

from ..errors import SpecError

TAIL = 2000
"""How many of the last bytes of stderr a report shows."""

CHUNK = 1 << 16
GRACE_SECONDS = 1.0
"""How long a worker may take to leave once its input has ended."""


class WorkerCrash(Exception):
    """The worker died: exit_code as subprocess gives it (-11: by signal 11; None: it lives, but closed its output)."""

    def __init__(self, exit_code: int | None, stderr: str) -> None:
        self.exit_code, self.stderr = exit_code, stderr
        super().__init__(f"the worker {_manner(exit_code)}" + _said(stderr))


class WorkerTimeout(Exception):
    """No complete reply came within `seconds`."""

    def __init__(self, seconds: float, stderr: str) -> None:
        self.seconds, self.stderr = seconds, stderr
        super().__init__(f"the worker gave no reply within {seconds:g} s" + _said(stderr))


class WorkerProcess:
    """A child that reads lines and writes lines, in a process group of its own.

    All three pipes are served in one loop, so that neither a worker that does not read nor one that floods stderr can
    block the caller past the deadline.  POSIX only.  Errors: WIRE-3, where the command cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        try:
            # a group of its own: Ctrl-C reaches us first, and what the worker itself has started dies with it
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           bufsize=0, start_new_session=True)
        except (OSError, IndexError) as problem:
            raise SpecError("WIRE-3", f"the worker cannot be started: {problem}.", wanted="a command line that runs here",
                            given=" ".join(command), fix="give the path of an executable, e.g. ./worker") from problem
        self._pipes = [_nonblocking(pipe) for pipe in (self._child.stdin, self._child.stdout, self._child.stderr)]
        self._stdin, self._stdout, self._stderr = self._pipes
        self._unread, self._tail = bytearray(), bytearray()
        self._finalizer = weakref.finalize(self, _stop, self._child, self._pipes)    # no zombie, even if stop() is not called

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """Send one line, with its newline -> the next line that comes back, without.  Raises WorkerCrash, WorkerTimeout."""
        deadline, unsent = time.monotonic() + seconds, memoryview(line)
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stderr, selectors.EVENT_READ)
            while unsent or b"\n" not in self._unread:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WorkerTimeout(seconds, self._text())
                for key, _ in selector.select(left):
                    if key.fileobj is self._stdin:
                        unsent = self._send(unsent)
                        if not unsent:
                            selector.unregister(self._stdin)
                    elif key.fileobj is self._stderr:
                        if not self._read_stderr():
                            selector.unregister(self._stderr)
                    elif not self._read_stdout():
                        raise self._crash()
        reply, _, self._unread = self._unread.partition(b"\n")
        return bytes(reply)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """End its input, give it `grace` seconds to leave, then kill its group; returns once it is gone."""
        if self._finalizer.detach():
            _stop(self._child, self._pipes, grace)

    def _send(self, unsent: memoryview) -> memoryview:
        try:
            return unsent[os.write(self._stdin.fileno(), unsent[:CHUNK]):]
        except BrokenPipeError:                                           # it is dying; the end of stdout will tell
            return unsent[:0]

    def _read_stdout(self) -> bool:
        chunk = os.read(self._stdout.fileno(), CHUNK)
        self._unread += chunk
        return bool(chunk)

    def _read_stderr(self) -> bool:
        chunk = os.read(self._stderr.fileno(), CHUNK)
        self._tail = (self._tail + chunk)[-TAIL:]
        return bool(chunk)

    def _crash(self) -> WorkerCrash:
        try:
            code: int | None = self._child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        try:
            while self._read_stderr():
                pass
        except BlockingIOError:                                           # a grandchild keeps stderr open
            pass
        return WorkerCrash(code, self._text())

    def _text(self) -> str:
        return self._tail.decode(errors="replace")


def _nonblocking(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    return pipe


def _stop(child: subprocess.Popen[bytes], pipes: list[IO[bytes]], grace: float = GRACE_SECONDS) -> None:
    """Not a method: a finalizer must not keep its object alive."""
    pipes[0].close()                                                      # the end of stdin says goodbye
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for pipe in pipes:
        pipe.close()


def _manner(exit_code: int | None) -> str:
    if exit_code is None:
        return "closed its output without a reply"
    if exit_code >= 0:
        return f"left with exit code {exit_code} without a reply"
    return f"was killed by signal {-exit_code} ({signal.strsignal(-exit_code)})"


def _said(stderr: str) -> str:
    return f"; its last words on stderr:\n{stderr.rstrip()}" if stderr.strip() else ""
