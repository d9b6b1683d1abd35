"""Vectors of the csr layout."""

from .making import array, by_hand, call, f32, generated, i32, kept, line, refused, some, sparse, stored


def csr(shape, indptr, indices, values):
    return sparse("csr", shape, indptr=i32(indptr), indices=i32(indices), values=values)


VECTORS = [
    by_hand("csr-encode", "CSR-C4 CSR-C5 CORE-C1", "Row 0 stores column 1, row 1 nothing, row 2 columns 0 and 2.",
            call("encode", f32([[0, 7, 0], [0, 0, 0], [5, 0, 6]]), kept("010 000 101"), layout="csr"),
            csr((3, 3), [0, 1, 1, 3], [1, 0, 2], f32([7, 5, 6]))),
    by_hand("csr-decode", "CSR-C4", "Slot 0 is row 0's, slots 1 and 2 are row 2's.",
            call("decode", csr((3, 3), [0, 1, 1, 3], [1, 0, 2], f32([7, 5, 6]))), f32([[0, 7, 0], [0, 0, 0], [5, 0, 6]])),
    by_hand("csr-unsorted-duplicates", "CSR-C6 CORE-V2", "Row 0: 6 at column 2, then 1 + 4 at column 0.",
            call("decode", csr((1, 3), [0, 3], [2, 0, 0], f32([6, 1, 4]))), f32([[5, 0, 6]])),
    by_hand("csr-unsorted-linear", "CSR-C6", "x = 1 10 100: 6 * 100 + (1 + 4) * 1.",
            call("linear", f32([[1, 10, 100]]), csr((1, 3), [0, 3], [2, 0, 0], f32([6, 1, 4])), None), f32([[605]])),
    by_hand("csr-not-canonical", "CSR-C5", "Column 2 before column 0.",
            call("is_canonical", csr((1, 3), [0, 2], [2, 0], f32([6, 1]))), False),
    by_hand("csr-bits", "CORE-B1", "3 * (16 + 32) + 4 * 32.", call("layout_bits", "csr", (3, 9), "float16", nnz=3), 272),
    by_hand("csr-valid-empty-rows", "CSR-C2 CSR-C3", "Empty rows repeat their pointer.",
            call("validate", csr((4, 2), [0, 0, 1, 1, 1], [1], f32([1]))), None),
    by_hand("csr-no-rows", "CSR-C1 CSR-C2", "0 rows have the one pointer 0.",
            call("encode", f32([]).reshape(0, 3), kept("111")[:0], layout="csr"), csr((0, 3), [0], [], f32([]))),
    *(generated(f"csr-encode-{dtype}", "CSR-C5", "Unstructured, with stored zeros.",
                call("encode", some((3, 5), 6, dtype), kept("10110 00000 01101"), layout="csr"))
      for dtype in ("float64", "int8")),
    generated("csr-decode-bfloat16", "CSR-C4", "What sparsify stores: all that is not zero.",
              call("decode", stored("csr", (3, 4), 7, "bfloat16"))),
    refused("csr-1d", "CSR-C1", "One axis.", call("encode", f32([1, 2]), line("10"), layout="csr")),
    refused("csr-3d", "CSR-C1", "Three axes.", call("encode", f32([[[1]]]), array("bool", [[[True]]]), layout="csr")),
    refused("csr-indptr-first", "CSR-C2", "indptr begins with 1.",
            call("validate", csr((2, 3), [1, 1, 3], [1, 0, 2], f32([7, 5, 6])))),
    refused("csr-indptr-last", "CSR-C2", "indptr ends with 2, there are 3 slots.",
            call("validate", csr((2, 3), [0, 1, 2], [1, 0, 2], f32([7, 5, 6])))),
    refused("csr-indptr-falls", "CSR-C2", "From 2 back to 1.",
            call("validate", csr((3, 3), [0, 2, 1, 3], [1, 0, 2], f32([7, 5, 6])))),
    refused("csr-index-high", "CSR-C3", "Column 3 of 3.", call("validate", csr((2, 3), [0, 1, 3], [1, 0, 3], f32([7, 5, 6])))),
    refused("csr-index-negative", "CSR-C3", "Column -1.", call("validate", csr((2, 3), [0, 1, 3], [-1, 0, 2], f32([7, 5, 6])))),
]
