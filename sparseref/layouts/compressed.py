"""What csr, csc and bsr share: runs of slots marked off by a pointer array."""

import numpy as np

from ..errors import SpecError


def pointers(counts: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """counts [L], entries in each line -> indptr [L + 1]: line i owns slots indptr[i] up to indptr[i + 1]."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(dtype)


def line_of_each_slot(indptr: np.ndarray) -> np.ndarray:
    """indptr [L + 1] -> int64 [nnz]: which line owns each slot."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def check_pointers(clause: str, indptr: np.ndarray, slots: int) -> None:
    """Refuse pointers that do not run from 0 to the number of slots without a step back."""
    first, last = int(indptr[0]), int(indptr[-1])
    steps_back = int((indptr[1:] < indptr[:-1]).sum())         # compared, since a difference may overflow
    if first != 0 or last != slots or steps_back:
        raise SpecError(clause, "indptr does not mark off the slots.", wanted=f"0 first, {slots} last, no step back",
                        given=f"{first} first, {last} last, {steps_back} steps back")


def check_indices(clause: str, indices: np.ndarray, side: int) -> None:
    """Refuse an index outside 0..side-1."""
    outside = indices[(indices < 0) | (indices >= side)]
    if outside.size:
        raise SpecError(clause, "an index lies outside the array.", wanted=f"0 <= index < {side}",
                        given=f"index = {outside[0]}")
