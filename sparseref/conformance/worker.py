"""A backend in another process: JSON lines over stdio, in any language (spec/protocol.md).

`WorkerBackend("./worker")` speaks to a worker; `python -m sparseref.conformance.worker BACKEND` is one, for any installed
backend.
"""

from __future__ import annotations

import json
import shlex
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..backend import Backend, Cell
from ..errors import SpecError
from .process import WorkerCrash, WorkerProcess, WorkerTimeout
from .wire import Call, from_json, to_json

__all__ = ["WorkerBackend", "WorkerCrash", "WorkerError", "WorkerTimeout"]

ANY = "*"
UNSAID = {"wanted": "what the clause says", "given": "the call sent to the worker", "fix": ""}
"""What an error's optional parts are where the worker leaves them out."""

SHOWN = 300
"""How many characters of a faulty line an error shows."""


class WorkerError(Exception):
    """The worker broke the protocol (WIRE-2), or reports an error that no clause asks for."""


@dataclass(frozen=True)
class Declared:
    """One entry of a worker's cells: "*" stands for any operation, any one layout, any dtype."""

    operation: str
    layouts: tuple[str, ...]
    dtypes: tuple[str, ...]
    densifies: bool = False

    def covers(self, cell: Cell) -> bool:
        return (self.operation in (ANY, cell.operation) and len(self.layouts) == len(cell.layouts)
                and all(mine in (ANY, asked) for mine, asked in zip(self.layouts, cell.layouts, strict=True))
                and (ANY in self.dtypes or cell.dtype in self.dtypes))


class WorkerBackend(Backend):
    """A worker, started from a command line: `with WorkerBackend("./worker") as backend: ...`

    Each call has `seconds` to answer.  After a crash, a timeout or a breach of the protocol the worker is killed, and the
    next call starts it afresh.  Memory forms are not seen by a worker: arrays travel as JSON.
    Errors: WIRE-3.  Raises WorkerCrash, WorkerTimeout, WorkerError.  Source: spec/protocol.md.
    """

    def __init__(self, command: str, seconds: float = 30.0) -> None:
        self._command, self._seconds = _words(command), seconds
        self._lock = threading.Lock()                     # threads share one worker and take turns
        self._process: WorkerProcess | None = None
        self._last_id = 0
        with self._lock:
            self._start()

    def declines(self, cell: Cell) -> str | None:
        return None if self._find(cell) else "not declared by the worker"

    def accumulator(self, dtype: str) -> str:
        return self._accumulators.get(dtype) or super().accumulator(dtype)

    def flushes(self, dtype: str) -> bool:
        return dtype in self._flushes

    def densifies(self, cell: Cell) -> bool:
        found = self._find(cell)
        return found is not None and found.densifies

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        with self._lock:
            if self._process is None:
                self._start()
            reply, line = self._ask({"call": to_json(Call(operation, operands, parameters))})
        if "error" in reply:
            raise _error(reply["error"], line)
        try:
            return from_json(reply["result"])
        except Exception as problem:                      # a SpecError here is no refusal: the worker's JSON is wrong
            raise WorkerError(_breach(f"this result is malformed ({problem})", line)) from problem

    def close(self) -> None:
        """Let the worker go; a later call would start another."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> WorkerBackend:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _find(self, cell: Cell) -> Declared | None:
        return next((declared for declared in self._cells if declared.covers(cell)), None)

    def _start(self) -> None:
        """Start the process and read what it declares."""
        self._process, self._last_id = WorkerProcess(self._command), -1
        reply, line = self._ask({"hello": 1})
        try:
            self.name = _text(reply["name"])  # type: ignore[misc]  # of each worker, not of the class
            self.version = _text(reply["version"])
            self._accumulators = {_text(dtype): _text(name) for dtype, name in reply.get("accumulators", {}).items()}
            self._flushes = _texts(reply.get("flushes", []))
            self._cells = [Declared(_text(cell["operation"]), _texts(cell["layouts"]), _texts(cell["dtypes"]),
                                    cell.get("densifies", False) is True) for cell in reply["cells"]]
        except (AttributeError, KeyError, TypeError) as problem:
            self._kill()
            raise WorkerError(_breach(f"the first reply lacks name, version or cells, or they are malformed ({problem!r})",
                                      line)) from problem

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """A request without its id -> the reply that bears it, and the line it came in."""
        assert self._process is not None
        self._last_id += 1
        line = json.dumps({"id": self._last_id, **request}) + "\n"
        try:
            answer = self._process.exchange(line.encode(), self._seconds).decode(errors="replace")
            return _checked(answer, self._last_id, "hello" in request), answer
        except BaseException:                             # Ctrl-C too: what the worker would say next is unknown
            self._kill()
            raise

    def _kill(self) -> None:
        assert self._process is not None
        self._process.stop(grace=0)
        self._process = None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as problem:                             # an open quotation mark
        raise SpecError("WIRE-3", f"this is no command line: {problem}.", wanted="words as a shell splits them",
                        given=repr(command)) from problem


def _checked(line: str, wanted_id: int, is_hello: bool) -> dict[str, Any]:
    """A line -> the reply, refused unless it is one JSON object with the right id and an answer (WIRE-2)."""
    try:
        reply = json.loads(line)
    except ValueError as problem:
        raise WorkerError(_breach(f"this line is not JSON ({problem})", line)) from problem
    if not isinstance(reply, dict):
        raise WorkerError(_breach("this line is no JSON object", line))
    if type(reply.get("id")) is not int or reply["id"] != wanted_id:
        raise WorkerError(_breach(f"this line answers id {reply.get('id')!r}, asked was id {wanted_id}", line))
    if not is_hello and ("result" in reply) == ("error" in reply):
        raise WorkerError(_breach('this line has not exactly one of "result" and "error"', line))
    return reply


def _error(error: Any, line: str) -> Exception:
    """The `error` of a reply -> the SpecError of its clause, or a WorkerError where it names none."""
    try:
        clause, message = error["clause"], _text(error["message"])
        if clause is None:
            return WorkerError(f"the worker failed: {message}")
        more = {name: _text(error.get(name, default)) for name, default in UNSAID.items()}
        return SpecError(_text(clause), message, **more)
    except (AttributeError, KeyError, TypeError) as problem:
        return WorkerError(_breach(f"this error lacks its clause or its message, or they are malformed ({problem!r})", line))


def _breach(what: str, line: str) -> str:
    shown = line if len(line) <= SHOWN else f"{line[:SHOWN]}... ({len(line):,} characters)"
    return f"WIRE-2: {what}:\n  {shown}"


def _text(value: Any) -> str:
    """A string that can be printed: JSON may spell out half a surrogate pair, which no file takes."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no string")
    return value.encode(errors="backslashreplace").decode()


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(map(_text, value))


if __name__ == "__main__":
    from .serving import main

    main()
