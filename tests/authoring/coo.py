"""Vectors of the coo layout."""

from .making import NAN, array, by_hand, call, f16, f32, generated, i32, kept, line, refused, some, sparse


def coo(shape, coords, values):
    return sparse("coo", shape, coords=i32(coords).reshape(len(shape), -1), values=values)


VECTORS = [
    by_hand("coo-encode", "COO-C1 COO-C5 CORE-C1", "Row-major order: (0, 1), (1, 0), (1, 2); one row of coords an axis.",
            call("encode", f32([[0, 7, 0], [5, 0, 6]]), kept("010 101"), layout="coo"),
            coo((2, 3), [[0, 1, 1], [1, 0, 2]], f32([7, 5, 6]))),
    by_hand("coo-decode", "COO-C1 COO-C4", "Any order will do: 6 at (1, 2), 7 at (0, 1), 5 at (1, 0).",
            call("decode", coo((2, 3), [[1, 0, 1], [2, 1, 0]], f32([6, 7, 5]))), f32([[0, 7, 0], [5, 0, 6]])),
    by_hand("coo-decode-3d", "COO-C1", "One entry, at (1, 0, 1).", call("decode", coo((2, 1, 2), [1, 0, 1], f32([9]))),
            f32([[[0, 0]], [[0, 9]]])),
    by_hand("coo-duplicates", "COO-C4 CORE-V2", "(0, 1) twice: 2 + 3.",
            call("decode", coo((1, 2), [[0, 0], [1, 1]], f32([2, 3]))), f32([[0, 5]])),
    by_hand("coo-duplicates-first", "COO-C4 CORE-V1",
            "A lone -0 stays -0: the first slot of a position is taken, not added to +0.",
            call("decode", coo((2,), [0, 1, 1], f32([-0.0, 1, -1]))), f32([-0.0, 0])),
    by_hand("coo-not-canonical", "COO-C5", "Column 2 before column 0 of one row.",
            call("is_canonical", coo((1, 3), [[0, 0], [2, 0]], f32([1, 2]))), False),
    by_hand("coo-not-canonical-duplicates", "COO-C5", "A position twice.", call("is_canonical",
                                                                                coo((3,), [1, 1], f32([1, 2]))), False),
    by_hand("coo-bits", "CORE-B1", "5 entries of 32 bits and 3 coordinates of 32 bits.",
            call("layout_bits", "coo", (4, 4, 4), "float32", nnz=5), 640),
    by_hand("coo-valid", "COO-C2", "The last coordinates along both axes.", call("validate", coo((2, 3), [1, 2], f32([1]))),
            None),
    generated("coo-encode-3d", "COO-C3 COO-C5", "Three axes, bfloat16.",
              call("encode", some((2, 2, 3), 5, "bfloat16"), some((2, 2, 3), 5) > 0, layout="coo")),
    generated("coo-encode-empty", "COO-C3", "A side of 0.",
              call("encode", f32([[], []]), array("bool", [[], []]), layout="coo")),
    generated("coo-decode-special", "COO-C4", "NaN and overflow among duplicates.",
              call("decode", coo((3,), [2, 0, 2, 1], f16([60000, NAN, 60000, 1])))),
    refused("coo-coordinate-high", "COO-C2", "Coordinate 3 along a side of 3.",
            call("validate", coo((2, 3), [0, 3], f32([1])))),
    refused("coo-coordinate-first-axis", "COO-C2", "Coordinate 2 along a side of 2.",
            call("validate", coo((2, 3), [2, 0], f32([1])))),
    refused("coo-coordinate-negative", "COO-C2", "-1 does not count from the end.",
            call("validate", coo((2, 3), [0, -1], f32([1])))),
    refused("coo-0d", "COO-C3", "No axis, no coordinate.", call("encode", f32(1), line("1")[0].reshape(()), layout="coo")),
    refused("coo-coords-shape", "CORE-A2", "Two rows of coords for one axis.",
            call("validate", sparse("coo", (3,), coords=i32([[0], [1]]), values=f32([1])))),
]
