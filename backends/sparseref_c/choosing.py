"""The greedy of nmg in C: the same pattern as the reference's, to the bit."""

from __future__ import annotations

import ctypes
from dataclasses import asdict

import numpy as np

from sparseref.layouts.blocks import entry_numbers
from sparseref.layouts.nmg import Chunk
from sparseref.layouts.patterns import pattern_masks, pattern_places
from sparseref.sparsifiers.base import put_back
from sparseref.sparsifiers.nmg import GreedyNMG

from .library import CChoice, library, threads
from .multiplying import done


class CGreedyNMG(GreedyNMG):
    """GreedyNMG whose matching of fibres and patterns is src/greedy.c."""

    @classmethod
    def like(cls, sparsifier: GreedyNMG) -> CGreedyNMG:
        return cls(**asdict(sparsifier))

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        self.layout.check(scores.shape)
        blocks = np.ascontiguousarray(self.layout.cut(scores, 0.0))                        # [B, RB, m, S], NMGS-S4
        masks, kept = pattern_masks(self.n, self.m), np.zeros(blocks.shape, bool)          # [C, m]
        for chunk in self.layout.chunks(scores.shape[self.group_axis]):
            owner = choose(blocks, self.n, chunk, scores.shape[self.group_axis])    # [B, RB, C*g]
            kept[..., chunk.fibres] = masks[owner].transpose(0, 1, 3, 2)                   # [B, RB, m, C*g]
        return put_back(kept, self.layout.cut(entry_numbers(scores.shape), -1), scores.shape)


def choose(blocks: np.ndarray, n: int, chunk: Chunk, fibres: int) -> np.ndarray:
    """blocks float64 [B, RB, m, S], contiguous -> int32 [B, RB, C*g]: the pattern of each fibre of the chunk.

    fibres: F, of which there are in the array; what the filling owns says nothing.
    """
    first, g = chunk.first, chunk.g
    batch, block_rows, m, slots = blocks.shape
    places = np.ascontiguousarray(pattern_places(n, m), np.uint8)                          # [C, n]
    owner = np.empty((batch, block_rows, len(places) * g), np.int32)
    choice = CChoice(blocks.ctypes.data + first * blocks.itemsize, batch * block_rows, m * slots, slots, n, m, len(places), g,
                     owner.shape[2], min(fibres - first, owner.shape[2]), places.ctypes.data, owner.ctypes.data)
    using = library()
    status = using.functions.sparseref_nmg_choose(ctypes.byref(choice), using.number, threads())
    done(status, f"{owner.shape[2]} fibres of {len(places)} patterns")
    return owner
