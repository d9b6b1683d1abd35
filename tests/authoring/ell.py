"""Vectors of the ell layout."""

from .making import NAN, array, by_hand, call, f32, generated, i32, kept, line, refused, some, sparse, stored


def ell(shape, indices, values):
    return sparse("ell", shape, indices=i32(indices), values=values)


VECTORS = [
    by_hand("ell-encode", "ELL-C2 ELL-C4 CORE-P5",
            "Row 1 stores most, two, so K = 2; row 0 has one padding slot, with +0 in it.",
            call("encode", f32([[0, 7, 0], [5, 0, 6]]), kept("010 101"), layout="ell"),
            ell((2, 3), [[1, -1], [0, 2]], f32([[7, 0], [5, 6]]))),
    by_hand("ell-decode", "ELL-C2 CORE-P5", "K = 3 is more than any row needs, and valid; padding holds anything.",
            call("decode", ell((2, 3), [[1, -1, -1], [0, 2, -1]], f32([[7, NAN, 9], [5, 6, NAN]]))),
            f32([[0, 7, 0], [5, 0, 6]])),
    by_hand("ell-not-canonical", "ELL-C4", "K = 2 where 1 would do.",
            call("is_canonical", ell((1, 3), [[1, -1]], f32([[7, 0]]))), False),
    by_hand("ell-nothing-stored", "ELL-C4", "K = 0.", call("encode", f32([[1, 2]]), kept("00"), layout="ell"),
            ell((1, 2), i32([]).reshape(1, 0), f32([]).reshape(1, 0))),
    by_hand("ell-bits", "CORE-B1", "4 rows of 2 slots of 32 + 32 bits.", call("layout_bits", "ell", (4, 9), "int32", K=2), 512),
    by_hand("ell-valid", "ELL-C3", "Rising, then -1 to the end; a row of padding alone.",
            call("validate", ell((3, 3), [[0, 2], [1, -1], [-1, -1]], f32([[1, 2], [3, 0], [0, 0]]))), None),
    generated("ell-no-rows", "ELL-C1", "0 rows.", call("encode", f32([]).reshape(0, 3), kept("111")[:0], layout="ell")),
    generated("ell-encode-int8", "ELL-C4", "Rows of three lengths.",
              call("encode", some((3, 4), 14, "int8"), kept("0110 0000 1101"), layout="ell")),
    generated("ell-matmul", "ELL-C2", "A plain matrix times ell.", call("matmul", some((2, 3), 15), stored("ell", (3, 4), 16))),
    refused("ell-1d", "ELL-C1", "One axis.", call("encode", f32([1, 2]), line("11"), layout="ell")),
    refused("ell-3d", "ELL-C1", "Three axes.", call("encode", f32([[[1]]]), array("bool", [[[True]]]), layout="ell")),
    refused("ell-index-high", "ELL-C3", "Column 3 of 3.", call("validate", ell((1, 3), [[0, 3]], f32([[1, 2]])))),
    refused("ell-index-negative", "ELL-C3", "-2 is neither a column nor padding.",
            call("validate", ell((1, 3), [[0, -2]], f32([[1, 2]])))),
    refused("ell-index-falls", "ELL-C3", "Column 2 before 0.", call("validate", ell((1, 3), [[2, 0]], f32([[1, 2]])))),
    refused("ell-index-twice", "ELL-C3", "Column 1 twice.", call("validate", ell((1, 3), [[1, 1]], f32([[1, 2]])))),
    refused("ell-gap", "ELL-C3", "A column after padding.", call("validate", ell((1, 3), [[-1, 2]], f32([[0, 2]])))),
]
