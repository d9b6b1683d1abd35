"""One build of the C library against the kit, in a process of its own: `python c_build_checks.py SOURCES [OPTION ...]`.

The sources may be a changed copy, the options those of a sanitizer; only the instruction set that SPARSEREF_C_ISA names is
compiled.  Runs exact products and gradients, every product of the kit that the backend does not decline, its gradient, and
the coding and choosing of nmg.
Prints the first failure.  Exit code: 0 all is right, 1 something is not, 3 it does not compile.
"""

import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
from sparseref_c import compiling, library, placing, proving

import sparseref as sr
from sparseref.conformance.judge import judge
from sparseref.conformance.runner import all_cases, filtered
from sparseref.registry import get_backend, parse_layout
from sparseref.sparsifiers.scores import magnitude

OPERATIONS = ("linear", "matmul", "conv2d", "gelu", "encode", "decode", "validate", "select")


def first_failure(profile: str = "quick") -> str | None:
    """What goes wrong first, or None."""
    found = proving.failure(library.library())
    if found is not None:
        return f"proving: {found}"
    found = shapes_and_threads() or products_of_one_x() or gradients()
    if found is not None:
        return found
    backend = get_backend("c")
    for case in filtered(all_cases(profile), operations=OPERATIONS):
        if backend.declines(case.cell) is None:
            outcome = judge(case, backend)
            if outcome.bad:
                return f"{outcome.case}: {outcome.verdict.value} {outcome.reason}"
    return None


def shapes_and_threads() -> str | None:
    """What the kit's small shapes do not reach: wide tiles, strides, what is added, ties of the greedy, many threads."""
    from sparseref_c import one_token
    from sparseref_c.choosing import CGreedyNMG
    from sparseref_c.multiplying import activated, multiply
    from sparseref_c.preparing import prepare

    one_token.LOOKS_UP = library.library().name                # who has no look-ups has to understand such weights
    rng = np.random.default_rng(0)
    wide = prepare(sr.sparsify(rng.integers(-4, 5, (400, 200)).astype(np.float32), "nmg:1:4:8"))
    for form in ("nmg:1:4:8", "nmg:1:10:2", "nmg:1:6:16", "nmg:1:8:15", "nmg:1:10:16", "nmg:1:5:16",   # tables
                 "nmg:2:6:3", "nmg:3:6:2,tail=short", "nmg:4:7:1", "csr:0.6"):
        w = rng.integers(-4, 5, (400, 131)).astype(np.float32)
        a = sr.sparsify(w, form)
        weight, kept = prepare(a), sr.decode(a)
        for tokens in (1, 7, 17, 40, 64, 65, 130):
            x, added = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((tokens, 131), (tokens, 400)))
            bias = rng.integers(-4, 5, 400).astype(np.float32)
            multiply(wide, np.full((tokens, 200), np.nan, np.float32), at_most=1)      # leaves memory that must not be read
            for threads in (1, 2, 3):
                for one in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
                    actual = multiply(weight, one, bias, "relu", added, at_most=threads)
                    if not np.array_equal(np.maximum(x @ kept.T + bias, 0) + added, actual):
                        return f"{form}, {tokens} tokens, {threads} threads"
                turned = multiply(weight, x, out=np.empty((400, tokens), np.float32).T, at_most=threads)
                if not np.array_equal(x @ kept.T, turned):
                    return f"{form}, {tokens} tokens side by side"
        for column in range(131):                              # infinity meets rows that store it, and no filling
            one = np.zeros((1, 131), np.float32)
            one[0, column] = np.inf
            if not np.array_equal(np.isfinite(multiply(weight, one)[0]), ~a.pattern[:, column]):
                return f"{form}, one token, infinite at {column}"
    for kernel, stride, padding, dilation, sides in (((3, 3), 1, 1, 1, (9, 37)), ((3, 2), (2, 3), (0, 2), (1, 2), (12, 30)),
                                                     ((1, 1), 2, 0, 1, (7, 7)), ((5, 5), 1, 4, 1, (6, 21))):
        image = rng.integers(-3, 4, (2, 3, *sides)).astype(np.float32)
        a = sr.sparsify(rng.integers(-3, 4, (24, 3 * kernel[0] * kernel[1])).astype(np.float32), "nmg:2:4:1")
        window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        if not np.array_equal(sr.conv2d(image, a, **window), sr.conv2d(image, a, **window, backend="c", strict=True)):
            return f"a convolution of {sides} with {window}"
    scores = rng.choice([np.inf, -np.inf, 1.0, 2.0, 0.0], (12, 90))
    with np.errstate(invalid="ignore"):                        # inf - inf is no number and counts as infinite (SPF-3)
        if not np.array_equal(sr.select(scores, "nmg:2:4:3", scores), sr.select(scores, CGreedyNMG(2, 4, 3), scores)):
            return "the greedy of infinite scores"
    values = np.linspace(-6, 6, 40_001, dtype=np.float32)
    if np.abs(activated(values, "gelu", 3) - sr.gelu(values.astype(np.float64))).max() > 2e-6:
        return "gelu of many values"
    for form, dtype in (("nmg:2:6:3", np.float32), ("nmg:1:4:5,tail=short", np.float64), ("nmg:3:5:2", np.int8)):
        dense = rng.integers(-3, 4, (43, 130)).astype(dtype)
        expected = sr.sparsify(dense, form)
        for actual in (placing.sparsify(dense, parse_layout(form), magnitude(dense)),
                       placing.encode(dense, parse_layout(form), expected.pattern)):
            if not all(np.array_equal(expected[name], actual[name]) for name in expected.arrays):
                return f"the greedy or the placing of {form}"
        if not np.array_equal(sr.decode(expected), placing.decode(expected)):
            return f"decoding {form}"
    return None


def products_of_one_x() -> str | None:
    """Beside each other, and one after the other."""
    from sparseref_c.library import NOWHERE, where
    from sparseref_c.multiplying import product, run
    from sparseref_c.preparing import prepare

    rng = np.random.default_rng(0)
    weights = [sr.sparsify(rng.integers(-2, 3, shape).astype(np.float32), form) for shape, form in (
        ((300, 70), "nmg:2:4:2"), ((90, 300), "nmg:1:4:3"), ((40, 70), "nmg:3:6:2"), ((7, 70), "csr:0.5"))]
    up, down, other, last = (prepare(weight) for weight in weights)
    dense = [sr.decode(weight) for weight in weights]
    bias = [rng.integers(-3, 4, len(weight)).astype(np.float32) for weight in dense]
    for tokens in (1, 7, 40, 65, 130):
        x, added, before = (rng.integers(-3, 4, (tokens, side)).astype(np.float32) for side in (70, 90, 40))
        y = [np.full((tokens, side), np.nan, np.float32) for side in (90, 40, 7)]
        expected = (np.maximum(x @ dense[0].T + bias[0], 0) @ dense[1].T + bias[1] + added,
                    np.maximum(x @ dense[2].T + before, 0), x @ dense[3].T + bias[3])
        for threads in (1, 2, 3):
            third = product(last, NOWHERE, where(y[2]), bias[3].ctypes.data)
            second = product(other, NOWHERE, where(y[1]), None, "relu", where(before), beside=third, added_first=True)
            then = product(down, NOWHERE, where(y[0]), bias[1].ctypes.data, None, where(added))
            run(product(up, where(x), NOWHERE, bias[0].ctypes.data, "relu", tokens=tokens, then=then, beside=second),
                np.dtype(np.float32), threads)
            if not all(map(np.array_equal, expected, y)):
                return f"products of one x, {tokens} tokens, {threads} threads"
            chain = product(up, NOWHERE, NOWHERE, bias[0].ctypes.data, "relu", then=then)
            y[0][:] = y[1][:] = np.nan
            run(product(other, where(x), where(y[1]), None, "relu", where(before), tokens, beside=chain,
                        added_first=True), np.dtype(np.float32), threads)
            if not all(map(np.array_equal, expected[:2], y)):
                return f"a chain that comes second, {tokens} tokens, {threads} threads"
    return None


def gradients() -> str | None:
    """By the values of a weight: every n, tiles and strides that the kit's small shapes do not reach, filling, many threads."""
    from sparseref_c.sampling import prepare_pattern, sampled

    rng = np.random.default_rng(0)
    for form in ("nmg:1:4:8", "nmg:2:6:3", "nmg:3:6:2,tail=short", "nmg:4:7:1", "nmg:6:8:2", "csr:0.6"):
        a = sr.sparsify(rng.integers(-4, 5, (401, 131)).astype(np.float32), form)
        pattern, positions = prepare_pattern(a), a.layout.positions(a)
        weight = pattern.holding(a.values)
        for tokens in (1, 7, 17, 65, 130, 300):
            x, grad = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((tokens, 131), (tokens, 401)))
            expected = np.append((grad.T @ x).reshape(-1), np.zeros(1, np.float32))[positions]
            for threads in (1, 2, 3):
                for one, two in ((grad, x), (np.asfortranarray(grad), x), (np.repeat(grad, 2, axis=1)[:, ::2], x.T.copy().T)):
                    if not np.array_equal(expected, pattern.in_slots(sampled(weight, one, two, at_most=threads))):
                        return f"the gradient by the values of {form}, {tokens} tokens, {threads} threads"
    image = rng.integers(-3, 4, (2, 3, 12, 30)).astype(np.float32)
    window = {"kernel": (3, 2), "stride": 1, "padding": (1, 2)}
    a = sr.sparsify(rng.integers(-3, 4, (24, 18)).astype(np.float32), "nmg:2:4:1")
    grad = sr.conv2d(image, a, **window)
    expected, actual = (get_backend(name).call("conv2d.gradient", grad, image, a, None, **window)
                        for name in ("reference", "c"))
    if not np.array_equal(expected[0], actual[0]) or not np.array_equal(expected[1].values, actual[1].values):
        return "the gradients of a convolution"
    return None


def main(sources: str, *options: str) -> int:
    compiling.SOURCES = Path(sources)
    machine, wanted = platform.machine(), os.environ.get(library.ISA)
    if wanted is not None:                                     # no time for the others
        compiling.SETS = {machine: {name: how for name, how in compiling.SETS[machine].items() if name in ("portable", wanted)}}
    with tempfile.TemporaryDirectory() as folder:
        try:
            library.load.__wrapped__.__globals__["library_file"] = lambda: compiling.built_file(Path(folder), options)
            library.load()
        except compiling.NotBuilt as reason:
            print(reason)
            return 3
        found = first_failure()
    print(found or "all is right")
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)                                             # a mutant's threads may never end
