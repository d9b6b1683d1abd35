"""Vectors of the bsr layout."""

from .making import NAN, by_hand, call, f32, generated, i32, kept, line, refused, some, sparse, stored


def bsr(layout, shape, indptr, indices, values):
    return sparse(layout, shape, indptr=i32(indptr), indices=i32(indices), values=values)


TWO_ROWS = f32([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])

VECTORS = [
    by_hand("bsr-encode", "BSR-C6 BSR-C7 CORE-C1", "Block row 0 stores block 1, whose second column is filling; block row 1 "
            "is half filling and stores block 0 with the zero in it.",
            call("encode", f32([[0, 0, 5], [0, 0, 6], [7, 0, 0]]), kept("001 001 110"), layout="bsr:2:2"),
            bsr("bsr:2:2", (3, 3), [0, 1, 2], [1, 0], f32([[[5, 0], [6, 0]], [[7, 0], [0, 0]]]))),
    by_hand("bsr-decode", "BSR-C6 CORE-P5", "Blocks of 1 x 2; what lies in column 3 of 3 is padding, NaN or not.",
            call("decode", bsr("bsr:1:2", (2, 3), [0, 1, 2], [0, 1], f32([[[1, 2]], [[3, NAN]]]))),
            f32([[1, 2, 0], [0, 0, 3]])),
    by_hand("bsr-pattern", "BSR-C6", "The same array: filling is no position.",
            call("pattern", bsr("bsr:1:2", (2, 3), [0, 1, 2], [0, 1], f32([[[1, 2]], [[3, 4]]]))), kept("110 001")),
    by_hand("bsr-bits", "CORE-B1",
            "RB = ceil(5 / 2) = 3; 2 blocks of 2 * 3 values of 32 bits and an index, and 4 pointers: 2 * 224 + 128.",
            call("layout_bits", "bsr:2:3", (5, 7), "float32", nnzb=2), 576),
    by_hand("bsr-valid", "BSR-C3 BSR-C4", "Two blocks in the first of two block rows, columns rising.",
            call("validate", bsr("bsr:2:2", (4, 4), [0, 2, 2], [0, 1], TWO_ROWS)), None),
    by_hand("bsr-string", "BSR-C1", "The smallest block.", call("parse_layout_string", "bsr:1:1"), "bsr:1:1"),
    by_hand("bsr-whole-blocks", "BSR-C5",
            "No block of 1 x 2 is held in part; column 2 is all of the last block that lies in the matrix.",
            call("encode", f32([[1, 2, 3]]), kept("001"), layout="bsr:1:2"),
            bsr("bsr:1:2", (1, 3), [0, 1], [1], f32([[[3, 0]]]))),
    generated("bsr-encode-empty", "BSR-C2", "0 rows.",
              call("encode", f32([]).reshape(0, 4), kept("1111")[:0], layout="bsr:2:2")),
    generated("bsr-decode-float64", "BSR-C6", "Sides of m + 1.", call("decode", stored("bsr:2:3", (3, 4), 11, "float64"))),
    generated("bsr-linear", "BSR-C6", "A weight with both tails.",
              call("linear", some((2, 4), 12), stored("bsr:2:3", (3, 4), 13), None)),
    refused("bsr-sides-zero", "BSR-C1", "r = 0.", call("parse_layout_string", "bsr:0:4")),
    refused("bsr-sides-large", "BSR-C1", "c = 65,537.", call("parse_layout_string", "bsr:1:65537")),
    refused("bsr-sides-half", "BSR-C1", "r = 1.5.", call("parse_layout_string", "bsr:1.5:2")),
    refused("bsr-1d", "BSR-C2", "One axis.", call("encode", f32([1, 2]), line("11"), layout="bsr:1:2")),
    refused("bsr-indptr-first", "BSR-C3", "indptr begins with 1.",
            call("validate", bsr("bsr:2:2", (4, 4), [1, 1, 2], [0, 1], TWO_ROWS))),
    refused("bsr-indptr-last", "BSR-C3", "indptr ends with 1, there are 2 blocks.",
            call("validate", bsr("bsr:2:2", (4, 4), [0, 1, 1], [0, 1], TWO_ROWS))),
    refused("bsr-indptr-falls", "BSR-C3", "From 2 back to 1.",
            call("validate", bsr("bsr:2:2", (6, 4), [0, 2, 1, 2], [0, 1], TWO_ROWS))),
    refused("bsr-index-high", "BSR-C4", "Block column 2 of 2.",
            call("validate", bsr("bsr:2:2", (4, 4), [0, 1, 2], [0, 2], TWO_ROWS))),
    refused("bsr-index-negative", "BSR-C4", "Block column -1.",
            call("validate", bsr("bsr:2:2", (4, 4), [0, 1, 2], [0, -1], TWO_ROWS))),
    refused("bsr-index-falls", "BSR-C4", "Block column 1 before 0.",
            call("validate", bsr("bsr:2:2", (4, 4), [0, 2, 2], [1, 0], TWO_ROWS))),
    refused("bsr-index-twice", "BSR-C4", "A block twice.",
            call("validate", bsr("bsr:2:2", (4, 4), [0, 2, 2], [1, 1], TWO_ROWS))),
    refused("bsr-part-of-a-block", "BSR-C5", "One of the two entries of block (0, 0).",
            call("encode", f32([[1, 2, 3]]), kept("100"), layout="bsr:1:2")),
]
