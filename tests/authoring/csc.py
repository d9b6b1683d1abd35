"""Vectors of the csc layout."""

from .making import array, by_hand, call, f32, generated, i32, kept, line, refused, some, sparse, stored


def csc(shape, indptr, indices, values):
    return sparse("csc", shape, indptr=i32(indptr), indices=i32(indices), values=values)


VECTORS = [
    by_hand("csc-encode", "CSC-C4 CSC-C5 CORE-C1", "Column by column: 5 in row 1; 7 in row 0; nothing; 6 in row 1.",
            call("encode", f32([[0, 7, 0, 0], [5, 0, 0, 6]]), kept("0100 1001"), layout="csc"),
            csc((2, 4), [0, 1, 2, 2, 3], [1, 0, 1], f32([5, 7, 6]))),
    by_hand("csc-decode", "CSC-C4", "Slots 0 and 1 are column 0's, slot 2 is column 1's.",
            call("decode", csc((3, 2), [0, 2, 3], [0, 2, 1], f32([1, 2, 3]))), f32([[1, 0], [0, 3], [2, 0]])),
    by_hand("csc-unsorted-duplicates", "CSC-C6 CORE-V2", "Column 0: 6 in row 2, then 1 + 4 in row 0.",
            call("decode", csc((3, 1), [0, 3], [2, 0, 0], f32([6, 1, 4]))), f32([[5], [0], [6]])),
    by_hand("csc-not-canonical", "CSC-C5", "Row 2 before row 0.",
            call("is_canonical", csc((3, 1), [0, 2], [2, 0], f32([6, 1]))), False),
    by_hand("csc-bits", "CORE-B1", "3 * (8 + 32) + 10 * 32.", call("layout_bits", "csc", (3, 9), "int8", nnz=3), 440),
    by_hand("csc-valid", "CSC-C2 CSC-C3", "An empty column repeats its pointer; row 1 of 2.",
            call("validate", csc((2, 3), [0, 0, 1, 1], [1], f32([1]))), None),
    by_hand("csc-no-columns", "CSC-C1 CSC-C2", "0 columns have the one pointer 0.",
            call("encode", f32([[], []]), array("bool", [[], []]), layout="csc"), csc((2, 0), [0], [], f32([]))),
    generated("csc-encode-float16", "CSC-C5", "Unstructured, with stored zeros.",
              call("encode", some((3, 5), 8, "float16"), kept("10110 00000 01101"), layout="csc")),
    generated("csc-matmul", "CSC-C4", "csc times a plain matrix.", call("matmul", stored("csc", (3, 4), 9), some((4, 2), 10))),
    refused("csc-1d", "CSC-C1", "One axis.", call("encode", f32([1, 2]), line("10"), layout="csc")),
    refused("csc-indptr-first", "CSC-C2", "indptr begins with 1.",
            call("validate", csc((2, 3), [1, 1, 2, 3], [1, 0, 1], f32([5, 7, 6])))),
    refused("csc-indptr-last", "CSC-C2", "indptr ends with 4, there are 3 slots.",
            call("validate", csc((2, 3), [0, 1, 2, 4], [1, 0, 1], f32([5, 7, 6])))),
    refused("csc-indptr-falls", "CSC-C2", "From 2 back to 1.",
            call("validate", csc((2, 3), [0, 2, 1, 3], [1, 0, 1], f32([5, 7, 6])))),
    refused("csc-index-high", "CSC-C3", "Row 2 of 2: a row, though there are 3 columns.",
            call("validate", csc((2, 3), [0, 1, 2, 3], [1, 2, 1], f32([5, 7, 6])))),
    refused("csc-index-negative", "CSC-C3", "Row -1.", call("validate", csc((2, 3), [0, 1, 2, 3], [1, -1, 1], f32([5, 7, 6])))),
]
