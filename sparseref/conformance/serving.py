"""The worker's side of the protocol: any installed backend, served over stdio."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import product
from typing import IO, Any

from ..backend import ARRAY, CODING, Backend, Cell
from ..dtypes import DTYPES
from ..errors import SpecError
from ..operators.base import Operator
from ..registry import get_backend, get_operator, layouts, operators, sparsifiers
from .wire import from_json, to_json


def serve(backend: Backend, requests: Iterable[str], replies: IO[str]) -> None:
    """Answer every line of `requests` with one line, until they end."""
    for line in requests:
        replies.write(json.dumps(reply_to(backend, line)) + "\n")
        replies.flush()


def reply_to(backend: Backend, line: str) -> dict[str, Any]:
    """One request -> its reply; whatever goes wrong is an error in the reply, with the clause of a SpecError."""
    number = None
    try:
        request = json.loads(line)
        number = request["id"]
        if "hello" in request:
            return {"id": number, **introduction(backend)}
        call = from_json(request["call"])
        return {"id": number, "result": to_json(backend.call(call.operation, *call.operands, **call.parameters))}
    except SpecError as refusal:
        return {"id": number, "error": {"clause": refusal.clause, "message": refusal.what, "wanted": refusal.wanted,
                                        "given": refusal.given, "fix": refusal.fix}}
    except Exception as problem:                              # the backend's own fault: no clause asks for it
        return {"id": number, "error": {"clause": None, "message": f"{type(problem).__name__}: {problem}"}}


def introduction(backend: Backend) -> dict[str, Any]:
    """The answer to hello: every cell of the registered operations, layouts and dtypes that the backend does not decline."""
    cells = []
    for operation, names in _operations():
        offered = [Cell(operation, names, dtype) for dtype in DTYPES]
        offered = [cell for cell in offered if backend.declines(cell) is None]
        for densifies in (False, True):                       # dtypes that differ in it get an entry each
            dtypes = [cell.dtype for cell in offered if backend.densifies(cell) is densifies]
            if dtypes:
                cells.append({"operation": operation, "layouts": list(names), "dtypes": dtypes, "densifies": densifies})
    accumulators = {dtype: backend.accumulator(dtype) for dtype in DTYPES}
    flushes = [dtype for dtype in DTYPES if backend.flushes(dtype)]
    return {"name": backend.name, "version": backend.version, "accumulators": accumulators, "flushes": flushes, "cells": cells}


def _operations() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(operation, layouts) of every cell there may be."""
    for operation, name in product(CODING, layouts.names()):
        yield operation, (name,)
    for name in sparsifiers.names():
        yield "select", (name,)
    for name in operators.names():
        operator: Operator = get_operator(name)
        choices = [[ARRAY, *layouts.names()]] * operator.sparse_operands
        if name == "convert":
            choices.append(layouts.names())                   # the target
        for names in product(*choices):
            yield name, names
            yield f"{name}.gradient", names


def main() -> None:
    """Serve the backend named on the command line over stdio."""
    parser = argparse.ArgumentParser(prog="python -m sparseref.conformance.worker", description=main.__doc__)
    parser.add_argument("backend", help="the name of an installed backend, e.g. reference")
    backend = get_backend(parser.parse_args().backend)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")     # the protocol's own stream ...
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())         # ... whatever the backend prints goes to stderr
    serve(backend, sys.stdin, replies)
