"""nmg-optimal: the choice of patterns that keeps the most; the oracle that shows the greedy's gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import SpecError
from .nmg import GroupedNM


@dataclass(frozen=True)
class OptimalNMG(GroupedNM):
    """Assigns fibres to the C*g slots of a chunk so that the total score is the largest possible.

    scores [shape], finite -> pattern [shape]

    Which of several largest totals is taken is left open.  Errors: NMG-C1, NMG-C2, NMG-C7, NMGO-S2.
    Source: the assignment problem, solved by scipy.optimize.linear_sum_assignment.
    """

    name: ClassVar[str] = "nmg-optimal"
    examples: ClassVar[tuple[str, ...]] = ("nmg-optimal:2:4:1", "nmg-optimal:1:3:2,tail=short")
    memory: ClassVar[str] = "(C * g)**2"

    def assign(self, scores: np.ndarray, g: int) -> np.ndarray:
        from scipy.optimize import linear_sum_assignment

        if not np.isfinite(scores).all():                                                  # NMGO-S2
            raise SpecError("NMGO-S2", "a largest total needs finite scores.", wanted="finite sums of scores",
                            given=f"{int((~np.isfinite(scores)).sum())} that are not",
                            fix="use GreedyNMG, which ranks inf and NaN first")
        owner = np.zeros(scores.shape[:2], np.int64)
        for chunk, table in enumerate(scores):                                             # [F, C]
            fibre, slot = linear_sum_assignment(table.repeat(g, axis=1), maximize=True)    # NMGO-S1: slot = (pattern, copy)
            owner[chunk, fibre] = slot // g
        return owner
