"""Descriptors that lie: `python c_fuzz.py COUNT [OPTION ...]`, under AddressSanitizer.

The arrays of a prepared weight are changed at random.  Either sparseref_check says so, or product and gradient touch nothing
but the memory that they were given: the sanitizer ends the process otherwise.  Prints how many were refused and how many
multiplied.
"""

import ctypes
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from sparseref_c import compiling, library, one_token
from sparseref_c.library import CMatrix, CProduct, CRuns, CSampled, CSizes, where
from sparseref_c.preparing import prepare

import sparseref as sr

FORMATS = ("nmg:1:4:3", "nmg:1:5:8", "nmg:1:10:4", "nmg:2:6:2", "nmg:3:5:1", "nmg:4:6:1", "csr:0.6")
ODD = (0, 1, 2, 3, 4, 5, 7, 127, 128, 129, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)


def changed(rng, weight):
    """-> copies of the arrays, each of its own size, and the numbers of the descriptor; a few of them changed."""
    arrays = [array.copy() for array in weight.arrays]
    names = ("rows", "columns", "group_rows", "groups", "widest_run", "block_rows")
    numbers = {name: getattr(weight.runs, name) for name in names}
    for _ in range(rng.integers(1, 4)):
        which = int(rng.integers(0, 5))
        odd = int(rng.choice(np.array(ODD, np.uint64))) * (-1 if rng.random() < 0.2 else 1)
        if which == 4:
            name = rng.choice(list(numbers))
            numbers[name] = int(np.int64(np.uint64(odd % 2**64)))
            continue
        plain = arrays[which].view({0: "i8", 1: "u4", 2: "u4", 3: "u4"}[which])
        if plain.size:
            plain[rng.integers(0, plain.size)] = odd % 2**(8 * plain.itemsize - (which == 0))
    if rng.random() < 0.3:                                     # one that is shorter than the others need it
        which = int(rng.integers(0, 5))
        arrays[which] = arrays[which][:rng.integers(0, len(arrays[which]) + 1)].copy()
    return arrays, numbers


def main(count: str, *options: str) -> int:
    folder = tempfile.mkdtemp()
    library.load.__wrapped__.__globals__["library_file"] = lambda: compiling.built_file(Path(folder), options)
    functions, rng, refused, multiplied = library.load(), np.random.default_rng(0), 0, 0
    weights = [prepare(sr.sparsify(rng.standard_normal((150, 60)).astype(np.float32), form)) for form in FORMATS]
    one_token.LOOKS_UP = library.likely_set()
    weights += [one_token.for_one_token(weight) for weight in weights]
    for _ in range(int(count)):
        weight = weights[rng.integers(0, len(weights))]
        arrays, numbers = changed(rng, weight)
        runs = CRuns(**numbers, **dict(zip(("segment_of", "segments", "runs", "column", "value"),
                                           (array.ctypes.data for array in arrays), strict=True)))
        if functions.sparseref_check(runs, CSizes(*(array.size for array in arrays))):
            refused += 1
            continue
        tokens, rows, columns = int(rng.integers(1, 70)), runs.rows, runs.columns
        if rows * tokens > 10**7 or columns * tokens > 10**7 or runs.group_rows > 10**6:
            continue                                           # right, and only too large to be tried here
        x, y = np.ones((tokens, columns), np.float32), np.empty((tokens, rows), np.float32)
        product = CProduct(ctypes.pointer(runs), CMatrix(*where(x)), CMatrix(*where(y)), CMatrix(None, 0, 0), None, tokens, 1)
        sampled = CSampled(ctypes.pointer(runs), CMatrix(*where(y)), CMatrix(*where(x)), arrays[-1].ctypes.data, tokens, None)
        for number in library.instruction_sets(functions).values():
            functions.sparseref_linear(ctypes.addressof(product), number, 4, 2)
            functions.sparseref_sampled(sampled, number, 4, 2)
        multiplied += 1
    print(f"{refused} refused, {multiplied} multiplied")
    return 0 if refused and multiplied else 1


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
