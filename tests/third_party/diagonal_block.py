"""What another package would write: a layout, a sparsifier, an operator and a backend, in few lines and with one import."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import sparseref as sr
from sparseref.operators.base import Operator, Pair, Result, Rounding, nothing_to_check
from sparseref.sparsifiers.base import Kind


@dataclass(frozen=True)
class DiagonalBlock(sr.Layout):
    """Square blocks on the diagonal of a square matrix, nothing else.

    dense [R, R]  <->  values [B, size, size],  B = R / size

    Parameters: size, the side of a block; it divides R.  Storage: R * size * bits(dtype).  Errors: DIAGB-1, DIAGB-2.
    """

    size: int
    name: ClassVar[str] = "diagonal-block"
    examples: ClassVar[tuple[str, ...]] = ("diagonal-block:2", "diagonal-block:3")

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] % self.size:                # DIAGB-1
            raise sr.SpecError("DIAGB-1", "the blocks do not cover the diagonal.", given=f"shape = {shape}",
                               wanted=f"(R, R), R a multiple of {self.size}")

    def fields(self, shape: tuple[int, ...]) -> dict[str, sr.Field]:
        return {"values": sr.Field(None, (shape[0] // self.size, self.size, self.size))}

    def positions(self, a: sr.SparseArray) -> np.ndarray:
        b, i, j = np.indices(a.values.shape)
        return (b * self.size + i) * a.shape[1] + b * self.size + j

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        blocks = np.arange(len(dense)) // self.size
        if (pattern != (blocks[:, None] == blocks)).any():                                 # DIAGB-2
            raise sr.SpecError("DIAGB-2", "the pattern is not that of the blocks.", wanted="all of every block, nothing else",
                               given=f"{int(pattern.sum())} positions", fix=f"choose it with DiagonalOnly({self.size})")
        at = np.arange(len(dense)).reshape(-1, self.size)                                  # [B, size]
        return {"values": dense[at[:, :, None], at[:, None, :]]}

    def sparsifier(self) -> str:
        return f"diagonal-only:{self.size}"

    def transposed(self) -> sr.Layout:
        return self


@dataclass(frozen=True)
class DiagonalOnly(sr.Sparsifier):
    """Keeps the blocks on the diagonal of the last two axes, whatever the scores [..., R, R]."""

    size: int
    name: ClassVar[str] = "diagonal-only"
    examples: ClassVar[tuple[str, ...]] = ("diagonal-only:2",)
    kind: ClassVar[Kind] = Kind.STREAMING
    memory: ClassVar[str] = "1"
    structured: ClassVar[bool] = True

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        row, column = np.indices(scores.shape)[-2:] // self.size
        return row == column


NEGATE = Operator("negate", lambda a: Pair(np.where(a.pattern, -a.value, 0), a.pattern), nothing_to_check,
                  lambda grad, a: (-grad,), result=Result.LIKE_FIRST, rounding=Rounding.NONE)


class BlockBackend(sr.Backend):
    """A matmul that goes from block to block; everything else it leaves to others."""

    name: ClassVar[str] = "blocks"

    def declines(self, cell: sr.Cell) -> str | None:
        mine = cell.operation == "matmul" and cell.layouts == ("diagonal-block", "array") and cell.dtype == "float32"
        return None if mine else "only matmul[diagonal-block x array, float32]"

    def call(self, operation: str, *operands: Any, **parameters: Any) -> np.ndarray:
        a, b = operands
        rows = b.reshape(*b.shape[:-2], -1, a.layout.size, b.shape[-1])                    # [..., B, size, N]
        return np.matmul(a.values, rows).reshape(b.shape)
