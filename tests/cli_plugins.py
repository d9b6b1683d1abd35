"""The command line called in the tests' own process, and what it is pointed at: layouts and backends, good and broken."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typer.testing import CliRunner

import sparseref as sr
from sparseref.cli import app
from sparseref.reference import Reference


def run(*arguments, code=0):
    """Arguments -> what the command prints, stdout and stderr; its exit code must be `code`."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})

    assert result.exit_code == code, result.output
    return result.output


class Unmade(Reference):
    """A backend that needs what this machine does not have."""

    def __init__(self):
        raise RuntimeError("no such device")


class Mute(Reference):
    """A backend that fails when it is asked what it implements."""

    def declines(self, cell):
        raise KeyError(cell.dtype)


class NotWhole(sr.Layout):
    """A layout that was begun."""

    name: ClassVar[str] = "not-whole"


@dataclass(frozen=True)
class Bitmap(sr.Layout):
    """A layout from elsewhere: the values of the stored entries, and a bool for every entry."""

    name: ClassVar[str] = "bitmap"
    any_pattern: ClassVar[bool] = True

    def fields(self, shape):
        return {"values": sr.Field(None, ("nnz",)), "bitmap": sr.Field(np.dtype(bool), shape)}

    def positions(self, a):
        return np.flatnonzero(a["bitmap"])

    def encode(self, dense, pattern):
        return {"values": dense[pattern], "bitmap": pattern.copy(order="C")}


@dataclass(frozen=True)
class Shifted(Bitmap):
    """A layout that is wrong: it looks for the entries one place too far."""

    name: ClassVar[str] = "shifted"

    def positions(self, a):
        return np.minimum(np.flatnonzero(a["bitmap"]) + 1, a["bitmap"].size - 1)


class Twin(Reference):
    """A second backend that is right."""

    name: ClassVar[str] = "twin"


class Broken(Reference):
    """A backend that adds 1 to every linear."""

    name = "broken"

    def call(self, operation, *operands, **parameters):
        result = super().call(operation, *operands, **parameters)
        return result + result.dtype.type(1) if operation == "linear" else result
